"""8-bit colour from whatever an image file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0


def to_rgb(image: Image, tiff_tags: Mapping[int, Any]) -> Image:
    """8-bit RGB on white, from any mode: deep greys are scaled, inks converted, transparency laid on white.

    `tiff_tags` are those of the file, empty for another kind: they say how many bits a deep grey has, and which end
    of it is white.
    """
    from PIL import Image as Images

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image, tiff_tags)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Images.new("RGBA", layered.size, "white")
        return Images.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image, tags: Mapping[int, Any]) -> Image:
    """Grey of 12, 16 or 32 bits or of floats, scaled by what its kind can hold; floats by their largest value.

    Floats that are no numbers are black, as zeros are: one of them must not take the picture along.
    """
    import numpy as np
    from PIL import Image as Images

    values = np.asarray(image).astype(np.float32)
    bits = next(iter(tags.get(_BITS_PER_SAMPLE, (16,))))
    if image.mode == "F":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(2 ** min(bits, 16) - 1) if image.mode != "F" else float(values.max(initial=0.0)) or 1.0
    share = np.clip(values / top, 0, 1)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        share = 1 - share
    return Images.fromarray((share * 255).round().astype(np.uint8), "L").convert("RGB")
