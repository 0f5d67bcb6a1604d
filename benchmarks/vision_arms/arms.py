"""A1 to A5: the pipeline's own models, from one page at a time in single precision to all that it does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn.functional import interpolate

from benchmarks.vision_arms.pages import Page
from benchmarks.vision_arms.writing import write_cut, write_page
from pipeline.docparse.grounded import GroundedDetector
from pipeline.docparse.raw import PageImage
from pipeline.docparse.run_lengths import rle_of
from pipeline.docparse.sam2_segmenter import Sam2Segmenter
from pipeline.docparse.segmenting import Mask
from pipeline.models.sam2.images import model_input
from pipeline.models.sam2.network import Sam2Network

TEXT_THRESHOLD = 0.25
"""R000-34."""
HAS_COCO = find_spec("pycocotools") is not None


@dataclass
class Models:
    """A detector and a segmenter that are set up."""

    detector: GroundedDetector
    segmenter: Sam2Segmenter

    def network(self) -> Sam2Network:
        """The segmenter's network, for arms that cut masks the plain way."""
        predictor: Any = self.segmenter._predictor
        network: Sam2Network = predictor._network
        return network

    def close(self) -> None:
        """Let go of the device's memory."""
        self.detector.teardown()
        self.segmenter.teardown()


class PlainArm:
    """A1 to A3: pages from PNG files; whole pages' masks brought over and encoded there; one thing after another."""

    def __init__(self, name: str, what: str, models: Models, batch: int, device: str) -> None:
        self.name = name
        self.what = what
        self.models = models
        self._batch = batch
        self._device = torch.device(device)

    def run(self, pages: Sequence[Page], out: Path) -> float:
        """Everything from files of pages to files of regions; seconds."""
        begun = time.perf_counter()
        for start in range(0, len(pages), self._batch):
            some = pages[start : start + self._batch]
            pixels = [cv2.imread(str(page.png)) for page in some]
            found = self.models.detector.find([_image(page, own) for page, own in zip(some, pixels, strict=True)])
            for page, raw, (masks, quality) in zip(some, found, self.masks(some, pixels), strict=True):
                rles = [full_page_rle(mask) for mask in masks]
                write_page(out, page, raw, rles, quality)
        return time.perf_counter() - begun

    def masks(self, pages: Sequence[Page], pixels: Sequence[Any]) -> Iterator[tuple[Any, list[float]]]:
        """Page-size masks (boxes, height, width), bool, in main memory, and their quality, page by page."""
        network = self.models.network()
        features = network.encode(model_input(pixels, network.side_px, self._device))
        for row, page in enumerate(pages):
            scale = np.array([network.side_px / page.width, network.side_px / page.height] * 2)
            boxes = torch.tensor(np.array(page.boxes) * scale, dtype=torch.float32, device=self._device)
            rows = torch.full((len(boxes),), row, dtype=torch.int64, device=self._device)
            logits, quality = network.decode(features, rows, boxes)
            size = (page.height, page.width)
            whole = interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0]
            yield (whole > 0).cpu().numpy(), quality.cpu().tolist()

    def close(self) -> None:
        """Let go of the device's memory."""
        self.models.close()


class FullArm:
    """A4 and A5: raw pixels read ahead, masks cut inside their boxes, files written by other processes meanwhile."""

    def __init__(self, name: str, what: str, models: Models, batch: int, writers: ProcessPoolExecutor) -> None:
        self.name = name
        self.what = what
        self.models = models
        self._batch = batch
        self._writers = writers
        self._reader = ThreadPoolExecutor(1)

    def run(self, pages: Sequence[Page], out: Path) -> float:
        """Everything from raw pages to files of regions, the last one written; seconds."""
        begun = time.perf_counter()
        batches = [pages[start : start + self._batch] for start in range(0, len(pages), self._batch)]
        ahead = self._reader.submit(_read, batches[0])
        writing: list[Future[None]] = []
        for number, some in enumerate(batches):
            images = ahead.result()
            if number + 1 < len(batches):
                ahead = self._reader.submit(_read, batches[number + 1])
            found = self.models.detector.find(images)
            cut = self.cut(some, images)
            for page, raw, masks in zip(some, found, cut, strict=True):
                writing.append(self._writers.submit(write_cut, out, page, raw, masks))
        for one in writing:
            one.result()
        return time.perf_counter() - begun

    def cut(self, pages: Sequence[Page], images: Sequence[PageImage]) -> list[list[Mask]]:
        """Masks of the constant boxes."""
        return self.models.segmenter.segment(images, [page.boxes for page in pages])

    def close(self) -> None:
        """Let go of the device's memory and of the thread."""
        self._reader.shutdown()
        self.models.close()


def full_page_rle(mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Run lengths of a page-size mask, by looking at the whole page: pycocotools, or ours where that is missing."""
    if not HAS_COCO:
        ours = rle_of(0, 0, mask, mask.shape[1], mask.shape[0])
        return {"size": list(ours.size), "counts": ours.counts}
    from pycocotools import mask as coco

    packed = coco.encode(np.array(mask[:, :, None], order="F", dtype="uint8"))[0]
    return {"size": packed["size"], "counts": packed["counts"].decode("ascii")}


def _image(page: Page, pixels: Any) -> PageImage:
    from pipeline.docparse.words import PageText

    return PageImage(pixels, PageText(page.width, page.height, 150, ()))


def _read(pages: Sequence[Page]) -> list[PageImage]:
    return [page.read_raw() for page in pages]
