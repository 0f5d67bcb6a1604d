"""Grounding DINO: one random state in both implementations, and what the detector makes of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.core.errors import ItemError, StageCrash
from pipeline.docparse import grounded
from pipeline.docparse.grounded import GroundedDetector
from pipeline.docparse.page_files import raw_to_json
from pipeline.docparse.raw import RAW_FLOOR, PageImage, RawBox
from pipeline.docparse.words import PageText
from pipeline.models.checkpoints import CheckpointDamaged, CheckpointMissing
from pipeline.models.grounding_dino.backend import Backend, load_backend
from pipeline.models.grounding_dino.checkpoint import open_checkpoint
from pipeline.models.grounding_dino.params import GroundingDinoParams
from pipeline.models.grounding_dino.predictor import Predictor
from pipeline.models.grounding_dino.preprocess import Preprocessing, read_preprocessing
from pipeline.models.grounding_dino.prompt import Prompt, make_prompt, read_tokenizer
from pipeline.models.grounding_dino.transformers_backend import TransformersBackend
from tests.pipeline.tiny_gdino import QUERIES, write_tiny_grounding_dino, write_tiny_original

PHRASES = ("diagram", "text box", "node", "legend", "watermark")
SEED = 5


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints `tiny`, as the hub has it, and `tiny-original`, as its authors released it: the same state."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_tiny_grounding_dino(folder / "tiny", SEED)
    write_tiny_original(folder / "tiny-original", SEED)
    return folder


@pytest.fixture(scope="module")
def prompt(root: Path) -> Prompt:
    return make_prompt(PHRASES, read_tokenizer(root / "tiny"))


@pytest.fixture(scope="module")
def library(root: Path, prompt: Prompt) -> Backend:
    return load_backend("transformers", root / "tiny", prompt)


@pytest.fixture(scope="module")
def package(root: Path, prompt: Prompt) -> Backend:
    return load_backend("original", root / "tiny-original", prompt)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn((3, 3, 128, 181), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def registered(root: Path) -> Iterator[None]:
    """Both checkpoints are in the registry and on this machine."""
    entries = {
        name: {
            "mirrors": ["http://127.0.0.1:9/nowhere"],
            "files": [
                {
                    "path": path.relative_to(root / name).as_posix(),
                    "bytes": path.stat().st_size,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }
                for path in sorted((root / name).rglob("*"))
                if path.is_file()
            ],
        }
        for name in ("tiny", "tiny-original")
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


def differences(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor], prompt: Prompt) -> tuple[float, float]:
    """Largest difference of boxes, and of phrase scores."""
    boxes = (one[0] - other[0]).abs().max()
    return float(boxes), float((prompt.scores(one[1]) - prompt.scores(other[1])).abs().max())


# The model


def test_both_implementations_give_the_same_boxes_and_scores(
    library: Backend, package: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    one, other = library.forward(images), package.forward(images)
    assert one[0].shape == (3, QUERIES, 4)
    assert one[1].shape == (3, QUERIES, 256)
    assert max(differences(one, other, prompt)) <= 1e-5


def test_the_tiny_model_answers_with_boxes_all_over_and_scores_on_either_side_of_every_threshold(
    library: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    boxes, logits = library.forward(images)
    best = prompt.scores(logits).amax(-1)
    assert best.min() < RAW_FLOOR < 0.25 < 0.35 < best.max()
    assert boxes[..., :2].std(1).min() > 0.15


@pytest.mark.parametrize(("backend", "layout"), [("transformers", "tiny-original"), ("original", "tiny")])
def test_either_implementation_reads_either_layout(
    backend: str, layout: str, root: Path, library: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    loaded = load_backend(backend, root / layout, prompt)  # type: ignore[arg-type]
    assert max(differences(library.forward(images[:1]), loaded.forward(images[:1]), prompt)) <= 1e-5


@pytest.mark.parametrize("backend", ["library", "package"])
def test_pages_in_a_batch_get_the_answers_that_each_gets_alone(
    backend: str, images: torch.Tensor, prompt: Prompt, request: pytest.FixtureRequest
) -> None:
    model: Backend = request.getfixturevalue(backend)
    together = model.forward(images)
    for row in range(len(images)):
        alone = model.forward(images[row : row + 1])
        assert max(differences([part[row : row + 1] for part in together], alone, prompt)) <= 1e-6


@pytest.mark.parametrize(("backend", "layout"), [("transformers", "tiny"), ("original", "tiny-original")])
def test_a_caption_that_is_read_once_gives_the_very_same_answers(
    backend: str, layout: str, root: Path, images: torch.Tensor, prompt: Prompt
) -> None:
    cached = load_backend(backend, root / layout, prompt)  # type: ignore[arg-type]
    uncached = load_backend(backend, root / layout, prompt, cache_text=False)  # type: ignore[arg-type]
    for _ in range(2):
        for one, other in zip(cached.forward(images), uncached.forward(images), strict=True):
            assert torch.equal(one, other)


def test_a_mask_without_padding_changes_nothing(
    library: Backend, package: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    mask = torch.ones((3, 128, 181), dtype=torch.bool)
    for model in (library, package):
        assert differences(model.forward(images), model.forward(images, mask), prompt) == (0.0, 0.0)


def test_padding_is_masked_alike_by_both(
    library: Backend, package: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    mask = torch.ones((1, 128, 181), dtype=torch.bool)
    mask[:, :, 120:] = False
    assert max(differences(library.forward(images[:1], mask), package.forward(images[:1], mask), prompt)) <= 1e-5


def test_float16_keeps_box_coordinates_in_float32(root: Path, images: torch.Tensor, prompt: Prompt) -> None:
    boxes, logits = load_backend("transformers", root / "tiny", prompt, precision="float16").forward(images)
    assert boxes.dtype == logits.dtype == torch.float32
    assert torch.isfinite(boxes).all()
    assert (boxes.half().float() != boxes).float().mean() > 0.9


def test_backbone_and_encoder_compile_to_one_graph_each(
    root: Path, library: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    # `eager` captures the graphs and runs them uncompiled: an interrupted graph is an error either way.
    compiled = TransformersBackend(open_checkpoint(root / "tiny"), prompt, compiler="eager")
    assert differences(library.forward(images[:1]), compiled.forward(images[:1]), prompt) == (0.0, 0.0)


# Loading


def _without_a_weight(state: dict[str, torch.Tensor]) -> str:
    return next(name for name in list(state) if "enc_output_norm.weight" in name and state.pop(name) is not None)


def _with_a_weight_too_many(state: dict[str, torch.Tensor]) -> str:
    state["model.surprise.weight"] = torch.zeros(2)
    return "model.surprise.weight"


def _with_a_weight_of_another_shape(state: dict[str, torch.Tensor]) -> str:
    name = next(name for name in state if "enc_output_norm.weight" in name)
    state[name] = state[name][:-1].clone()
    return name


SPOILED = pytest.mark.parametrize(
    ("spoil", "word"),
    [(_without_a_weight, "missing"), (_with_a_weight_too_many, "unexpected"),
     (_with_a_weight_of_another_shape, "of another shape")],
)  # fmt: skip


@SPOILED
@pytest.mark.parametrize(("backend", "layout"), [("transformers", "tiny"), ("original", "tiny-original")])
def test_weights_that_do_not_fit_are_an_error(
    layout: str,
    backend: str,
    spoil: Callable[[dict[str, torch.Tensor]], str],
    word: str,
    root: Path,
    prompt: Prompt,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "spoiled"
    folder.mkdir()
    for path in (root / layout).iterdir():
        (folder / path.name).symlink_to(path)
    weights = open_checkpoint(folder).weights
    target = weights.resolve()
    weights.unlink()
    if layout == "tiny":
        state = load_file(target)
        name = spoil(state)
        save_file(state, weights, {"format": "pt"})
    else:
        state = torch.load(target, weights_only=True)["model"]
        name = spoil(state).removeprefix("module.")
        torch.save({"model": state}, weights)
    with pytest.raises(StageCrash, match=word) as caught:
        load_backend(backend, folder, prompt)  # type: ignore[arg-type]
    assert "enc_output_norm.weight" in str(caught.value) or name in str(caught.value)


def test_a_folder_that_is_no_checkpoint_is_said_to_be_none(tmp_path: Path, prompt: Prompt) -> None:
    with pytest.raises(StageCrash, match="is no checkpoint of Grounding DINO"):
        load_backend("transformers", tmp_path, prompt)


# The detector


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


def test_full_memory_halves_a_batch_and_one_page_too_many_is_said(
    root: Path, library: Backend, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []

    class Small:
        queries = library.queries
        room = 2

        def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
            passes.append(len(images))
            if len(images) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return library.forward(images, mask)

    small = Small()
    pixels = [page(200, 300, seed).pixels for seed in range(5)]
    preprocessing = read_preprocessing(root / "tiny")
    found = Predictor(small, prompt, preprocessing, "cpu", 5).find(pixels)
    assert passes == [5, 2, 3, 1, 2]
    for one, other in zip(found, Predictor(library, prompt, preprocessing, "cpu", 5).find(pixels), strict=True):
        assert numpy.abs(one.boxes - other.boxes).max() < 1e-3
    small.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        Predictor(small, prompt, preprocessing, "cpu", 5).find(pixels)


def test_a_compiled_model_meets_batches_of_few_sizes(root: Path, library: Backend, prompt: Prompt) -> None:
    rows: list[int] = []

    class Counted:
        queries = library.queries

        def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
            rows.append(len(images))
            return library.forward(images, mask)

    predictor = Predictor(Counted(), prompt, read_preprocessing(root / "tiny"), "cpu", 6, fixed_batch=True)
    for count in (1, 2, 3, 5):
        assert len(predictor.find([page(200, 300, seed).pixels for seed in range(count)])) == count
    assert rows == [1, 2, 4, 6]


def test_a_strip_of_a_page_is_an_error_of_that_page(root: Path, prompt: Prompt) -> None:
    class AsManyQueriesAsPublished:
        queries = 900

        def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
            raise AssertionError("the page is looked at")

    predictor = Predictor(AsManyQueriesAsPublished(), prompt, Preprocessing(), "cpu", 1)
    with pytest.raises(ItemError, match=r"40 × 2000 pixels is too narrow .* see it as 27 × 1333"):
        predictor.find([page(2000, 40).pixels])


def test_numbers_that_are_none_are_an_error_of_the_page(root: Path, library: Backend, prompt: Prompt) -> None:
    class Overflowing:
        queries = library.queries

        def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
            boxes, logits = library.forward(images, mask)
            return boxes * float("nan"), logits

    with pytest.raises(ItemError, match="precision=float32"):
        Predictor(Overflowing(), prompt, read_preprocessing(root / "tiny"), "cpu", 1).find([page(200, 300).pixels])


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
    for ask in (made.setup, made.key_parts):
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
    assert plain["libraries"].keys() == {"torch", "transformers"}
    same_boxes = ({"min_score": 0.5}, {"label_score": 0.1}, {"labels": ["node"]}, {"batch_size": 1},
                  {"tile_overlap": 0.3},
                  {"prompts": {"diagram": "canvas", "text box": "textbox", "node": "node"}})  # fmt: skip
    for change in same_boxes:
        assert GroundedDetector(params(**change)).key_parts() == plain, change
    other_boxes = ({"checkpoint": "tiny-original"}, {"backend": "original"}, {"negative_prompts": []}, {"tile_px": 512},
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
        return [*found.box, *(100 * found.scores.get(phrase, 0.0) for phrase in (*PHRASES, "watermark"))]

    table, other_table = (numpy.array([row(found) for found in some]) for some in (boxes, others))
    distances = numpy.abs(table[:, None] - other_table[None]).max(-1)
    return bool((distances.min(1) <= 0.11).mean() > 0.97)
