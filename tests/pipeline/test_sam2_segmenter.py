"""The segmenter `sam2`: what it needs, what it says when that is missing, and masks for the boxes of real pages."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.core.errors import ItemError, PipelineError, RetryableError, StageCrash
from pipeline.docparse.masks import to_rle
from pipeline.docparse.raw import PageImage
from pipeline.docparse.refining import ROOM_SHARE, WINDOW_PX, windows
from pipeline.docparse.sam2_segmenter import Sam2Segmenter
from pipeline.docparse.segmenting import Mask
from pipeline.docparse.words import PageText
from pipeline.models.sam2.params import Sam2Params
from tests.pipeline.tiny_sam2 import write_tiny_sam2

ON_CPU = {"checkpoint": "sam2-test", "device": "cpu", "precision": "float32"}
BOXES = [(40.0, 60.0, 400.0, 300.0), (50.0, 500.0, 300.0, 504.0), (10.0, 600.0, 30.0, 640.0)]

pytestmark = pytest.mark.xdist_group("sam2")  # one process imports what runs the models


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_tiny_sam2(root / "sam2-test", seed=11)
    return root


@pytest.fixture(autouse=True)
def _registry(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of the user's own, with the tiny checkpoint and one that was never fetched."""
    files = [
        {"path": path.name, "bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
        for path in sorted((models / "sam2-test").iterdir())
        if path.is_file()
    ]
    entries = {name: {"hub": "nobody/sam2-test", "files": files} for name in ("sam2-test", "sam2-absent")}
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setenv("MODEL_REGISTRY", str(tmp_path / "registry.yaml"))
    monkeypatch.setenv("MODEL_DIR", str(models))


def page(width: int = 500, height: int = 700) -> PageImage:
    pixels = np.full((height, width, 3), 255, np.uint8)
    cv2.rectangle(pixels, (40, 60), (400, 300), (40, 80, 200), -1)
    cv2.line(pixels, (50, 502), (300, 502), (0, 0, 0), 1)
    return PageImage(pixels, PageText(width, height, 150, ()))


def segmenter(**changes: Any) -> Sam2Segmenter:
    made = Sam2Segmenter(Sam2Params(**{**ON_CPU, **changes}))
    made.setup()
    return made


def same(one: Mask, other: Mask) -> bool:
    return (one.left, one.top, one.flags) == (other.left, other.top, other.flags) and np.array_equal(
        one.pixels, other.pixels
    )


def test_masks_come_for_every_box_and_again_the_same() -> None:
    cutter = segmenter()
    first, empty = cutter.segment([page(), page()], [BOXES, []])
    assert empty == []
    assert len(first) == len(BOXES)
    assert any(mask.pixels.any() for mask in first)
    again = cutter.segment([page()], [BOXES])[0]
    assert [to_rle(mask, 500, 700) for mask in first] == [to_rle(mask, 500, 700) for mask in again]
    assert all(0 <= mask.quality <= 1 and 0 <= mask.stability <= 1 for mask in first)
    cutter.teardown()
    with pytest.raises(AssertionError, match="setup comes before segment"):
        cutter.segment([page()], [BOXES])


def test_the_second_pass_changes_small_and_thin_regions_only() -> None:
    plain = segmenter().segment([page()], [BOXES])[0]
    refined = segmenter(refine_below_px=24).segment([page()], [BOXES])[0]
    assert same(plain[0], refined[0])
    assert plain[0].quality == pytest.approx(refined[0].quality)
    assert all(plain[box].quality != pytest.approx(refined[box].quality, abs=1e-4) for box in (1, 2))
    for mask in refined:
        rows, columns = mask.pixels.shape
        assert mask.left >= 0
        assert mask.top >= 0
        assert mask.left + columns <= 500
        assert mask.top + rows <= 700


def test_answers_that_are_no_numbers_are_an_items_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cutter = segmenter()
    network: Any = cutter._predictor._network  # type: ignore[union-attr]
    decode = network.decode
    monkeypatch.setattr(network, "decode", lambda *args: (decode(*args)[0] * float("nan"), decode(*args)[1]))
    with pytest.raises(ItemError, match=r"not numbers: run this page with segmenter.precision=float32"):
        cutter.segment([page()], [BOXES])


@pytest.mark.parametrize(
    ("raised", "told", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            RetryableError,
            "resume on one that",
        ),
        (torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel"), RetryableError, "nvidia-smi"),
        (torch.AcceleratorError("CUDA error: an illegal memory access\nCUDA kernel"), StageCrash, "an illegal memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), StageCrash, "resume the run"),
        (RuntimeError("shapes differ"), RuntimeError, "^shapes differ$"),
    ],
)
def test_a_gpu_that_fails_costs_no_page(
    raised: Exception, told: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise raised

    cutter = segmenter()
    monkeypatch.setattr(cutter._predictor._network, "decode", fail)  # type: ignore[union-attr]
    with pytest.raises(told, match=said) as caught:
        cutter.segment([page()], [BOXES])
    assert type(caught.value) is told
    assert "\n" not in str(caught.value)


def test_cache_keys_tell_all_that_changes_a_mask_and_nothing_else() -> None:
    key = Sam2Segmenter(Sam2Params(**ON_CPU)).key_parts()
    assert len(key["checkpoint"]) >= 32
    assert set(Sam2Segmenter(Sam2Params(**ON_CPU)).libraries()) == {"torch", "transformers"}
    for change in ({"backend": "original"}, {"refine_below_px": 24}, {"compile": True}):
        assert Sam2Segmenter(Sam2Params(**{**ON_CPU, **change})).key_parts() != key
    assert Sam2Segmenter(Sam2Params(**{**ON_CPU, "batch_size": 2, "boxes_per_call": 8})).key_parts() == key


def test_a_segmenter_is_built_without_any_model_library() -> None:
    code = (
        "import sys; from pipeline.docparse.sam2_segmenter import Sam2Segmenter; "
        "from pipeline.models.sam2.params import Sam2Params; Sam2Segmenter(Sam2Params()).batch_size; "
        "print([name for name in ('torch', 'transformers', 'sam2', 'numpy', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkpoint_that_was_not_fetched_names_the_command() -> None:
    with pytest.raises(PipelineError, match="spotter weights fetch sam2-absent"):
        segmenter(checkpoint="sam2-absent")


def test_a_gpu_that_is_not_there_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageCrash, match=r"torch sees none: .* segmenter\.device=cpu"):
        segmenter(device="cuda", precision="float16")


@pytest.mark.parametrize(
    ("backend", "library", "extra"),
    [("transformers", "transformers", "gpu"), ("original", "sam2", "gpu --extra original")],
)
def test_a_library_that_is_not_installed_names_the_command(
    backend: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    from pipeline.docparse import sam2_segmenter

    def version(name: str) -> str:
        if name == library:
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(sam2_segmenter, "version", version)
    with pytest.raises(
        StageCrash, match=f"package '{library}', which is not installed: uv sync --inexact --extra {extra}"
    ):
        segmenter(backend=backend)


def test_half_precision_on_a_processor_is_refused() -> None:
    with pytest.raises(ValidationError, match="float16 needs a GPU: write precision: float32"):
        Sam2Params(device="cpu")


boxes_on_page = st.tuples(st.floats(0, 1200), st.floats(0, 1700), st.floats(1, 900), st.floats(1, 900)).map(
    lambda drawn: (drawn[0], drawn[1], min(1240.0, drawn[0] + drawn[2]), min(1754.0, drawn[1] + drawn[3]))
)


@given(st.lists(boxes_on_page, max_size=20))
@settings(max_examples=60, deadline=None)
def test_every_small_box_lies_whole_in_one_window(boxes: list[tuple[float, float, float, float]]) -> None:
    found = windows(boxes, 1240, 1754, 24)
    held = sorted(index for window in found for index in window.boxes)
    assert held == [
        index for index, (left, top, right, bottom) in enumerate(boxes) if min(right - left, bottom - top) < 24
    ]
    for window in found:
        assert 0 <= window.left < window.right <= 1240
        assert 0 <= window.top < window.bottom <= 1754
        for left, top, right, bottom in window.moved([boxes[index] for index in window.boxes]):
            assert left >= -1
            assert top >= -1
            assert right <= window.right - window.left + 1
            assert bottom <= window.bottom - window.top + 1


def test_arrows_near_each_other_share_a_window() -> None:
    row = [(left, 300.0, left + 40, 310.0) for left in (100.0, 160.0, 220.0, 900.0)]
    found = windows(row, 1240, 1754, 24)
    assert [window.boxes for window in found] == [(0, 1, 2), (3,)]
    assert found[0].right - found[0].left == WINDOW_PX


def test_a_long_line_gets_a_larger_window_and_one_as_long_as_the_page_none() -> None:
    long, page_long = (100.0, 100.0, 900.0, 104.0), (0.0, 50.0, 1754.0, 54.0)
    found = windows([long, page_long], 1754, 1240, 24)
    assert [window.boxes for window in found] == [(0,)]
    assert found[0].right - found[0].left == round(800 / (1 - 2 * ROOM_SHARE))
