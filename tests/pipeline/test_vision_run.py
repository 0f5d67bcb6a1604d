"""The models' whole way: weights fetched from a hub, verified, loaded; pages detected and segmented; masks on disk.

The true code on the processor, with the true architectures and small random weights.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipeline.docparse.quality.labelled import found_in, read_labels
from pipeline.docparse.regions import Region
from tests.pipeline.documents import flow_page, save
from tests.pipeline.driving import Bench, pipeline
from tests.pipeline.hub import Hub, serving
from tests.pipeline.tiny_gdino import write_tiny_grounding_dino
from tests.pipeline.tiny_sam2 import write_tiny_sam2

CPU = {"device": "cpu", "precision": "float32", "batch_size": 2}
DETECTOR = {"name": "grounding-dino", "checkpoint": "tiny-dino", "min_score": 0.5, **CPU}
SEGMENTER = {"name": "sam2", "checkpoint": "tiny-sam", **CPU}


@dataclass
class Place:
    """A hub, where its checkpoints go, and a registry that names them."""

    hub: Hub
    root: Path
    registry: Path

    def spotter(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "console", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.root.parent, timeout=60, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_grounding_dino(folder / "hub/acme/tiny-dino", 7)
    write_tiny_sam2(folder / "hub/acme/tiny-sam", 7)
    with serving(folder / "hub") as hub, pytest.MonkeyPatch.context() as patch:
        entries = {
            "tiny-dino": hub.entry("acme/tiny-dino", unpinned=["config.json"]),
            "tiny-sam": hub.entry("acme/tiny-sam"),
        }
        registry = hub.write_registry(folder / "registry.yaml", entries)
        for name, value in hub.environment(folder / "checkpoints", registry).items():
            patch.setenv(name, value)
        patch.setenv("OMP_NUM_THREADS", "1")
        yield Place(hub, folder / "checkpoints", registry)


@pytest.fixture(scope="module")
def fetched(place: Place) -> str:
    """What fetching said; a connection was cut in the middle of the weights."""
    place.hub.broken["model.safetensors"] = "cut"
    done = place.spotter("weights", "fetch", "tiny-dino", "tiny-sam")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def parsed(place: Place, fetched: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A run over two pages."""
    bench = Bench(tmp_path_factory.mktemp("vision"), "docparse")
    save(bench.root / "data" / "two.pdf", flow_page, flow_page)
    bench.plan(workers=1, dpi=72, detector=DETECTOR, segmenter=SEGMENTER)
    bench.run(check=0)
    return bench


def test_weights_are_fetched_over_a_cut_connection_pinned_and_verified(place: Place, fetched: str) -> None:
    ranges = [wanted for path, wanted in place.hub.asked if path.endswith("model.safetensors")]
    assert any(wanted and not wanted.startswith("bytes=0-") for wanted in ranges), "it went on where it was cut"
    assert "tiny-dino/config.json" in fetched
    assert "is pinned to" in fetched
    pins = json.loads((place.root / "pins.json").read_text())
    assert set(pins["tiny-dino/config.json"]) == {"bytes", "sha256", "from"}
    asked = len(place.hub.asked)
    listed = json.loads(place.spotter("weights", "list", "--json").stdout)
    states = {line["name"]: line["state"] for line in listed if line["name"].startswith("tiny-")}
    assert states == {"tiny-dino": "here", "tiny-sam": "here"}
    assert place.spotter("weights", "verify").returncode == 0
    assert place.spotter("weights", "fetch", "tiny-dino").returncode == 0
    assert len(place.hub.asked) == asked, "what is here is not asked for again"


def test_a_page_comes_out_with_boxes_masks_and_the_names_of_who_made_them(parsed: Bench) -> None:
    raw = [json.loads(path.read_text()) for path in sorted(parsed.run_dir.rglob("raw.json"))]
    regions = _regions(parsed)
    assert len(raw) == 2
    assert sum(len(page["boxes"]) for page in raw) > len(regions) > 2, "the threshold keeps some and drops some"
    for region in regions:
        assert (region.detector.name, region.segmenter and region.segmenter.name) == ("grounding-dino", "sam2")
        assert region.prompt == region.label
        assert region.score >= 0.5
        assert region.mask_quality is not None
        assert region.mask_stability is not None
    report = parsed.report()
    assert report["means"].startswith("detector grounding-dino · segmenter sam2 · analyst text-layer")
    words = ("rendered", "detected", "arranged", "segmented", "described", "analysed", "recorded")
    assert report["documents"][0]["through"] == dict.fromkeys(words, 2)


