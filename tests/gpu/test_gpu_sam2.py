"""SAM 2 on a GPU: half precision beside single, no wait for the device inside a batch, the compiled encoder.

Skipped, and said so, where there is none. The weights are random and of a middle size, scaled as trained ones are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.vision_arms.pages import Page, draw_pages
from pipeline.models.sam2.crops import Crop, Cuts, collect
from pipeline.models.sam2.network import load_network
from pipeline.models.sam2.predictor import Predictor
from tests.pipeline.tiny_sam2 import write_tiny_sam2

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.xdist_group("gpu"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: SAM 2 on a GPU is not tested"),
]

LEAST_IOU = 0.995


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam2") / "tiny"
    write_tiny_sam2(folder, seed=7)
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Page]:
    return draw_pages(tmp_path_factory.mktemp("pages") / "drawn", 3, 1240, 1754)


def predictor(checkpoint: Path, device: str, precision: Any, *, backend: Any = "transformers", **how: Any) -> Predictor:
    where = torch.device(device)
    network = load_network(backend, checkpoint, where, precision)
    if how.get("fixed_batch"):
        network.compile()
    return Predictor(network, where, 4, 64, fixed_batch=how.get("fixed_batch", False))


def crops(made: Predictor, pages: list[Page]) -> list[Crop]:
    found = made.crops([page.read_raw().pixels for page in pages], [page.boxes for page in pages])
    return [crop for of_page in found for crop in of_page]


def mean_iou(ours: list[Crop], theirs: list[Crop]) -> float:
    ious = []
    for one, other in zip(ours, theirs, strict=True):
        union = (one.pixels | other.pixels).sum()
        ious.append((one.pixels & other.pixels).sum() / union if union else 1.0)
    return float(np.mean(ious))


@pytest.mark.parametrize("backend", ["transformers", "original"])
def test_half_precision_cuts_the_masks_of_single(checkpoint: Path, pages: list[Page], backend: str) -> None:
    half = crops(predictor(checkpoint, "cuda", "float16", backend=backend), pages)
    single = crops(predictor(checkpoint, "cuda", "float32", backend=backend), pages)
    assert all(crop.finite for crop in half)
    assert mean_iou(half, single) >= LEAST_IOU


def test_a_gpu_cuts_the_masks_of_a_processor(checkpoint: Path, pages: list[Page]) -> None:
    there = crops(predictor(checkpoint, "cuda", "float32"), pages)
    here = crops(predictor(checkpoint, "cpu", "float32"), pages)
    assert mean_iou(there, here) >= 0.999


@pytest.mark.parametrize("backend", ["transformers", "original"])
def test_nothing_waits_for_the_device_before_the_masks_are_fetched(
    checkpoint: Path, pages: list[Page], backend: str
) -> None:
    made = predictor(checkpoint, "cuda", "float16", backend=backend)
    crops(made, pages)
    pixels, boxes = [page.read_raw().pixels for page in pages], [page.boxes for page in pages]
    torch.cuda.set_sync_debug_mode("error")
    try:
        waiting: list[Cuts] = list(made._cuts(pixels, boxes))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(collect(waiting)) == sum(len(of_page) for of_page in boxes)


@pytest.mark.parametrize("backend", ["transformers", "original"])
def test_the_compiled_encoder_is_one_graph_and_cuts_the_same_masks(
    checkpoint: Path, pages: list[Page], backend: str
) -> None:
    compiled = crops(predictor(checkpoint, "cuda", "float16", backend=backend, fixed_batch=True), pages)
    plain = crops(predictor(checkpoint, "cuda", "float16", backend=backend), pages)
    assert mean_iou(compiled, plain) >= LEAST_IOU


def test_memory_stays_bounded_when_a_page_has_many_large_boxes(checkpoint: Path, pages: list[Page]) -> None:
    made = predictor(checkpoint, "cuda", "float16")
    page = pages[0]
    whole = (0.0, 0.0, float(page.width), float(page.height))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    found = made.crops([page.read_raw().pixels], [[whole] * 128])[0]
    assert len(found) == 128
    assert torch.cuda.max_memory_allocated() - before < 1_500_000_000
