"""The segmenter `sam2`: SAM 2 masks for the boxes of pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import ItemError, StageCrash
from pipeline.docparse.raw import PageImage
from pipeline.docparse.refining import Window, windows
from pipeline.docparse.segmenting import Mask
from pipeline.docparse.words import Box
from pipeline.models.gpu_faults import gpu_faults
from pipeline.models.sam2.params import Sam2Params

if TYPE_CHECKING:
    import numpy

    from pipeline.models.sam2.predictor import Predictor

LIBRARIES = {"transformers": ("torch", "transformers"), "original": ("torch", "sam2")}
"""What runs the network, by backend."""


class Sam2Segmenter:
    """Cuts masks with SAM 2 (a `Segmenter`); building one loads nothing."""

    name = "sam2"
    version = "1"

    def __init__(self, params: Sam2Params) -> None:
        self._params = params
        self._predictor: Predictor | None = None
        self.batch_size = params.batch_size
        self.device = params.device == "cuda"

    def key_parts(self) -> Mapping[str, Any]:
        """The checkpoint's digest, the precision, the second pass."""
        from pipeline.models.checkpoints import digest

        return {
            "checkpoint": digest(self._params.checkpoint),
            **self._params.model_dump(
                mode="json", include={"backend", "precision", "device", "compile", "refine_below_px"}
            ),
        }

    def libraries(self) -> Mapping[str, str]:
        """The libraries that run the network.

        Raises:
            CheckpointMissing, CheckpointDamaged: its weights are not here; whatever else is, it cannot work.
            StageCrash: one is not installed, so that no key can say which one made the masks.
        """
        from pipeline.models.checkpoints import locate

        locate(self._params.checkpoint)
        return {name: self._version(name) for name in LIBRARIES[self._params.backend]}

    def setup(self) -> None:
        """Load the checkpoint onto the device.

        Raises:
            StageCrash: package, checkpoint or GPU are missing; the sentence has the command that mends it.
        """
        self.libraries()
        import torch

        from pipeline.models.checkpoints import locate
        from pipeline.models.sam2.network import load_network
        from pipeline.models.sam2.predictor import Predictor

        params = self._params
        if params.device == "cuda" and not torch.cuda.is_available():
            raise StageCrash(
                "segmenter sam2 is to run on a GPU and torch sees none: check the driver with nvidia-smi, or choose "
                "segmenter.device=cpu (half a minute a page)"
            )
        folder = locate(params.checkpoint).folder
        device = torch.device(params.device)
        network = load_network(params.backend, folder, device, params.precision)
        if params.compile:
            network.compile()
        self._predictor = Predictor(
            network, device, params.batch_size, params.boxes_per_call, fixed_batch=params.compile
        )

    def teardown(self) -> None:
        """Let go of the device's memory."""
        self._predictor = None
        if self._params.device == "cuda":
            import torch

            torch.cuda.empty_cache()

    def segment(self, pages: Sequence[PageImage], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """Masks for the boxes (left, top, right, bottom in page pixels) of every page, in order.

        They are not judged yet: `masks.checked` does that where no device waits for it.

        Raises:
            ItemError: the network's answer about a page is not made of numbers.
            RetryableError: a page does not fit into the GPU's memory.
            StageCrash: the GPU does not work any more.
        """
        masks = self._cut([page.pixels for page in pages], boxes)
        if self._params.refine_below_px is not None:
            self._refine(pages, boxes, masks, self._params.refine_below_px)
        return masks

    def _cut(self, pages: Sequence[numpy.ndarray[Any, Any]], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        assert self._predictor is not None, "setup comes before segment"
        with gpu_faults():
            found = self._predictor.crops(pages, boxes)
        masks = []
        for crops in found:
            if not all(crop.finite for crop in crops):
                raise ItemError(
                    f"SAM 2 in {self._params.precision} gave mask values that are not numbers: "
                    "run this page with segmenter.precision=float32"
                )
            masks.append([Mask(crop.left, crop.top, crop.pixels, crop.quality, crop.stability) for crop in crops])
        return masks

    def _refine(
        self, pages: Sequence[PageImage], boxes: Sequence[Sequence[Box]], masks: list[list[Mask]], below_px: int
    ) -> None:
        """Replace the masks of small and thin regions by those cut from enlarged parts of their pages."""
        parts: list[tuple[int, Window]] = [
            (index, window)
            for index, (page, of_page) in enumerate(zip(pages, boxes, strict=True))
            for window in windows(of_page, page.pixels.shape[1], page.pixels.shape[0], below_px)
        ]
        again = self._cut(
            [window.of(pages[index].pixels) for index, window in parts],
            [window.moved([boxes[index][box] for box in window.boxes]) for index, window in parts],
        )
        for (index, window), found in zip(parts, again, strict=True):
            for box, mask in zip(window.boxes, found, strict=True):
                masks[index][box] = replace(mask, left=mask.left + window.left, top=mask.top + window.top)

    def _version(self, library: str) -> str:
        try:
            return version(library)
        except PackageNotFoundError as error:
            extra = "gpu --extra original" if self._params.backend == "original" else "gpu"
            raise StageCrash(
                f"segmenter sam2 with backend {self._params.backend} needs the package {library!r}, which is not "
                f"installed: uv sync --inexact --extra {extra}"
            ) from error
