"""Grounding DINO on a GPU: float16 finds what float32 finds, nothing in a pass waits, and a compiled model agrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from pipeline.models.grounding_dino.backend import load_backend
from pipeline.models.grounding_dino.predictor import Found, Predictor
from pipeline.models.grounding_dino.preprocess import read_preprocessing
from pipeline.models.grounding_dino.prompt import Prompt, make_prompt, read_tokenizer
from tests.pipeline.tiny_gdino import write_tiny_grounding_dino

pytestmark = pytest.mark.gpu

WITHIN_PX = 1.5
"""Of a page of 1240 × 1754 pixels: how far a box may move by float16."""
SHARE = 0.95
"""Of the boxes; the others are those that a tie among proposals exchanged, which a random model has many of."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("checkpoints") / "tiny"
    write_tiny_grounding_dino(made, seed=5)
    return made


@pytest.fixture(scope="module")
def prompt(folder: Path) -> Prompt:
    return make_prompt(["diagram", "text box", "node", "legend"], read_tokenizer(folder))


@pytest.fixture(scope="module")
def pages() -> list[numpy.ndarray[Any, Any]]:
    source = numpy.random.default_rng(2)
    coarse = source.integers(0, 256, (8, 44, 31, 3), dtype=numpy.uint8)
    return [numpy.ascontiguousarray(one.repeat(40, 0).repeat(40, 1)[:1754, :1240]) for one in coarse]


@pytest.fixture
def waits_are_errors() -> Iterator[None]:
    """Whatever waits for the device raises."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def predictor(folder: Path, prompt: Prompt, precision: str, batch_size: int = 8, **kwargs: Any) -> Predictor:
    backend = load_backend("transformers", folder, prompt, precision=precision, device="cuda", **kwargs)  # type: ignore[arg-type]
    fixed = bool(kwargs.get("compiled"))
    return Predictor(backend, prompt, read_preprocessing(folder), "cuda", batch_size, fixed_batch=fixed)


def share_found_again(one: list[Found], other: list[Found], within_px: float) -> float:
    """Share of boxes that the other has too, whatever their order."""
    shares = []
    for found, again in zip(one, other, strict=True):
        apart = numpy.abs(found.boxes[:, None] - again.boxes[None]).max(-1).min(1)
        shares.append(float((apart <= within_px).mean()))
    return sum(shares) / len(shares)


def test_float16_finds_what_float32_finds(folder: Path, prompt: Prompt, pages: list[Any]) -> None:
    exact = predictor(folder, prompt, "float32").find(pages)
    half = predictor(folder, prompt, "float16").find(pages)
    assert share_found_again(exact, half, WITHIN_PX) >= SHARE
    assert share_found_again(half, exact, WITHIN_PX) >= SHARE
    for one, other in zip(exact, half, strict=True):
        nearest = numpy.abs(one.boxes[:, None] - other.boxes[None]).max(-1).argmin(1)
        assert numpy.median(numpy.abs(one.scores - other.scores[nearest])) <= 0.01


def test_the_gpu_finds_what_the_processor_finds(folder: Path, prompt: Prompt, pages: list[Any]) -> None:
    backend = load_backend("transformers", folder, prompt)
    here = Predictor(backend, prompt, read_preprocessing(folder), "cpu", 8).find(pages[:2])
    there = predictor(folder, prompt, "float32").find(pages[:2])
    assert share_found_again(here, there, 0.5) >= SHARE


def test_pages_in_a_batch_find_what_each_finds_alone(folder: Path, prompt: Prompt, pages: list[Any]) -> None:
    together = predictor(folder, prompt, "float32").find(pages)
    alone = predictor(folder, prompt, "float32", batch_size=1).find(pages)
    assert share_found_again(together, alone, 0.5) >= SHARE


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_nothing_between_upload_and_fetch_waits_for_the_device(
    precision: str, folder: Path, prompt: Prompt, pages: list[Any], request: pytest.FixtureRequest
) -> None:
    model = predictor(folder, prompt, precision)
    model.find(pages)  # reads the caption, and lets libraries set themselves up
    request.getfixturevalue("waits_are_errors")
    for _ in range(3):
        boxes, scores = model.look(model.upload(pages))
    torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(boxes).all()
    assert torch.isfinite(scores).all()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_compiled_model_finds_what_the_plain_one_finds(folder: Path, prompt: Prompt, pages: list[Any]) -> None:
    plain = predictor(folder, prompt, "float16").find(pages)
    compiled = predictor(folder, prompt, "float16", compiled=True)
    assert share_found_again(plain, compiled.find(pages), WITHIN_PX) >= SHARE
    assert share_found_again(plain[:3], compiled.find(pages[:3]), WITHIN_PX) >= SHARE


def test_the_original_backend_agrees_on_the_gpu(folder: Path, prompt: Prompt, pages: list[Any]) -> None:
    pytest.importorskip("groundingdino", reason="groundingdino-py is not installed: uv sync --inexact --extra original")
    backend = load_backend("original", folder, prompt, device="cuda")
    original = Predictor(backend, prompt, read_preprocessing(folder), "cuda", 2).find(pages[:2])
    assert share_found_again(original, predictor(folder, prompt, "float32").find(pages[:2]), 0.5) >= SHARE


def test_letting_go_frees_the_memory(folder: Path, prompt: Prompt, pages: list[Any]) -> None:
    import gc

    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = predictor(folder, prompt, "float16")
    model.find(pages)
    assert torch.cuda.memory_allocated() > before
    del model
    gc.collect()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() <= before + (1 << 20)
