"""Pages as the model sees them: shrunk or enlarged to its scale and normalised, on the device, by torch alone.

The published pipelines resize with Pillow, which rounds to whole grey levels after either direction; here the rounding
comes once, after both. A value differs by one of 255 levels at most, 0.018 after normalisation, as in the
processor of `transformers`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import StageCrash

if TYPE_CHECKING:
    import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Red, green, blue, of values from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How large the model sees a page, and on which scale its colours."""

    short_side_px: int = 800
    long_side_px: int = 1333
    """The short side is made so long, or less where the long side would exceed this."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in which the model sees a page of this size.

        The rule of the published processor. That of the reference code differs by a pixel on pages
        longer than 5 : 3, where it may exceed the long side's limit.
        """
        short, long = min(height, width), max(height, width)
        exact: float = self.short_side_px
        if long / short * self.short_side_px > self.long_side_px:
            exact = self.long_side_px * float(short) / float(long)
        new_short = round(exact)
        if short == new_short:
            return height, width
        if width < height:
            return max(1, int(exact * height / width)), max(1, new_short)
        return max(1, new_short), max(1, int(exact * width / height))

    def to_input(self, pages: torch.Tensor) -> torch.Tensor:
        """Make pages of one size ready for the model; nothing waits for the device.

        Args:
            pages: uint8, (batch, height, width, 3), blue-green-red.

        Returns:
            float32, (batch, 3, new height, new width), red-green-blue.
        """
        import torch
        from torch.nn import functional

        size = self.size_of(pages.shape[1], pages.shape[2])
        planes = pages.permute(0, 3, 1, 2).flip(1).float()
        if size != tuple(pages.shape[1:3]):
            planes = functional.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
            planes = planes.round_().clamp_(0, 255)
        scale = [1 / (255 * deviation) for deviation in self.std]
        shift = [-mean / deviation for mean, deviation in zip(self.mean, self.std, strict=True)]
        # One value at a time, because a tensor of them would be copied from pageable memory, which waits.
        for channel in range(3):
            planes[:, channel].mul_(scale[channel]).add_(shift[channel])
        return planes.contiguous(memory_format=torch.contiguous_format)


def read_preprocessing(folder: Path) -> Preprocessing:
    """What the checkpoint's `preprocessor_config.json` says; without the file, what the models were published with.

    Raises:
        StageCrash: the file asks for something else than resizing by the shorter side.
    """
    path = folder / "preprocessor_config.json"
    if not path.exists():
        return Preprocessing()
    told = json.loads(path.read_text())
    size = told.get("size", {})
    if not {"shortest_edge", "longest_edge"} <= set(size):
        raise StageCrash(f"{path} has no size with shortest_edge and longest_edge, by which pages are resized")
    return Preprocessing(
        size["shortest_edge"], size["longest_edge"],
        _triple(told.get("image_mean", IMAGENET_MEAN)), _triple(told.get("image_std", IMAGENET_STD)),
    )  # fmt: skip


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
