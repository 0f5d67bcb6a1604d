"""What a scanner, a screenshot tool and a mail client do to a page: the pixels suffer, the truth stays."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import cv2
import numpy as np

from pipeline.docparse.quality.truth import TruePage


def scanned(page: TruePage, random: Random, dark: bool) -> TruePage:
    """The page after its journey; a dark one was a screenshot, so it has no paper and no lamp, only compression."""
    assert page.pixels is not None
    pixels = page.pixels.astype(np.float32)
    height, width = pixels.shape[:2]
    noise = np.random.default_rng(random.getrandbits(32))
    if not dark:
        if random.random() < 0.5:
            pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
        toner, paper = random.uniform(15, 60), random.uniform(225, 252)
        pixels = toner + pixels * ((paper - toner) / 255)
        texture = noise.normal(0, 1, (height // 24 + 2, width // 24 + 2)).astype(np.float32)
        pixels += (
            random.uniform(0.5, 3.0) * cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None]
        )
        lamp = np.linspace(-1, 1, width, dtype=np.float32) * random.uniform(-9, 9)
        pixels += lamp[None, :, None]
    blur = random.uniform(0.3, 0.7) if dark else random.uniform(0.4, 1.1)
    pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    sigma = random.uniform(0, 2) if dark else random.uniform(1.5, 6)
    grain = noise.normal(0, sigma, (height, width, 1)).astype(np.float32)
    pixels = np.clip(pixels + grain, 0, 255).round().astype(np.uint8)
    if not dark:
        _dust(pixels, noise)
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, random.randint(45, 85)])
    assert ok, "OpenCV encodes any 8-bit image"
    return replace(page, pixels=cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def _dust(pixels: np.ndarray, noise: np.random.Generator) -> None:
    """Specks on the glass."""
    height, width = pixels.shape[:2]
    for x, y, side in zip(
        noise.integers(0, width, 40), noise.integers(0, height, 40), noise.integers(1, 4, 40), strict=True
    ):
        patch = pixels[y : y + side, x : x + side]
        patch[:] = np.maximum(patch.astype(np.int16) - 70, 0).astype(np.uint8)
