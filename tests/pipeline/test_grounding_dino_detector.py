"""The `grounding-dino` detector: batches, tiles, raw boxes, keys, and what it says of what is missing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from pipeline.core.errors import ItemError, StageCrash
from pipeline.docparse import grounded
from pipeline.docparse.grounded import GroundedDetector
from pipeline.docparse.page_files import raw_to_json
from pipeline.docparse.raw import RAW_FLOOR, PageImage, RawBox
from pipeline.docparse.words import PageText
from pipeline.models.checkpoints import CheckpointDamaged, CheckpointMissing
from pipeline.models.grounding_dino.params import GroundingDinoParams
from pipeline.models.grounding_dino.predictor import Predictor
from pipeline.models.grounding_dino.preprocess import Preprocessing
from pipeline.models.grounding_dino.prompt import Prompt, make_prompt, read_tokenizer
from tests.pipeline.tiny_gdino import QUERIES, write_tiny_grounding_dino

PHRASES = ("diagram", "text box", "node", "watermark")
SMALL = Preprocessing(short_side_px=96, long_side_px=160)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_tiny_grounding_dino(folder / "tiny", seed=5)
    (folder / "other").mkdir()
    (folder / "other/model.safetensors").write_bytes(b"of other weights")
    return folder


@pytest.fixture(scope="module")
def prompt(root: Path) -> Prompt:
    return make_prompt(PHRASES, read_tokenizer(root / "tiny"))


@pytest.fixture(scope="module")
def registered(root: Path) -> Iterator[None]:
    """The checkpoint is in the registry and on this machine, under two names."""
    entries = {
        name: {
            "mirrors": ["http://127.0.0.1:9/nowhere"],
            "files": [
                {
                    "path": path.name,
                    "bytes": path.stat().st_size,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }
                for path in sorted((root / name).iterdir())
            ],
        }
        for name in ("tiny", "other")
    }
    (root / "registry.yaml").write_text(json.dumps(entries))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_REGISTRY", str(root / "registry.yaml"))
        patch.setenv("MODEL_DIR", str(root))
        yield


def params(**changes: Any) -> GroundingDinoParams:
    plain = {
        "checkpoint": "tiny", "device": "cpu", "precision": "float32", "batch_size": 4,
        "prompts": {"diagram": "diagram", "text box": "textbox", "node": "node"}, "negative_prompts": ["watermark"],
    }  # fmt: skip
    return GroundingDinoParams.model_validate({**plain, **changes})


def page(height: int, width: int, seed: int = 0) -> PageImage:
    """A page with some large shapes on it, so that what is seen differs from place to place."""
    source = numpy.random.default_rng(seed)
    coarse = source.integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=numpy.uint8)
    pixels = numpy.ascontiguousarray(coarse.repeat(40, axis=0).repeat(40, axis=1)[:height, :width])
    return PageImage(pixels, PageText(width, height, None, []))


@pytest.fixture(scope="module")
def detector(registered: None) -> GroundedDetector:
    made = GroundedDetector(params())
    made.setup()
    return made


def test_raw_boxes_lie_on_the_page_above_the_floor_best_first(detector: GroundedDetector) -> None:
    (raw,) = detector.find([page(300, 420)])
    best = [max(found.scores.values()) for found in raw.boxes]
    assert best == sorted(best, reverse=True)
    assert best[-1] >= RAW_FLOOR
    assert best[0] > 3 * RAW_FLOOR
    assert set().union(*(found.scores for found in raw.boxes)) == {"diagram", "text box", "node", "watermark"}
    for found in raw.boxes:
        left, top, right, bottom = found.box
        assert 0 <= left < right <= 420
        assert 0 <= top < bottom <= 300
        assert all(RAW_FLOOR <= score <= 1 for score in found.scores.values())
        assert found.tile is None


def test_a_gpu_that_fails_costs_no_page(detector: GroundedDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be")

    monkeypatch.setattr(Predictor, "look", fail)
    with pytest.raises(StageCrash, match=r"\(CUDA error: unspecified launch failure\): .* resume the run"):
        detector.find([page(300, 420)])


def test_a_page_is_told_the_same_in_the_same_bytes_every_time(registered: None) -> None:
    tellings = set()
    for _ in range(2):
        made = GroundedDetector(params(tile_px=256))
        made.setup()
        tellings.add(raw_to_json(made.find([page(300, 420)])[0]))
        made.teardown()
    assert len(tellings) == 1


def test_pages_of_several_sizes_get_what_each_gets_alone(detector: GroundedDetector) -> None:
    pages = [page(300, 420, 1), page(420, 300, 2), page(300, 420, 3), page(200, 200, 4), page(300, 420, 5)]
    together = detector.find(pages)
    for one, of_one in zip(pages, together, strict=True):
        (alone,) = detector.find([one])
        assert same(of_one.boxes, alone.boxes)
    assert not same(together[0].boxes, together[2].boxes)


def test_tiles_are_looked_at_beside_the_whole_page(registered: None, detector: GroundedDetector) -> None:
    tiled = GroundedDetector(params(tile_px=256, batch_size=3))
    tiled.setup()
    whole = page(380, 430)
    (raw,) = tiled.find([whole])
    assert {found.tile for found in raw.boxes} == {None, *range(len(raw.tiles))}
    assert raw.notes == {"tiles": len(raw.tiles)}
    assert same([found for found in raw.boxes if found.tile is None], detector.find([whole])[0].boxes)
    for number, (left, top, right, bottom) in enumerate(raw.tiles):
        crop = whole.pixels[int(top) : int(bottom), int(left) : int(right)]
        (alone,) = detector.find([PageImage(crop, whole.text)])
        moved = [
            RawBox(tuple(side + (left, top)[at % 2] for at, side in enumerate(found.box)), found.scores)  # type: ignore[arg-type]
            for found in alone.boxes
        ]
        assert same([found for found in raw.boxes if found.tile == number], moved)


def test_a_page_that_fits_a_tile_has_none(registered: None) -> None:
    tiled = GroundedDetector(params(tile_px=512))
    tiled.setup()
    (raw,) = tiled.find([page(300, 420)])
    assert raw.tiles == []
    assert raw.notes == {}


class Echo:
    """A model that answers with how bright each picture is, and has room for so many."""

    queries = QUERIES

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.passes: list[int] = []

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        self.passes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        brightness = images.mean((1, 2, 3)).sigmoid()
        return brightness[:, None, None].expand(-1, QUERIES, 4), torch.zeros(len(images), QUERIES, 256)


def test_full_memory_halves_a_batch_and_one_page_too_many_is_said(prompt: Prompt) -> None:
    pixels = [page(200, 300, seed).pixels for seed in range(5)]
    small, large = Echo(room=2), Echo()
    halves = Predictor(small, prompt, SMALL, "cpu", 5).find(pixels)
    whole = Predictor(large, prompt, SMALL, "cpu", 5).find(pixels)
    assert small.passes == [5, 2, 3, 1, 2]
    assert large.passes == [5]
    assert all(numpy.array_equal(one.boxes, other.boxes) for one, other in zip(halves, whole, strict=True))
    assert len({float(one.boxes[0, 0]) for one in whole}) == 5
    with pytest.raises(torch.OutOfMemoryError):
        Predictor(Echo(room=0), prompt, SMALL, "cpu", 5).find(pixels)


def test_a_compiled_model_meets_batches_of_few_sizes(prompt: Prompt) -> None:
    model = Echo()
    predictor = Predictor(model, prompt, SMALL, "cpu", 6, fixed_batch=True)
    for count in (1, 2, 3, 5):
        assert len(predictor.find([page(200, 300, seed).pixels for seed in range(count)])) == count
    assert model.passes == [1, 2, 4, 6]


def test_a_strip_of_a_page_is_an_error_of_that_page(prompt: Prompt) -> None:
    model = Echo()
    model.queries = 900
    with pytest.raises(ItemError, match=r"40 × 2000 pixels is too narrow .* see it as 27 × 1333"):
        Predictor(model, prompt, Preprocessing(), "cpu", 1).find([page(2000, 40).pixels])
    assert model.passes == []


def test_numbers_that_are_none_are_an_error_of_the_page(prompt: Prompt) -> None:
    class Overflowing(Echo):
        def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
            boxes, logits = super().forward(images, mask)
            return boxes * float("nan"), logits

    with pytest.raises(ItemError, match="precision=float32"):
        Predictor(Overflowing(), prompt, Preprocessing(), "cpu", 1).find([page(200, 300).pixels])


@pytest.mark.parametrize(("backend", "package"), [("transformers", "torch"), ("original", "groundingdino-py")])
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    backend: str, package: str, registered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(grounded, "version", version)
    made = GroundedDetector(params(backend=backend))
    for ask in (made.setup, made.libraries):
        with pytest.raises(StageCrash, match=rf"{package}.*not installed: uv sync --inexact --extra gpu"):
            ask()


def test_what_a_package_needs_and_lacks_is_named_too(registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("groundingdino")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "timm.models.layers", None)
    with pytest.raises(StageCrash, match=r"'timm.*not installed.*--extra original"):
        GroundedDetector(params(backend="original")).setup()


def test_a_gpu_that_is_not_there_is_said(registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageCrash, match=r"torch sees none: check the driver with nvidia-smi, or choose"):
        GroundedDetector(params(device="cuda", precision="float16")).setup()


def test_a_checkpoint_that_is_missing_or_damaged_is_said_with_the_command(
    registered: None, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "empty"))
    with pytest.raises(CheckpointMissing, match="spotter weights fetch tiny"):
        GroundedDetector(params()).setup()
    (tmp_path / "empty/tiny").mkdir(parents=True)
    for path in (root / "tiny").iterdir():
        (tmp_path / "empty/tiny" / path.name).write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointDamaged, match="spotter weights fetch tiny"):
        GroundedDetector(params()).setup()


def test_the_key_is_of_all_that_changes_raw_boxes_and_of_nothing_else(registered: None) -> None:
    plain = GroundedDetector(params()).key_parts()
    assert json.loads(json.dumps(plain)) == plain
    assert GroundedDetector(params()).libraries().keys() == {"torch", "transformers"}
    same_boxes = ({"min_score": 0.5}, {"label_score": 0.1}, {"labels": ["node"]}, {"batch_size": 1},
                  {"tile_overlap": 0.3},
                  {"prompts": {"diagram": "canvas", "text box": "textbox", "node": "node"}})  # fmt: skip
    for change in same_boxes:
        assert GroundedDetector(params(**change)).key_parts() == plain, change
    other_boxes = ({"checkpoint": "other"}, {"backend": "original"}, {"negative_prompts": []}, {"tile_px": 512},
                   {"device": "cuda"}, {"device": "cuda", "precision": "float16"}, {"compile": True},
                   {"prompts": {"diagram": "diagram", "box": "textbox", "node": "node"}})  # fmt: skip
    keys = [json.dumps(GroundedDetector(params(**change)).key_parts()) for change in other_boxes]
    assert len({json.dumps(plain), *keys}) == len(other_boxes) + 1


def test_a_detector_and_its_key_are_made_without_torch(registered: None) -> None:
    code = (
        "import sys; from pipeline.docparse.grounded import GroundedDetector; "
        "from pipeline.models.grounding_dino.params import GroundingDinoParams; "
        "GroundedDetector(GroundingDinoParams(checkpoint='tiny')).key_parts(); "
        "print({'torch', 'transformers', 'groundingdino', 'numpy'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def same(boxes: Sequence[RawBox], others: Sequence[RawBox]) -> bool:
    """The same boxes with the same scores but for the last digit kept, in whatever order."""
    if abs(len(boxes) - len(others)) > 1:
        return False

    def row(found: RawBox) -> list[float]:
        return [*found.box, *(100 * found.scores.get(phrase, 0.0) for phrase in PHRASES)]

    table, other_table = (numpy.array([row(found) for found in some]) for some in (boxes, others))
    distances = numpy.abs(table[:, None] - other_table[None]).max(-1)
    return bool((distances.min(1) <= 0.11).mean() > 0.97)
