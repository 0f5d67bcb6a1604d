"""Grounding DINO small enough for a test: the true architecture in both published layouts, one random state.

256 wide like the real one, because the reference code has that width written into its text positions; everything else
is small. Pages are seen with a short side of 128 pixels. Numbers are scaled so that scores straddle the thresholds and
boxes lie all over the page, which a fresh model's zeroed heads would not give.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SHORT_SIDE_PX = 128
LONG_SIDE_PX = 213
QUERIES = 40
VOCABULARY = 30522
"""Of bert-base-uncased; the ids of its delimiters are written into both implementations."""

SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
WORDS = (
    "diagram", "canvas", "table", "leg", "##end", "node", "arrow", "text", "##box", "box", "water", "##mark", "page",
    "border", "of", "a", "the", "flow", "chart",
)  # fmt: skip

BERT = {
    "architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": False,
    "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 32, "initializer_range": 0.02,
    "intermediate_size": 64, "layer_norm_eps": 1e-12, "max_position_embeddings": 64, "model_type": "bert",
    "num_attention_heads": 2, "num_hidden_layers": 1, "pad_token_id": 0, "position_embedding_type": "absolute",
    "type_vocab_size": 2, "use_cache": True, "vocab_size": VOCABULARY,
}  # fmt: skip


def write_tiny_grounding_dino(folder: Path, seed: int) -> None:
    """A checkpoint folder as `IDEA-Research/grounding-dino-tiny` is laid out, with random weights."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config, weights = _random_model(seed)
    (folder / "config.json").write_text(config)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    _write_preprocessing(folder)
    write_tokenizer(folder)


def write_tiny_original(folder: Path, seed: int) -> None:
    """The same random state as the reference code's authors released theirs: a `.pth`, and BERT's folder beside it."""
    import torch

    from pipeline.models.grounding_dino.keys import to_reference

    folder.mkdir(parents=True, exist_ok=True)
    _, weights = _random_model(seed)
    state = {f"module.{name}": tensor for name, tensor in to_reference(weights).items()}
    state["module.label_enc.weight"] = torch.ones(3, 256)
    state["module.bert.embeddings.position_ids"] = torch.arange(64)[None]
    state["module.bert.pooler.dense.weight"] = torch.ones(32, 32)
    state["module.bert.pooler.dense.bias"] = torch.ones(32)
    torch.save({"model": state}, folder / "groundingdino_tiny.pth")
    text_encoder = folder / "bert-base-uncased"
    text_encoder.mkdir(exist_ok=True)
    (text_encoder / "config.json").write_text(json.dumps(BERT, indent=2))
    write_tokenizer(text_encoder)
    _write_preprocessing(folder)


def write_tokenizer(folder: Path) -> None:
    """Tokenizer files with a vocabulary of the real size that knows a few words, letters, and the delimiters' ids."""
    from transformers import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [f"[unused{number}]" for number in range(VOCABULARY)]
    for token, number in SPECIAL.items():
        vocabulary[number] = token
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    for number, token in enumerate([*letters, *(f"##{letter}" for letter in letters), *WORDS], start=2000):
        vocabulary[number] = token
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizer(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)


def _write_preprocessing(folder: Path) -> None:
    told = {
        "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True, "format": "coco_detection",
        "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "GroundingDinoImageProcessor",
        "image_std": [0.229, 0.224, 0.225], "resample": 2, "rescale_factor": 1 / 255,
        "size": {"shortest_edge": SHORT_SIDE_PX, "longest_edge": LONG_SIDE_PX},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(told, indent=2))


@lru_cache(maxsize=1)
def _random_model(seed: int) -> tuple[str, dict[str, Any]]:
    """`config.json`, and weights under the hub's names, all other than zero, so that each matters to what comes out."""
    import torch
    from safetensors.torch import load_file
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin", "embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 3, 6],
            "window_size": 7, "out_indices": [2, 3, 4],
        },
        text_config=BERT,
        d_model=256, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=64, decoder_ffn_dim=64, num_queries=QUERIES,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GroundingDinoForObjectDetection(config)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            _fill(name, weight, source)
        _aim(model, source)
    with TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        saved = load_file(Path(scratch) / "model.safetensors")
        # The published files lack this one, which the library makes and never uses.
        weights = {name: tensor.clone() for name, tensor in saved.items() if ".swin.layernorm." not in name}
        return (Path(scratch) / "config.json").read_text(), weights


def _fill(name: str, weight: Any, source: Any) -> None:
    import torch

    noise = torch.randn(weight.shape, generator=source)
    if name.endswith("sampling_offsets.bias"):
        weight.add_(0.1 * noise)
    elif name.endswith(("vision_param", "text_param")):
        weight.copy_(0.1 * noise)
    elif name.endswith("sampling_offsets.weight"):
        weight.copy_(noise / 160)
    elif weight.ndim > 1:
        weight.copy_(noise / math.sqrt(weight[0].numel()))
    elif name.endswith("weight"):
        weight.copy_(1 + 0.1 * noise)
    else:
        weight.copy_(0.1 * noise)


def _aim(model: Any, source: Any) -> None:
    """Scores with a wide spread around 0.2; boxes that move, but not so far that rounding picks other ones."""
    import torch

    for head in (*model.bbox_embed, *model.model.decoder.bbox_embed, model.model.encoder_output_bbox_embed):
        head.layers[-1].weight.mul_(0.3)
        head.layers[-1].bias[2:].add_(0.1)
    text, vision = model.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after, model.model.decoder.layer_norm
    text.weight.mul_(0.08)
    # The first channel carries nothing but a constant, by which the score of every box and token is moved.
    for norm in (text, vision, model.model.enc_output_norm):
        norm.weight[0] = 0
        norm.bias[0] = 0
    images = torch.randn((2, 3, 128, 160), generator=source)
    caption = torch.tensor([[101, 2052, 1012, 2055, 2056, 1012, 2057, 1012, 2059, 2060, 1012, 102]] * 2)
    logits = model.eval()(pixel_values=images, input_ids=caption).logits[..., 1:11].amax(-1)
    text.bias[0] = -1
    vision.bias[0] = float(logits.median()) + 1.5
