"""Corrected regions come back: what nobody touched is what it was, and only what was moved is another."""

from __future__ import annotations

import copy
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ItemError, StageCrash, UsageError
from pipeline.core.stage import cache_keys
from pipeline.docparse.arrange.page import arrange
from pipeline.docparse.arrange.params import ArrangeParams
from pipeline.docparse.exports.write import export
from pipeline.docparse.given import GivenDetector, detections
from pipeline.docparse.given_files import parse
from pipeline.docparse.given_pages import check
from pipeline.docparse.given_params import GivenParams, with_digest
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.pipeline import PIPELINE
from pipeline.docparse.raw import PageImage, PageOrigin
from pipeline.docparse.regions import DetectorName, Region, make_regions
from tests.pipeline.described import ITEMS, SIZES, described_run, pixels_of, text_of
from tests.pipeline.driving import Bench

Told = Any
FILES = {"coco": "coco.json", "label-studio": "label-studio.json"}


class Corrections:
    """A run, its exports, and a second run that takes a corrected one for the truth."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.before = described_run(root / "runs" / "r1")

    def exported(self, name: str) -> Told:
        export(self.root / "runs" / "r1", name, self.root / "corrected")
        return json.loads((self.root / "corrected" / FILES[name]).read_text())

    def given(self, told: Told, sizes: tuple[tuple[int, int], ...] = SIZES, **changes: Any) -> list[list[Region]]:
        """The regions of a run over the same pages, with `told` as the truth."""
        (self.root / "truth.json").write_text(json.dumps(told))
        params = with_digest(GivenParams(regions="truth.json", **changes), self.root)
        scratch = self.root / "scratch"
        scratch.mkdir(exist_ok=True)
        (scratch / "manifest.jsonl").write_bytes((self.root / "runs" / "r1" / "manifest.jsonl").read_bytes())
        detector = GivenDetector(params)
        found = []
        for item, size in zip(ITEMS, sizes, strict=True):
            text = text_of(item, size)
            origin = PageOrigin("", "", 1, {"truth.json": str(self.root / "truth.json")}, str(scratch))
            (raw,) = detector.find([PageImage(np.zeros((size[1], size[0], 3), np.uint8), text, item, origin)])
            kept = arrange(raw, size, text, ArrangeParams(), params).detections
            assert item.page is not None
            found.append(
                make_regions(
                    kept, [" ".join(text.words[index].text for index in text.inside(one.box)) for one in kept],
                    document=item.group, page=item.page, page_size_px=size, text_source=text.source,
                    detector=DetectorName(name="given", version="1"), folder=item.folder,
                )
            )  # fmt: skip
        return found


@pytest.fixture
def world(tmp_path: Path) -> Corrections:
    return Corrections(tmp_path)


def values(region: Region) -> dict[str, Any]:
    return region.model_dump(exclude={"detector"})


def as_annotated(tasks: Told) -> Told:
    """Tasks as Label Studio exports them after somebody submitted them unchanged."""
    known = {"id", "type", "from_name", "to_name", "original_width", "original_height", "image_rotation", "value"}
    known |= {"parentID", "from_id", "to_id", "direction", "labels", "score"}
    for task in tasks:
        result = [{key: each[key] for key in each if key in known} for each in task["predictions"][0]["result"]]
        task["annotations"] = [
            {"was_cancelled": True, "result": [], "updated_at": "2026-03-01"},
            {"was_cancelled": False, "result": [], "updated_at": "2026-01-01"},
            {"was_cancelled": False, "result": result, "updated_at": "2026-02-01"},
        ]
    return tasks


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_was_exported_comes_back_as_it_was(world: Corrections, name: str) -> None:
    told = world.exported(name)
    back = world.given(as_annotated(told) if name == "label-studio" else told)
    assert [[values(region) for region in page] for page in back] == [
        [values(region) for region in page] for page in world.before
    ]


def test_containers_stand_where_label_studio_drops_them(world: Corrections) -> None:
    told = as_annotated(world.exported("label-studio"))
    for task in told:
        for result in task["annotations"][2]["result"]:
            result.pop("parentID", None)
    assert [values(region) for region in world.given(told)[0]] == [values(region) for region in world.before[0]]


def move_coco(told: Told) -> None:
    told["annotations"][2]["bbox"][0] += 20


def move_label_studio(told: Told) -> None:
    result = [each for each in told[0]["predictions"][0]["result"] if each.get("type") == "rectanglelabels"][2]
    result["value"]["x"] += 100 * 20 / 620


@pytest.mark.parametrize(("name", "move"), [("coco", move_coco), ("label-studio", move_label_studio)])
def test_a_moved_box_changes_only_itself(world: Corrections, name: str, move: Callable[[Told], None]) -> None:
    told = world.exported(name)
    move(told)
    before, after = world.before[0], world.given(told)[0]
    changed = [
        index for index, pair in enumerate(zip(before, after, strict=True)) if values(pair[0]) != values(pair[1])
    ]
    assert changed == [2, 4], "the box, and the arrow that calls it by its id"
    assert after[2].bbox_px[0] == pytest.approx(before[2].bbox_px[0] + 20)
    assert after[2].id != before[2].id
    assert (after[4].from_node, after[4].to_node) == (before[4].from_node, after[2].id)
    assert values(after[4]) | {"to_node": before[4].to_node} == values(before[4])


def test_a_mask_that_was_left_behind_by_its_box_is_dropped_and_counted(world: Corrections) -> None:
    told = world.exported("coco")
    told["annotations"][2]["bbox"] = [300, 200, 101, 41]
    images = parse(json.dumps(told).encode(), "truth.json", {})
    page = PageImage(np.zeros((877, 620, 3), np.uint8), text_of(ITEMS[0], SIZES[0]), ITEMS[0])
    raw = detections(images[0], *SIZES[0], page)
    assert raw.notes == {"masks_left_behind": 1}
    assert raw.composed is not None
    assert [one.mask is not None for one in raw.composed] == [False, True, False, True, True, False]


def test_a_file_of_another_tool_is_hung_together_and_ordered_as_any_detectors_boxes(world: Corrections) -> None:
    box = {
        "node": (60, 100, 100, 40),
        "node ": (320, 100, 100, 40),
        "arrow": (161, 116, 158, 8),
        "diagram": (40, 90, 560, 210),
    }
    told = {
        "images": [
            {"id": 7, "file_name": f"uploads/{ITEMS[0].folder}/page.png", "width": 620, "height": 877},
            {"id": 9, "file_name": "/data/upload/3/0a1b2c3d-frame.png", "width": 400, "height": 300},
        ],
        "categories": [{"id": 1, "name": "Box"}, {"id": 2, "name": "arrow"}, {"id": 3, "name": "diagram"}],
        "annotations": [
            {"id": number, "image_id": 7, "category_id": {"n": 1, "a": 2, "d": 3}[name[0]], "bbox": [*sides]}
            for number, (name, sides) in enumerate(box.items())
        ],
    }
    pages = world.given(told, label_map={"Box": "node"}, other_pages="empty")
    assert [[region.label for region in page] for page in pages] == [["diagram", "node", "arrow", "node"], [], []]
    diagram, first, arrow, second = pages[0]
    assert {region.parent for region in (first, arrow, second)} == {diagram.id}
    assert (arrow.from_node, arrow.to_node) == (first.id, second.id)
    assert {region.score for region in pages[0]} == {1.0}


@pytest.mark.parametrize(
    "name",
    [
        "scan #3.png",
        "a+b.png",
        "what?.png",
        "100%25.png",
        "50%.png",
        "a&d=b.png",
        "Чертёж и й.png",
        "[x] 'y' \"z\".png",
    ],
)
def test_pictures_are_known_whatever_signs_their_names_hold(name: str) -> None:
    other = ITEMS[-1].model_copy(update={"item_id": "other", "group": "other-dddddddd"})
    named = ITEMS[-1].model_copy(
        update={"source": ITEMS[-1].source.model_copy(update={"path": f"data/{name}"}), "group": "named-eeeeeeee"}
    )
    for told in (
        name, f"data/{name}", unicodedata.normalize("NFD", name), f"/data/upload/1/0a1b2c3d-{quote(name)}",
        f"/data/local-files/?d=data/{quote(name)}", f"https://bucket/{quote(name)}?X-Signature=a/b.png",
    ):  # fmt: skip
        image = {"id": 1, "file_name": told, "width": 4, "height": 3}
        data = json.dumps({"images": [image], "annotations": [], "categories": []}).encode()
        params = GivenParams(regions="truth.json", other_pages="empty")
        assert check(params, data, [other, named]).keys() == {named.item_id}, told


def test_pictures_of_another_size_are_scaled_with_their_masks(world: Corrections) -> None:
    told = world.exported("coco")
    double = tuple((width * 2, height * 2) for width, height in SIZES)
    page = world.given(told, sizes=double)[0]
    assert page[2].bbox_px == pytest.approx([side * 2 for side in world.before[0][2].bbox_px])
    small, large = world.before[0][2].segmentation, page[2].segmentation
    assert small is not None
    assert large is not None
    assert (pixels_of(large) == np.kron(pixels_of(small), np.ones((2, 2), bool))).all()


def test_polygons_are_filled(world: Corrections) -> None:
    told = world.exported("coco")
    told["annotations"][3]["segmentation"] = [[320, 100, 420, 100, 420, 140, 320, 140]]
    region = world.given(told)[0][3]
    assert region.segmentation is not None
    page = np.zeros((877, 620), bool)
    page[100:140, 320:420] = True
    assert (pixels_of(region.segmentation) == page).all()


def rename_image(told: Told) -> None:
    told["images"][0].update(document="x", file_name="far/away.png")


def name_the_page_of_another_document(told: Told) -> None:
    told["images"][0].update(document="other-c3c3c3c3", file_name="artifacts/other-c3c3c3c3/p0001/page.png")


def rename_label(told: Told) -> None:
    told["categories"][4].update(name="blob")


def lose_page(told: Told) -> None:
    told["images"].pop(1)


def double_image(told: Told) -> None:
    told["images"].append({**told["images"][0], "id": 99})


def lose_categories(told: Told) -> None:
    del told["categories"]


def name_no_category(told: Told) -> None:
    told["annotations"][0]["category_id"] = 999


def name_no_image(told: Told) -> None:
    told["annotations"][0]["image_id"] = 999


def lose_box(told: Told) -> None:
    del told["annotations"][0]["bbox"]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (rename_image, r"pages that are not in this run: 'far/away.png'; name the sources"),
        (name_the_page_of_another_document, r"not in this run: 'artifacts/other-c3c3c3c3/p0001/page\.png'"),
        (rename_label, r"labels that mean nothing here: 'blob'; say in detector\.label_map"),
        (lose_page, r"no picture of some pages: data/Планы & schemes\.pdf, page 2; say detector\.other_pages"),
        (double_image, r"several pictures of one page: data/Планы"),
        (lose_categories, r"neither COCO .* nor Label Studio's JSON"),
        (name_no_category, r"name no entry of its categories: category_id 999; export it again"),
        (name_no_image, r"name no entry of its images: image_id 999; export it again"),
        (lose_box, r"is damaged: KeyError 'bbox'; export it again"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_anything_runs(
    world: Corrections, damage: Callable[[Told], Any], sentence: str
) -> None:
    told = copy.deepcopy(world.exported("coco"))
    damage(told)
    with pytest.raises(UsageError, match=sentence):
        check(GivenParams(regions="truth.json"), json.dumps(told).encode(), ITEMS)


def test_a_picture_of_another_shape_fails_its_page(world: Corrections) -> None:
    told = world.exported("coco")
    told["images"][0]["width"] = 800
    with pytest.raises(ItemError, match=r"800 × 877 pixels, the page 620 × 877: it is not of this page"):
        world.given(told)


def test_shapes_that_are_no_regions_are_refused(world: Corrections) -> None:
    tasks = world.exported("label-studio")
    tasks[0]["predictions"][0]["result"][0]["type"] = "ellipselabels"
    with pytest.raises(UsageError, match="has shapes that are no regions: ellipselabels"):
        check(GivenParams(regions="truth.json"), json.dumps(tasks).encode(), ITEMS)


def test_containers_in_a_circle_fail_their_page(world: Corrections) -> None:
    told = world.exported("coco")
    told["annotations"][1]["parent"] = told["annotations"][2]["region_id"]
    with pytest.raises(ItemError, match="contains itself"):
        world.given(told)


def test_the_files_digest_is_pinned_and_part_of_the_detectors_key(world: Corrections) -> None:
    def key(text: str) -> str:
        (world.root / "truth.json").write_text(text)
        settled = PIPELINE.settle(
            DocparseParams(sources=("data",), detector={"name": "given", "regions": "truth.json"}), world.root
        )
        return cache_keys("docparse", PIPELINE.make_stages(settled))["detect"]

    assert key("[]") == key("[]") != key("[ ]")
    params = with_digest(GivenParams(regions="truth.json"), world.root)
    (world.root / "truth.json").write_text("{}")
    with pytest.raises(UsageError, match="has the digest"):
        with_digest(params, world.root)
    with pytest.raises(UsageError, match=r"'\.\./x' lies outside the workspace"):
        with_digest(GivenParams(regions="../x"), world.root)
    with pytest.raises(UsageError, match="No such file"):
        with_digest(GivenParams(regions="nothing.json"), world.root)
    origin = PageOrigin("", "", 1, {"truth.json": str(world.root / "truth.json")}, str(world.root / "runs" / "r1"))
    with pytest.raises(StageCrash, match="was changed after planning"):
        GivenDetector(params).find(
            [PageImage(np.zeros((877, 620, 3), np.uint8), text_of(ITEMS[0], SIZES[0]), ITEMS[0], origin)]
        )


def test_a_whole_run_takes_the_file_for_the_truth(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    Image.new("L", (400, 300), 255).save(tmp_path / "data" / "frame.png")
    annotation = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 20, 90.5, 50],
        "segmentation": [[10, 20, 100, 20, 100, 70]],
    }
    told = {
        "images": [{"id": 1, "file_name": "frame.png", "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "node"}], "annotations": [annotation],
    }  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(told))
    bench = Bench(tmp_path, "docparse")
    answer = bench.plan(workers=1, detector={"name": "given", "regions": "truth.json"})
    assert "truth.json" in {source["path"] for source in answer["sources"]}, "it is pushed where the pages are"
    bench.run()
    (path,) = bench.run_dir.glob("artifacts/frame-*/p0001/regions/region-????.json")
    region = Region.model_validate_json(path.read_bytes())
    assert (region.label, region.detector.name, region.bbox_px) == ("node", "given", (10, 20, 90.5, 50))
    assert region.mask is not None
    with Image.open(bench.run_dir / region.mask) as mask:
        assert mask.getbbox() is not None
    (entry,) = json.loads((bench.run_dir / "coco.json").read_text())["annotations"]
    assert entry["area"] == region.mask_area_px
