"""Checkpoints to run with: random weights of the published sizes, or tiny ones, in folders that the registry knows.

A fresh model's heads are zero and its scores all alike; so every weight is drawn anew, scaled by what it multiplies, so
that half precision stays finite. Speed doesn't depend on the values, as long as they are not zeros.
"""

from __future__ import annotations

import json
import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.vision_arms.writing import BOX_THRESHOLD

DETECTOR = "bench-grounding-dino"
SEGMENTER = "bench-sam2"
SEED = 20
PHRASES = ("diagram", "canvas", "table", "legend", "node", "arrow", "textbox")
BOXES_OVER = 20
"""Boxes of a page that score above the threshold: about as many as a page with a diagram has."""

_PREPROCESSING = {"size": {"shortest_edge": 800, "longest_edge": 1333}}


def write_weights(root: Path, *, tiny: bool, page: np.ndarray[Any, Any], device: str) -> Path:
    """Both checkpoints below `root`, and the registry file that names them; returns that file.

    The full-size detector is aimed at `page`, raw pixels, on `device`.
    """
    if tiny:
        from tests.pipeline.tiny_gdino import write_tiny_grounding_dino
        from tests.pipeline.tiny_sam2 import write_tiny_sam2

        write_tiny_grounding_dino(root / DETECTOR, SEED)
        write_tiny_sam2(root / SEGMENTER, SEED)
    else:
        _write_grounding_dino_t(root / DETECTOR, page, device)
        _write_sam2_large(root / SEGMENTER)
    registry = root / "registry.yaml"
    registry.write_text(yaml.safe_dump({name: _entry(root / name) for name in (DETECTOR, SEGMENTER)}))
    return registry


def quiet_transformers() -> None:
    """Keep the library's progress bars and advice out of the figures."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _entry(folder: Path) -> dict[str, Any]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        "hub": f"nobody/{folder.name}",
        "files": [
            {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": _sha256(path)}
            for path in files
        ],
    }


def _sha256(path: Path) -> str:
    told = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            told.update(block)
    return told.hexdigest()


def _write_grounding_dino_t(folder: Path, page: np.ndarray[Any, Any], device: str) -> None:
    """Swin-T, BERT base, six layers each way, 900 queries: the sizes of `IDEA-Research/grounding-dino-tiny`."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    from tests.pipeline.tiny_gdino import write_tokenizer

    torch.manual_seed(SEED)  # the sampling points of deformable attention keep where the library puts them
    model = GroundingDinoForObjectDetection(GroundingDinoConfig()).eval()
    source = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if name.endswith("sampling_offsets.bias"):
                continue
            calm = 0.1 if name.endswith(("sampling_offsets.weight", "vision_param", "text_param")) else 1.0
            weight.copy_(calm * _drawn(name, weight, source))
        write_tokenizer(folder)
        _aim(model, folder, page, device)
    model.save_pretrained(folder)
    # The published files lack this one, which the library makes and never uses.
    saved = load_file(folder / "model.safetensors")
    kept = {name: tensor.clone() for name, tensor in saved.items() if ".swin.layernorm." not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    (folder / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSING))


def _aim(model: Any, folder: Path, page: np.ndarray[Any, Any], device: str) -> None:
    """Let BOXES_OVER boxes of a page score above the threshold, and boxes move no farther than rounding can follow.

    Otherwise all 900 would pass it, or none, and the authors' loop, which names boxes one by one, would look slower or
    faster than it is. The first channel that scores are multiplied from is made a constant, which moves all of them.
    """
    import torch

    from pipeline.models.grounding_dino.preprocess import Preprocessing
    from pipeline.models.grounding_dino.prompt import make_prompt, read_tokenizer

    text, vision = model.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after, model.model.decoder.layer_norm
    text.weight.mul_(0.08)
    for norm in (text, vision, model.model.enc_output_norm):
        norm.weight[0] = 0
        norm.bias[0] = 0
    for head in (*model.bbox_embed, *model.model.decoder.bbox_embed, model.model.encoder_output_bbox_embed):
        head.layers[-1].weight.mul_(0.3)
    prompt = make_prompt(PHRASES, read_tokenizer(folder))
    picture = Preprocessing().to_input(torch.from_numpy(page)[None].to(device))
    ids = torch.tensor([prompt.token_ids], device=device)
    scores = prompt.scores(model.to(device)(pixel_values=picture, input_ids=ids).logits).amax(-1).flatten()
    model.to("cpu")
    least = float(scores.topk(BOXES_OVER).values[-1])
    text.bias[0] = -1
    vision.bias[0] = math.log(least / (1 - least)) - math.log(BOX_THRESHOLD / (1 - BOX_THRESHOLD))


def _write_sam2_large(folder: Path) -> None:
    """Hiera-L at 1024 pixels: the sizes of `facebook/sam2.1-hiera-large`."""
    import torch
    from safetensors.torch import save_file

    from pipeline.models.sam2.checkpoint import Sizes
    from pipeline.models.sam2.keys import with_both_positions
    from pipeline.models.sam2.transformers_network import build

    model = build(Sizes(1024, 256, 144, 2, (2, 6, 36, 4), (8, 4, 16, 8), (23, 33, 43), (7, 7)))
    state = model.state_dict()
    source = torch.Generator().manual_seed(SEED)
    drawn = {name: _drawn(name, weight, source) for name, weight in sorted(state.items())}
    del drawn["shared_image_embedding.positional_embedding"]
    folder.mkdir(parents=True)
    save_file(with_both_positions(drawn) | _copy(drawn), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))


def _copy(drawn: dict[str, Any]) -> dict[str, Any]:
    """The matrix of positions under its second name, in memory of its own, as the file format wants it."""
    one = drawn["prompt_encoder.shared_embedding.positional_embedding"]
    return {"shared_image_embedding.positional_embedding": one.clone()}


def _drawn(name: str, weight: Any, source: Any) -> Any:
    import torch

    noise = torch.randn(weight.shape, generator=source)
    if "positional_embedding" in name or name.endswith(("_token.weight", "_tokens.weight")):
        return noise
    if weight.ndim > 1:
        return noise / max(1, weight[0].numel()) ** 0.5
    return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise
