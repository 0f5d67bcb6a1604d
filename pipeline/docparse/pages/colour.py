"""8-bit colour from whatever an image file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_UNSIGNED = 1
_DEEPEST_BITS = 16
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
    """Grey of 12 or 16 bits, scaled by what that can hold; of 32 bits or of floats, scaled by its largest value.

    Measuring instruments write 32 bits and use few of them. Floats that are no numbers are black, as zeros are: one of
    them must not take the picture along.
    """
    import numpy as np
    from PIL import Image as Images

    values = np.asarray(image).astype(np.float64)
    bits = next(iter(tags.get(_BITS_PER_SAMPLE, (16,))))
    if bits > _DEEPEST_BITS and next(iter(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)))) == _UNSIGNED:
        values = np.where(values < 0, values + 2.0**32, values)  # Pillow reads them as if they had a sign
    if image.mode == "F":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    by_largest = image.mode == "F" or bits > _DEEPEST_BITS
    top = float(values.max(initial=0.0)) or 1.0 if by_largest else float(2**bits - 1)
    share = np.clip(values / top, 0, 1)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        share = 1 - share
    return Images.fromarray((share * 255).round().astype(np.uint8), "L").convert("RGB")
