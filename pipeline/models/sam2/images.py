"""Pages as SAM 2 sees them: a square of RGB, resized with a filter and normalised, as the authors' package does it.

Our own few lines, because the package's and the library's both need torchvision's transforms, take one picture at a
time on the processor, and want red-green-blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's red, green and blue, with which the encoder was trained."""


def model_input(pages: Sequence[np.ndarray[Any, Any]], side_px: int, device: torch.device) -> torch.Tensor:
    """Pages, uint8 (height, width, 3) blue-green-red of any sizes → float32 (pages, 3, side, side) on the device.

    The raw bytes travel, not floats; all arithmetic is done where the encoder runs. On a processor the result equals
    the package's bit for bit.
    """
    mean, std = (to_device(np.array(values, np.float32).reshape(3, 1, 1), device) for values in (MEAN, STD))
    squares = []
    for page in pages:
        blue_green_red = to_device(page, device)
        picture = blue_green_red.flip(-1).permute(2, 0, 1).contiguous().float().div(255)
        square = interpolate(picture[None], (side_px, side_px), mode="bilinear", align_corners=False, antialias=True)
        squares.append(square[0].sub_(mean).div_(std))
    return torch.stack(squares)


def to_device(array: np.ndarray[Any, Any], device: torch.device) -> torch.Tensor:
    """An array on the device; from pinned memory where there is a GPU, so that nobody waits for the copy."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
