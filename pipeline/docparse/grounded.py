"""The `grounding-dino` detector: raw boxes with a score for every phrase, from whole pages and from tiles of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import StageCrash
from pipeline.docparse.raw import RAW_FLOOR, PageImage, RawBox, RawPage
from pipeline.models.gpu_faults import gpu_faults
from pipeline.models.grounding_dino.params import GroundingDinoParams
from pipeline.models.grounding_dino.tiles import Tile, tiles_of

if TYPE_CHECKING:
    from pipeline.models.grounding_dino.predictor import Found, Predictor

LIBRARIES = {"transformers": ("torch", "transformers"), "original": ("torch", "transformers", "groundingdino-py")}
"""What runs the model, by backend; distributions, as pip names them."""

BOX_DECIMALS = 1
SCORE_DECIMALS = 3
"""Finer digits change with the pages that shared a batch, in which sums are added up in another order."""


class GroundedDetector:
    """Finds boxes for phrases with Grounding DINO (a `Detector`); building one loads nothing."""

    name = "grounding-dino"
    version = "1"
    device = True
    reads_words = False

    def __init__(self, params: GroundingDinoParams) -> None:
        self._params = params
        self._predictor: Predictor | None = None
        self.batch_size = params.batch_size

    def key_parts(self) -> Mapping[str, Any]:
        """All that changes raw boxes: weights, phrases, tiles, precision.

        Thresholds and labels are not among them: they are applied to raw boxes later.
        """
        from pipeline.models.checkpoints import digest

        params = self._params
        return {
            "checkpoint": digest(params.checkpoint),
            "phrases": list(params.phrases),
            **params.model_dump(mode="json", include={"backend", "precision", "device", "compile", "tile_px"}),
            "tile_overlap": None if params.tile_px is None else params.tile_overlap,
        }

    def libraries(self) -> Mapping[str, str]:
        """The libraries that run the model.

        Raises:
            CheckpointMissing, CheckpointDamaged: its weights are not here; whatever else is, it cannot work.
            StageCrash: one is not installed, so that no key can say which one found the boxes.
        """
        from pipeline.models.checkpoints import locate

        locate(self._params.checkpoint)
        return {library: self._version_of(library) for library in LIBRARIES[self._params.backend]}

    def setup(self) -> None:
        """Load the checkpoint onto the device.

        Raises:
            StageCrash: package, checkpoint or GPU are missing; the sentence has the command that mends it.
            UsageError: the model cannot read the prompts.
        """
        self.libraries()
        try:
            self._predictor = self._load()
        except ModuleNotFoundError as error:
            raise self._not_installed(error.name or str(error)) from error

    def teardown(self) -> None:
        """Let go of the device's memory."""
        if self._predictor is None:
            return
        self._predictor = None
        if self._params.device == "cuda":
            import gc

            import torch

            gc.collect()
            torch.cuda.empty_cache()

    def find(self, pages: Sequence[PageImage]) -> list[RawPage]:
        """Raw boxes of pages, in order: for each the whole page, and its tiles where the parameters ask for them.

        Raises:
            ItemError: a page has a shape or values that the model cannot work with.
            RetryableError: a page does not fit into the GPU's memory.
            StageCrash: the GPU does not work any more.
        """
        assert self._predictor is not None, "setup comes before find"
        windows = [self._windows(page) for page in pages]
        pictures = [
            page.pixels[top:bottom, left:right]
            for page, of_page in zip(pages, windows, strict=True)
            for left, top, right, bottom in of_page
        ]
        with gpu_faults():
            found = iter(self._predictor.find(pictures))
        return [self._raw_page(of_page, [next(found) for _ in of_page]) for of_page in windows]

    def _windows(self, page: PageImage) -> list[Tile]:
        """What is looked at of a page: all of it, then its tiles."""
        height, width = page.pixels.shape[:2]
        whole = (0, 0, width, height)
        if self._params.tile_px is None:
            return [whole]
        return [whole, *tiles_of(width, height, self._params.tile_px, self._params.tile_overlap)]

    def _raw_page(self, windows: Sequence[Tile], found: Sequence[Found]) -> RawPage:
        """Boxes above the floor in page pixels, the best first; equal ones by where they lie."""
        phrases = self._params.phrases
        boxes: list[RawBox] = []
        for number, (window, of_window) in enumerate(zip(windows, found, strict=True)):
            corner = [window[0], window[1]] * 2
            scores = of_window.scores.astype("float64").round(SCORE_DECIMALS)
            corners = (of_window.boxes + corner).round(BOX_DECIMALS)
            for row in (scores.max(axis=1) >= RAW_FLOOR).nonzero()[0].tolist():
                kept = {
                    phrase: score
                    for phrase, score in zip(phrases, scores[row].tolist(), strict=True)
                    if score >= RAW_FLOOR
                }
                boxes.append(RawBox(tuple(corners[row].tolist()), kept, number - 1 if number else None))
        boxes.sort(key=_rank)
        tiles = [(float(left), float(top), float(right), float(bottom)) for left, top, right, bottom in windows[1:]]
        return RawPage(boxes, tiles=tiles, notes={"tiles": float(len(tiles))} if tiles else {})

    def _load(self) -> Predictor:
        import torch

        from pipeline.models.checkpoints import locate
        from pipeline.models.grounding_dino.backend import load_backend
        from pipeline.models.grounding_dino.checkpoint import open_checkpoint
        from pipeline.models.grounding_dino.predictor import Predictor
        from pipeline.models.grounding_dino.preprocess import read_preprocessing
        from pipeline.models.grounding_dino.prompt import make_prompt, read_tokenizer

        params = self._params
        if params.device == "cuda" and not torch.cuda.is_available():
            raise StageCrash(
                "detector grounding-dino is to run on a GPU and torch sees none: check the driver with nvidia-smi, or "
                "choose detector.device=cpu detector.precision=float32 (half a minute a page)"
            )
        folder = locate(params.checkpoint).folder
        prompt = make_prompt(params.phrases, read_tokenizer(open_checkpoint(folder).tokenizer))
        backend = load_backend(
            params.backend, folder, prompt, precision=params.precision, device=params.device, compiled=params.compile
        )
        return Predictor(
            backend, prompt, read_preprocessing(folder), params.device, params.batch_size, fixed_batch=params.compile
        )

    def _version_of(self, library: str) -> str:
        try:
            return version(library)
        except PackageNotFoundError as error:
            raise self._not_installed(library) from error

    def _not_installed(self, library: str) -> StageCrash:
        extra = "gpu" if self._params.backend == "transformers" else "original"
        return StageCrash(
            f"detector grounding-dino with backend {self._params.backend} needs the package {library!r}, which is not "
            f"installed: uv sync --inexact --extra gpu{' --extra original' if extra == 'original' else ''}"
        )


def _rank(found: RawBox) -> tuple[float, int, tuple[float, ...]]:
    return -max(found.scores.values()), -1 if found.tile is None else found.tile, found.box
