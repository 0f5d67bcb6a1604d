"""Pictures to boxes and scores: uploaded raw, batched by size, and fetched once all passes are on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy
import torch

from pipeline.core.errors import ItemError
from pipeline.models.grounding_dino.backend import Backend
from pipeline.models.grounding_dino.preprocess import Preprocessing
from pipeline.models.grounding_dino.prompt import Prompt

if TYPE_CHECKING:
    Pixels = numpy.ndarray[Any, Any]

LEVEL_STRIDES = (8, 16, 32, 64)
"""Pixels of the model's picture per cell, for each level that it proposes boxes from."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the model said of one picture; one row a query, in no order that means anything."""

    boxes: Pixels
    """float64, (queries, 4): left, top, right, bottom in pixels of the picture, inside of it."""
    scores: Pixels
    """float32, (queries, phrases), 0 to 1."""


class Predictor:
    """A model, its prompt and the device they are on."""

    def __init__(
        self,
        backend: Backend,
        prompt: Prompt,
        preprocessing: Preprocessing,
        device: str,
        batch_size: int,
        *,
        fixed_batch: bool = False,
    ) -> None:
        """Put the parts together.

        Args:
            backend: loaded for `prompt` on `device`.
            prompt: its phrases are the columns of scores.
            preprocessing: of the checkpoint.
            device: `cuda` or `cpu`.
            batch_size: most pictures in one pass.
            fixed_batch: fill batches up to powers of two, so that a compiled model meets few shapes.
        """
        self._backend = backend
        self._prompt = prompt
        self._preprocessing = preprocessing
        self._device = device
        self._batch_size = batch_size
        self._fixed_batch = fixed_batch

    def find(self, pictures: Sequence[Pixels]) -> list[Found]:
        """Look at pictures of any sizes; only those of one size share a pass, because padding would change results.

        Args:
            pictures: uint8, (height, width, 3), blue-green-red.

        Raises:
            ItemError: a picture is too narrow, or the model's numbers are none.
            torch.OutOfMemoryError: not even one picture fits into the device's memory.
        """
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            self._check_size(height, width)
            buckets.setdefault((height, width), []).append(index)
        on_their_way = [
            (indices[start : start + self._batch_size], *self._launch([pictures[index] for index in some]))
            for indices in buckets.values()
            for start in range(0, len(indices), self._batch_size)
            if (some := indices[start : start + self._batch_size])
        ]
        found: dict[int, Found] = {}
        for indices, boxes, scores in on_their_way:
            # The first fetch waits for the device; nothing before it does.
            rows = zip(indices, boxes.cpu().numpy(), scores.cpu().numpy(), strict=True)
            found |= {index: self._found(box, score, pictures[index].shape) for index, box, score in rows}
        return [found[index] for index in range(len(pictures))]

    def look(self, pages: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass over pictures of one size that are on the device; waits for nothing.

        Args:
            pages: uint8, (batch, height, width, 3), blue-green-red.

        Returns:
            boxes: float32, (batch, queries, 4): centre x, centre y, width, height as shares of the picture.
            scores: float32, (batch, queries, phrases).
        """
        boxes, logits = self._backend.forward(self._preprocessing.to_input(pages))
        return boxes, self._prompt.scores(logits)

    def upload(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        """Pictures of one size on the device, raw: a fourth of what prepared ones would be; waits for nothing."""
        stacked = torch.from_numpy(numpy.stack(pictures))
        return stacked.pin_memory().to(self._device, non_blocking=True) if self._device == "cuda" else stacked

    def _launch(self, pictures: Sequence[Pixels]) -> tuple[torch.Tensor, torch.Tensor]:
        """Start the passes that a batch needs: one, or more where memory is short."""
        rows = self._rows(len(pictures))
        try:
            boxes, scores = self.look(self.upload([*pictures, *[pictures[-1]] * (rows - len(pictures))]))
        except torch.OutOfMemoryError:
            if len(pictures) == 1:
                raise
        else:
            return boxes[: len(pictures)], scores[: len(pictures)]
        # Outside of the handler, where the error no longer holds on to the tensors of the pass that failed.
        torch.cuda.empty_cache()
        middle = len(pictures) // 2
        halves = [self._launch(pictures[:middle]), self._launch(pictures[middle:])]
        return torch.cat([boxes for boxes, _ in halves]), torch.cat([scores for _, scores in halves])

    def _rows(self, pictures: int) -> int:
        if not self._fixed_batch:
            return pictures
        return max(pictures, min(self._batch_size, 1 << (pictures - 1).bit_length()))

    def _check_size(self, height: int, width: int) -> None:
        """The model proposes as many boxes as it has queries, each from a cell of its own."""
        seen_height, seen_width = self._preprocessing.size_of(height, width)
        cells = sum(ceil(seen_height / stride) * ceil(seen_width / stride) for stride in LEVEL_STRIDES)
        if cells < self._backend.queries:
            raise ItemError(
                f"a page of {width} × {height} pixels is too narrow for Grounding DINO, "
                f"which would see it as {seen_width} × {seen_height}: cut it into pages"
            )

    def _found(self, boxes: Pixels, scores: Pixels, shape: Sequence[int]) -> Found:
        if not (numpy.isfinite(boxes).all() and numpy.isfinite(scores).all()):
            raise ItemError(
                "Grounding DINO gave values that are not numbers, as it may in float16: "
                "run this page with detector.precision=float32"
            )
        height, width = shape[:2]
        size = numpy.array([width, height], dtype=numpy.float64)
        centres, halves = boxes[:, :2] * size, boxes[:, 2:] * size / 2
        corners = numpy.concatenate([centres - halves, centres + halves], axis=1)
        return Found(corners.clip(0, numpy.tile(size, 2)), scores)
