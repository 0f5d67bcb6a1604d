"""SAM 2 by the library and by the authors' package: one random state, one answer, however pages are batched."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from pipeline.core.errors import StageCrash
from pipeline.models.sam2 import crops
from pipeline.models.sam2.images import model_input
from pipeline.models.sam2.keys import FILM_PREFIXES_ORIGINAL, UnknownWeight, image_part, to_original, to_transformers
from pipeline.models.sam2.network import Sam2Network, load_network
from pipeline.models.sam2.predictor import Predictor
from tests.pipeline.tiny_sam2 import SIDE_PX, authors_model, keep_layout, write_tiny_sam2

CPU = torch.device("cpu")
MASK_SIDE = SIDE_PX // 4
BOXES = [(10.0, 12.0, 90.0, 100.0), (3.0, 3.0, 60.0, 20.0), (100.0, 40.0, 127.0, 127.0)]

pytestmark = pytest.mark.xdist_group("sam2")  # one process imports what runs the models


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam2") / "tiny"
    write_tiny_sam2(folder, seed=7)
    return folder


@pytest.fixture(scope="module")
def library(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Sam2Network:
    folder = keep_layout(checkpoint, tmp_path_factory.mktemp("hub") / "tiny", "config.json", "model.safetensors")
    return load_network("transformers", folder, CPU, "float32")


@pytest.fixture(scope="module")
def package(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Sam2Network:
    folder = keep_layout(checkpoint, tmp_path_factory.mktemp("authors") / "tiny", "*.pt", "*.yaml")
    return load_network("original", folder, CPU, "float32")


@pytest.fixture(scope="module")
def pages() -> list[np.ndarray[Any, Any]]:
    source = np.random.default_rng(3)
    return [source.integers(0, 256, size, dtype=np.uint8) for size in ((170, 120, 3), (100, 210, 3), (128, 128, 3))]


def prompts(count: int) -> torch.Tensor:
    corners = torch.rand((count, 2, 2), generator=torch.Generator().manual_seed(count)) * SIDE_PX
    return corners.sort(dim=1).values.reshape(count, 4)


def predictor(network: Sam2Network, *, pages_at_once: int = 4, fixed_batch: bool = False) -> Predictor:
    return Predictor(network, CPU, pages_at_once, 8, fixed_batch=fixed_batch)


def test_both_implementations_give_the_same_mask_logits(
    library: Sam2Network, package: Sam2Network, pages: list[np.ndarray[Any, Any]]
) -> None:
    pictures = model_input(pages, SIDE_PX, CPU)
    boxes, rows = prompts(16), torch.arange(16) % 3
    (ours, our_quality), (theirs, their_quality) = (
        network.decode(network.encode(pictures), rows, boxes) for network in (library, package)
    )
    assert ours.shape == (16, MASK_SIDE, MASK_SIDE)
    assert (ours > 0).any(dim=(1, 2)).all(), "a test of nothing: a mask has no pixel"
    assert (ours < 0).any(dim=(1, 2)).all(), "a test of nothing: a mask has all pixels"
    assert (ours - theirs).abs().max() < 1e-4
    assert (our_quality - their_quality).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("backend", "layout"), [("transformers", ("*.pt", "*.yaml")), ("original", ("config.json", "model.safetensors"))]
)
def test_either_implementation_reads_the_others_files(
    checkpoint: Path, tmp_path: Path, library: Sam2Network, pages: list[np.ndarray[Any, Any]], backend: Any,
    layout: tuple[str, ...],
) -> None:  # fmt: skip
    network = load_network(backend, keep_layout(checkpoint, tmp_path / "other", *layout), CPU, "float32")
    pictures = model_input(pages, SIDE_PX, CPU)
    rows = torch.arange(8) % 3
    (ours, _), (theirs, _) = (one.decode(one.encode(pictures), rows, prompts(8)) for one in (library, network))
    assert (ours - theirs).abs().max() < 1e-4


def test_the_network_is_that_of_the_authors_own_predictor(
    checkpoint: Path, package: Sam2Network, pages: list[np.ndarray[Any, Any]]
) -> None:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    model = authors_model()
    model.load_state_dict(torch.load(checkpoint / "sam2.1_hiera_tiny_test.pt", weights_only=True)["model"])
    theirs = SAM2ImagePredictor(model)
    theirs._bb_feat_sizes = [(SIDE_PX // stride, SIDE_PX // stride) for stride in (4, 8, 16)]  # its own are for 1024 px
    theirs.set_image(np.ascontiguousarray(pages[0][..., ::-1]))
    masks, quality, _ = theirs.predict(box=np.array(BOXES), multimask_output=False)
    found = predictor(package).crops(pages[:1], [BOXES])[0]
    for crop, mask, own in zip(found, masks[:, 0], quality[:, 0], strict=True):
        rows, columns = crop.pixels.shape
        part = mask[crop.top : crop.top + rows, crop.left : crop.left + columns] > 0
        assert (crop.pixels == part).mean() > 0.999
        assert crop.quality == pytest.approx(float(own), abs=1e-5)


def test_our_own_picture_is_the_packages_bit_for_bit(pages: list[np.ndarray[Any, Any]]) -> None:
    from sam2.utils.transforms import SAM2Transforms

    theirs = SAM2Transforms(resolution=1024, mask_threshold=0.0)
    for page in pages:
        red_green_blue = np.ascontiguousarray(page[..., ::-1])
        assert torch.equal(model_input([page], 1024, CPU)[0], theirs(red_green_blue))


@pytest.mark.parametrize("which", ["library", "package"])
def test_pages_and_boxes_in_batches_give_what_each_gives_alone(which: str, request: pytest.FixtureRequest) -> None:
    network: Sam2Network = request.getfixturevalue(which)
    pictures = model_input(request.getfixturevalue("pages"), SIDE_PX, CPU)
    boxes, rows = prompts(8), torch.arange(8) % 3
    together, quality = network.decode(network.encode(pictures), rows, boxes)
    for index in range(8):
        features = network.encode(pictures[rows[index] : rows[index] + 1])
        alone, own_quality = network.decode(features, torch.zeros(1, dtype=torch.int64), boxes[index : index + 1])
        assert (together[index] - alone[0]).abs().max() < 1e-5
        assert (quality[index] - own_quality[0]).abs() < 1e-6


def test_boxes_that_fill_up_a_call_change_no_other(library: Sam2Network, pages: list[np.ndarray[Any, Any]]) -> None:
    features = library.encode(model_input(pages, SIDE_PX, CPU))
    boxes, rows = prompts(5), torch.arange(5) % 3
    alone, _ = library.decode(features, rows, boxes)
    filled, _ = library.decode(
        features, torch.cat([rows, torch.zeros(3, dtype=torch.int64)]), torch.cat([boxes, torch.zeros(3, 4)])
    )
    assert (filled[:5] - alone).abs().max() < 1e-5


def test_masks_are_those_of_whole_pages_cut_to_their_boxes(
    library: Sam2Network, pages: list[np.ndarray[Any, Any]]
) -> None:
    features = library.encode(model_input(pages[:1], SIDE_PX, CPU))
    height, width = pages[0].shape[:2]
    scale = np.array([SIDE_PX / width, SIDE_PX / height] * 2)
    boxes = torch.tensor(np.array(BOXES) * scale, dtype=torch.float32)
    logits, quality = library.decode(features, torch.zeros(3, dtype=torch.int64), boxes)
    whole = interpolate(logits[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
    found = predictor(library).crops(pages[:1], [BOXES])[0]
    for crop, mask, own_logits, own_quality in zip(found, whole, logits, quality, strict=True):
        rows, columns = crop.pixels.shape
        theirs = mask[crop.top : crop.top + rows, crop.left : crop.left + columns].numpy()
        sure = np.abs(theirs) > 1e-5
        assert sure.mean() > 0.99
        assert (crop.pixels == (theirs > 0))[sure].all()
        assert crop.quality == pytest.approx(float(own_quality), abs=1e-5)
        above, below = int((own_logits > 1).sum()), int((own_logits > -1).sum())
        assert crop.stability == pytest.approx(above / below, abs=0.01)
        assert crop.finite


def test_crops_have_room_around_their_boxes_and_stay_on_the_page(
    library: Sam2Network, pages: list[np.ndarray[Any, Any]]
) -> None:
    inner, thin, corner = predictor(library).crops(pages[:1], [BOXES])[0]
    assert (inner.left, inner.top, inner.pixels.shape) == (0, 1, (110, 100))  # 10 and 11 px of room, the page's edge
    assert (thin.left, thin.top, thin.pixels.shape) == (0, 0, (28, 68))
    assert corner.pixels.shape[1] == 120 - corner.left


def test_any_batching_of_pages_gives_the_same_masks(
    library: Sam2Network, pages: list[np.ndarray[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [BOXES, [], [(1.0, 1.0, 127.0, 127.0)] * 9]
    at_once = predictor(library).crops(pages, boxes)
    monkeypatch.setattr(crops, "PIXELS_AT_ONCE", 500)
    piecemeal = predictor(library, pages_at_once=1).crops(pages, boxes)
    filled_up = predictor(library, pages_at_once=4, fixed_batch=True).crops(pages, boxes)
    assert [len(of_page) for of_page in at_once] == [3, 0, 9]
    for other in (piecemeal, filled_up):
        for ours, theirs in zip(chain(*at_once), chain(*other), strict=True):
            assert (ours.left, ours.top) == (theirs.left, theirs.top)
            assert (ours.pixels == theirs.pixels).mean() > 0.999
            assert ours.quality == pytest.approx(theirs.quality, abs=1e-5)


@pytest.mark.parametrize("backend", ["transformers", "original"])
def test_half_precision_cuts_the_masks_of_single(
    backend: Any, checkpoint: Path, pages: list[np.ndarray[Any, Any]]
) -> None:
    boxes = [BOXES, BOXES[:2], BOXES[1:]]
    single, half = (
        list(chain(*predictor(load_network(backend, checkpoint, CPU, precision)).crops(pages, boxes)))
        for precision in ("float32", "float16")
    )
    assert all(crop.finite for crop in half)
    ious = [
        (one.pixels & other.pixels).sum() / (one.pixels | other.pixels).sum()
        for one, other in zip(single, half, strict=True)
    ]
    assert np.mean(ious) >= 0.995


def test_values_that_are_no_numbers_are_told() -> None:
    logits = torch.zeros(2, MASK_SIDE, MASK_SIDE)
    logits[1, 3, 3] = float("nan")
    places = crops.Places.around(np.array([[0.0, 0, 9, 9]] * 2), np.array([[50, 50]] * 2))
    found = crops.collect([crops.cut(logits, torch.ones(2), places)])
    assert [crop.finite for crop in found] == [True, False]


def test_names_of_weights_translate_there_and_back(checkpoint: Path) -> None:
    theirs = torch.load(checkpoint / "sam2.1_hiera_tiny_test.pt", weights_only=True)["model"]
    back = to_original(to_transformers(theirs), theirs)
    assert len(back) > 200
    assert all(torch.equal(back[name], theirs[name]) for name in back)
    assert set(theirs) - set(back) == {name for name in theirs if name.startswith(FILM_PREFIXES_ORIGINAL)}


def test_a_weight_of_another_model_is_refused_by_name() -> None:
    with pytest.raises(UnknownWeight, match=r"no weight 'image_encoder.trunk.blocks.0.attn2.qkv.weight'"):
        to_transformers({"image_encoder.trunk.blocks.0.attn2.qkv.weight": torch.zeros(1)})


def test_a_file_that_names_the_matrix_of_positions_once_is_whole() -> None:
    matrix = torch.ones(2, 3)
    whole = image_part({"shared_image_embedding.positional_embedding": matrix, "no_object_pointer": matrix})
    assert set(whole) == {
        "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "file", "told"),
    [
        ("transformers", "config.json", "is no checkpoint of SAM 2"),
        ("original", "*.yaml", "is no checkpoint of SAM 2"),
        ("original", "*.pt", "put beside sam2.1_hiera_tiny_test.pt the one that describes it"),
    ],
)
def test_a_folder_without_its_files_is_told_in_a_sentence(
    checkpoint: Path, tmp_path: Path, backend: Any, file: str, told: str
) -> None:
    folder = keep_layout(checkpoint, tmp_path / "part", file)
    with pytest.raises(StageCrash, match=told):
        load_network(backend, folder, CPU, "float32")


def test_a_weight_that_is_missing_stops_the_loading(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = keep_layout(checkpoint, tmp_path / "part", "config.json", "model.safetensors")
    state = load_file(folder / "model.safetensors")
    del state["mask_decoder.iou_token.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(StageCrash, match=r"mask_decoder\.iou_token\.weight"):
        load_network("transformers", folder, CPU, "float32")


@pytest.mark.parametrize("file", ["config.json", "*.yaml"])
def test_a_strange_configuration_is_named(checkpoint: Path, tmp_path: Path, file: str) -> None:
    weights = "model.safetensors" if file == "config.json" else "*.pt"
    folder = keep_layout(checkpoint, tmp_path / "part", weights, file)
    next(folder.glob(file)).write_text('{"model": {}}')
    with pytest.raises(StageCrash, match=r"does not describe a SAM 2: KeyError"):
        load_network("original", folder, CPU, "float32")