def test_pycocotools_decodes_every_mask_to_the_pixels_of_its_picture(parsed: Bench) -> None:
    areas = set()
    for region in _regions(parsed):
        assert region.segmentation is not None
        assert region.mask is not None
        assert region.crop_px is not None
        decoded = coco_mask.decode(region.segmentation.model_dump(mode="json"))
        assert decoded.shape == (region.page_size_px[1], region.page_size_px[0])
        x, y, width, height = region.crop_px
        with Image.open(parsed.run_dir / region.mask) as picture:
            shown = np.asarray(picture.convert("L")) > 0
        with Image.open(parsed.run_dir / region.crop) as crop:
            assert crop.size == (width, height)
        page = np.zeros_like(decoded, dtype=bool)
        page[y : y + height, x : x + width] = shown
        assert np.array_equal(decoded.astype(bool), page)
        assert decoded.sum() == region.mask_area_px
        areas.add(int(decoded.sum()))
    assert len(areas) > 1
    assert max(areas) > 0


def test_the_coco_file_decodes_to_the_same_masks(parsed: Bench) -> None:
    coco = COCO(str(parsed.run_dir / "coco.json"))
    by_id = {region.id: region for region in _regions(parsed)}
    assert len(coco.anns) == len(by_id)
    for annotation in coco.anns.values():
        region = by_id[annotation["region_id"]]
        assert region.segmentation is not None
        expected = coco_mask.decode(region.segmentation.model_dump(mode="json"))
        assert np.array_equal(coco.annToMask(annotation), expected)


def test_a_run_is_measured_by_its_regions_and_not_by_what_lies_beside_them(parsed: Bench) -> None:
    assert list(parsed.run_dir.rglob("region-0001.struct.json")), "what the analyst said lies there"
    measured = found_in(parsed.run_dir, read_labels(parsed.run_dir / "coco.json"))
    assert sum(len(found) for _page, found in measured) == len(_regions(parsed))
    assert [len(found) for _page, found in measured] == [len(page.regions) for page, _found in measured]


def test_a_threshold_that_is_changed_later_needs_no_detector_again(parsed: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path, "docparse")
    shutil.copytree(parsed.root / "data", other.root / "data")
    other.plan(workers=1, dpi=72, detector={**DETECTOR, "min_score": 0.55}, segmenter=SEGMENTER)
    before, after = _keys(parsed), _keys(other)
    assert {name for name in before if before[name] == after[name]} == {"render", "detect"}


def test_a_laptop_without_the_weights_changes_a_threshold_of_what_a_box_found(
    place: Place, parsed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = tmp_path / "laptop"
    laptop.mkdir()
    shutil.copy(place.root / "pins.json", laptop)  # what a box's bootstrap was told of files that no registry pins
    monkeypatch.setenv("MODEL_DIR", str(laptop))
    later = Bench(tmp_path / "later", "docparse")
    shutil.copytree(parsed.root / "data", later.root / "data")
    later.plan(workers=1, dpi=72, detector={**DETECTOR, "min_score": 0.55})
    take = ("take", "docparse", "--run-dir", later.run_dir, "--from", parsed.run_dir)
    taken = json.loads(pipeline(*take, check=0).stdout)
    assert (taken["stages"], taken["devices"]) == ({"render": 2, "detect": 2}, [])
    later.run(check=0)
    assert 0 < len(_regions(later)) < len(_regions(parsed))


def _keys(bench: Bench) -> dict[str, str]:
    told = json.loads(pipeline("keys", "docparse", "--run-dir", bench.run_dir, check=0).stdout)
    keys: dict[str, str] = told["keys"]
    return keys


def _regions(bench: Bench) -> list[Region]:
    paths: list[Path] = sorted(bench.run_dir.rglob("region-????.json"))
    return [Region.model_validate_json(path.read_bytes()) for path in paths]
