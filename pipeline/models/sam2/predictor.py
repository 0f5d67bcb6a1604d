"""SAM 2 over batches of pages: an encoder pass for every page, decoder calls that boxes of many pages share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from pipeline.models.sam2.crops import Crop, Cuts, Places, collect, cut
from pipeline.models.sam2.images import model_input, to_device
from pipeline.models.sam2.network import Sam2Network

Array = np.ndarray[Any, Any]

BOXES_STEP = 8
"""Decoder calls take a multiple of this many boxes, so that the device sees few different shapes."""


class Predictor:
    """Masks for boxes on pages; waits for the device once per batch of pages."""

    def __init__(
        self, network: Sam2Network, device: torch.device, pages_at_once: int, boxes_at_once: int, *, fixed_batch: bool
    ) -> None:
        """`fixed_batch`: fill up the last batch of pages, for an encoder that is compiled for one shape."""
        self._network = network
        self._device = device
        self._pages_at_once = pages_at_once
        self._boxes_at_once = boxes_at_once
        self._fixed_batch = fixed_batch

    def crops(self, pages: Sequence[Array], boxes: Sequence[Sequence[Sequence[float]]]) -> list[list[Crop]]:
        """One mask per box of each page.

        Args:
            pages: uint8 (height, width, 3), blue-green-red; sizes may differ.
            boxes: per page, left, top, right, bottom in page pixels.

        Returns:
            Per page, crops in the boxes' order; a page without boxes costs nothing.
        """
        taken = [index for index, of_page in enumerate(boxes) if len(of_page)]
        found: list[list[Crop]] = [[] for _ in pages]
        for start in range(0, len(taken), self._pages_at_once):
            batch = taken[start : start + self._pages_at_once]
            crops = iter(
                collect(list(self._cuts([pages[index] for index in batch], [boxes[index] for index in batch])))
            )
            for index in batch:
                found[index] = [next(crops) for _ in boxes[index]]
        return found

    def _cuts(self, pages: Sequence[Array], boxes: Sequence[Sequence[Sequence[float]]]) -> Iterator[Cuts]:
        pictures = model_input(pages, self._network.side_px, self._device)
        if self._fixed_batch and len(pages) < self._pages_at_once:
            filling = pictures[-1:].expand(self._pages_at_once - len(pages), -1, -1, -1)
            pictures = torch.cat([pictures, filling])
        features = self._network.encode(pictures)
        rows = np.repeat(np.arange(len(pages)), [len(of_page) for of_page in boxes])
        flat = np.concatenate([np.asarray(of_page, dtype=np.float64).reshape(-1, 4) for of_page in boxes])
        sizes = np.array([[page.shape[1], page.shape[0]] for page in pages])[rows]
        places = Places.around(flat, sizes)
        prompts = (flat / np.tile(sizes, 2) * self._network.side_px).astype(np.float32)
        for start in range(0, len(flat), self._boxes_at_once):
            part = slice(start, min(start + self._boxes_at_once, len(flat)))
            logits, quality = self._decoded(features, rows[part], prompts[part])
            yield cut(logits, quality, places[part])

    def _decoded(self, features: Any, rows: Array, prompts: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and quality of some boxes; the call is filled up with boxes of the whole first page, then cut off."""
        count = len(rows)
        filling = -count % BOXES_STEP
        whole = np.array([[0, 0, self._network.side_px, self._network.side_px]], np.float32)
        rows = np.concatenate([rows, np.zeros(filling, np.int64)])
        prompts = np.concatenate([prompts, np.repeat(whole, filling, axis=0)])
        logits, quality = self._network.decode(
            features, to_device(rows, self._device), to_device(prompts, self._device)
        )
        return logits[:count], quality[:count]
