"""Grounding DINO: one random state in both implementations, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.core.errors import StageCrash
from pipeline.docparse.raw import RAW_FLOOR
from pipeline.models.grounding_dino.backend import Backend, load_backend
from pipeline.models.grounding_dino.checkpoint import open_checkpoint
from pipeline.models.grounding_dino.original_backend import load_reference
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


def differences(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor], prompt: Prompt) -> tuple[float, float]:
    """Largest difference of boxes, and of phrase scores."""
    boxes = (one[0] - other[0]).abs().max()
    return float(boxes), float((prompt.scores(one[1]) - prompt.scores(other[1])).abs().max())


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


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_reference_codes_own_loop_runs_on_the_model_that_is_loaded_for_it(
    root: Path, package: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    from groundingdino.util.inference import predict

    model = load_reference(open_checkpoint(root / "tiny-original"))
    boxes, best, phrases = predict(model, images[0], prompt.caption, 0.3, 0.25, device="cpu")
    ours = package.forward(images[:1])
    kept = ours[1][0].sigmoid().amax(-1) > 0.3
    assert 0 < len(boxes) == len(phrases) == int(kept.sum())
    assert (ours[0][0][kept] - boxes).abs().max() <= 1e-6
    assert (ours[1][0].sigmoid().amax(-1)[kept] - best).abs().max() <= 1e-6


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


def test_a_pass_asks_the_device_for_no_value_and_uploads_no_numbers(library: Backend, images: torch.Tensor) -> None:
    class Seen(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.names: set[str] = set()

        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.names.add(op.overloadpacket.__name__)
            return op(*args, **(kwargs or {}))

    library.forward(images[:2])
    with Seen() as seen:
        library.forward(images[:2])
    assert "bmm" in seen.names
    assert not seen.names & {
        "_local_scalar_dense",
        "lift_fresh",
        "lift_fresh_copy",
        "nonzero",
        "is_nonzero",
        "_unique2",
    }


def test_backbone_and_encoder_compile_to_one_graph_each(
    root: Path, library: Backend, images: torch.Tensor, prompt: Prompt
) -> None:
    # `eager` captures the graphs and runs them uncompiled: an interrupted graph is an error either way.
    compiled = TransformersBackend(open_checkpoint(root / "tiny"), prompt, compiler="eager")
    assert differences(library.forward(images[:1]), compiled.forward(images[:1]), prompt) == (0.0, 0.0)
    with torch._dynamo.config.patch(recompile_limit=1), pytest.raises(StageCrash, match="of more than 64 sizes"):
        compiled.forward(images[:1, :, :, :150])


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
