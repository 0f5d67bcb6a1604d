"""SAM 2 as its authors' package `sam2` has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from pipeline.core.errors import StageCrash
from pipeline.models.loading import load_state
from pipeline.models.sam2.network import Features

# The authors' own builder adds these to every configuration that is not a film's; without them a box's single mask is
# kept even when it is unstable.
_UNSTABLE_MASKS = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
_SIZES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


class OriginalNetwork:
    """`SAM2Base` with its parts called one by one, so that boxes of many pictures share one decoder call."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        """Takes a model with float32 weights; encoder and decoder get `dtype`, the placing of boxes keeps float32."""
        model.image_encoder.to(dtype)
        model.sam_mask_decoder.to(dtype)
        model.no_mem_embed.data = model.no_mem_embed.data.to(dtype)
        self._model = model.to(device).eval()
        self._dtype = dtype
        self.side_px = int(model.image_size)
        self._corners = torch.tensor([[2, 3]], dtype=torch.int32, device=device)
        with torch.inference_mode():
            self._positions = model.sam_prompt_encoder.get_dense_pe().to(dtype)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> OriginalNetwork:
        """From the authors' `.pt` file, and the configuration beside it or, by the file's name, in the package."""
        weights = sorted(folder.glob("*.pt"))
        if len(weights) != 1:
            raise StageCrash(
                f"{folder} has {len(weights)} .pt files and segmenter sam2 with backend original loads the one that "
                "its authors published: name a checkpoint that has it (spotter weights list)"
            )
        model = build(OmegaConf.load(_configuration(weights[0])))
        state = torch.load(weights[0], map_location="cpu", weights_only=True)
        load_state(model, state["model"], f"SAM 2 from {folder.name}/{weights[0].name}")
        return cls(model, device, dtype)

    def encode(self, pictures: torch.Tensor) -> Features:
        """Normalised float32 pictures (pictures, 3, side, side) → their features."""
        with torch.inference_mode():
            fine, middle, coarse = self._model.forward_image(pictures.to(self._dtype))["backbone_fpn"]
            coarse = coarse.to(self._dtype) + self._model.no_mem_embed.view(1, -1, 1, 1)
        return Features(fine, middle, coarse)

    def decode(self, features: Features, rows: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One mask per box: logits (boxes, side ÷ 4, side ÷ 4) and quality (boxes,), float32."""
        with torch.inference_mode():
            points, dense = self._model.sam_prompt_encoder(
                points=(boxes.view(-1, 2, 2), self._corners.expand(len(boxes), 2)), boxes=None, masks=None
            )
            logits, quality, _, _ = self._model.sam_mask_decoder(
                image_embeddings=features.coarse[rows],
                image_pe=self._positions,
                sparse_prompt_embeddings=points.to(self._dtype),
                dense_prompt_embeddings=dense.to(self._dtype),
                multimask_output=False,
                repeat_image=False,
                high_res_features=[features.fine[rows], features.middle[rows]],
            )
        return logits[:, 0].float(), quality[:, 0].float()

    def compile(self) -> None:
        """Have the encoder compiled when it first runs."""
        self._model.image_encoder.compile(dynamic=False)


def build(configuration: Any) -> Any:
    """`SAM2Base` with random weights, as a configuration file of the package describes it.

    Raises:
        StageCrash: the file names code outside of the package, which it could then run.
    """
    assert isinstance(configuration, DictConfig)
    for target in _targets(OmegaConf.to_container(configuration.model)):
        if not target.startswith("sam2.modeling."):
            raise StageCrash(f"the configuration of SAM 2 names {target!r}, which is no part of the package sam2")
    OmegaConf.update(configuration, "model.sam_mask_decoder_extra_args", _UNSTABLE_MASKS, force_add=True)
    OmegaConf.resolve(configuration)
    return instantiate(configuration.model, _recursive_=True)


def _configuration(weights: Path) -> Path:
    """The file that describes the network of a weights file such as `sam2.1_hiera_large.pt`."""
    beside = sorted(weights.parent.glob("*.yaml"))
    if len(beside) == 1:
        return beside[0]
    family, _, size = weights.stem.partition("_hiera_")
    packaged = Path(sam2.__path__[0]) / "configs" / family / f"{family}_hiera_{_SIZES.get(size, size)}.yaml"
    if len(beside) > 1 or not packaged.is_file():
        raise StageCrash(
            f"{weights.parent} has {len(beside)} .yaml files and the package sam2 has none named {packaged.name}: "
            f"put the one configuration of {weights.name} beside it"
        )
    return packaged


def _targets(node: Any) -> list[str]:
    """Every class that a configuration would build."""
    if isinstance(node, dict):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in _targets(value)]
    if isinstance(node, list):
        return [target for value in node for target in _targets(value)]
    return []
