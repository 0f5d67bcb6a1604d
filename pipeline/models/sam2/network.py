"""SAM 2's network with one face, whoever's code runs it: pictures to features once, boxes to mask logits after that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch

from pipeline.core.errors import StageCrash

MASK_STRIDE = 4
"""The network's mask grid has a quarter of its picture's side: 256 for 1024."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the encoder made of pictures, on the device: one row a picture, channels first."""

    fine: torch.Tensor
    """(pictures, channels ÷ 8, side ÷ 4, side ÷ 4)."""
    middle: torch.Tensor
    """(pictures, channels ÷ 4, side ÷ 8, side ÷ 8)."""
    coarse: torch.Tensor
    """(pictures, channels, side ÷ 16, side ÷ 16)."""


class Sam2Network(Protocol):
    """The two halves of SAM 2 for pictures. No method waits for the device."""

    side_px: int
    """Side of the square picture that the encoder takes."""

    def encode(self, pictures: torch.Tensor) -> Features:
        """Normalised float32 pictures (pictures, 3, side, side) → their features."""

    def decode(self, features: Features, rows: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One mask per box; row i is the box i on the picture `rows[i]`.

        Args:
            features: of the pictures.
            rows: int64 (boxes,).
            boxes: float32 (boxes, 4), left, top, right, bottom in pixels of the network's picture.

        Returns:
            (logits, quality): float32 (boxes, side ÷ 4, side ÷ 4), above 0 where the mask is; and the network's
            estimate of each mask's IoU, float32 (boxes,).
        """

    def compile(self, compiler: str = "inductor") -> None:
        """Have the encoder compiled when it first runs, by a backend of torch.compile."""


@contextmanager
def inference() -> Iterator[None]:
    """Inference in exactly the precision that was asked for: no TF32 for float32, no algorithm picked by timing."""
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield


def load_network(
    backend: Literal["transformers", "original"],
    folder: Path,
    device: torch.device,
    precision: Literal["float16", "float32"],
) -> Sam2Network:
    """The network of a checkpoint folder, ready on the device.

    Raises:
        StageCrash: a package or a file of the checkpoint is missing, or the weights don't fit.
    """
    dtype = torch.float16 if precision == "float16" else torch.float32
    try:
        if backend == "transformers":
            from pipeline.models.sam2.transformers_network import TransformersNetwork

            return TransformersNetwork.load(folder, device, dtype)
        from pipeline.models.sam2.original_network import OriginalNetwork

        return OriginalNetwork.load(folder, device, dtype)
    except ModuleNotFoundError as error:
        extra = "gpu" if backend == "transformers" else "gpu --extra original"
        raise StageCrash(
            f"segmenter sam2 with backend {backend} needs the package {error.name!r}, which is not installed: "
            f"uv sync --inexact --extra {extra}"
        ) from error
