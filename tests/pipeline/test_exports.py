"""Exports: what COCO's tools, Docling and Label Studio's format make of a run whose regions are known."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.core.errors import UsageError
from pipeline.docparse.exports.brush import from_brush, to_brush
from pipeline.docparse.exports.coco import coco_chunks
from pipeline.docparse.exports.label_studio import MASK_SUFFIX
from pipeline.docparse.exports.pages import PageRegions, run_pages
from pipeline.docparse.exports.write import FORMATS, Exported, export
from pipeline.docparse.labels import LABELS
from pipeline.docparse.regions import Region, Rle
from pipeline.docparse.run_lengths import BadRunLengths, area_px, crop_of, pack, rle_of, unpack
from tests.pipeline.described import ITEMS, PLAN, SIZES, described_run, pixels_of


class World:
    def __init__(self, root: Path) -> None:
        self.run_dir = root / "runs" / "r1"
        self.pages = described_run(self.run_dir)
        self.regions: list[Region] = [region for page in self.pages for region in page]
        self.out = root / "exports"

    def export(self, name: str) -> Exported:
        return export(self.run_dir, name, self.out / name)

    def read(self, name: str, file: str) -> Any:
        return json.loads((self.out / name / file).read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("exports"))


def test_pycocotools_reads_every_region_with_its_mask(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    done = world.export("coco")
    assert (done.files, done.pages, done.regions) == (("coco.json",), 3, 7)
    coco = COCO(world.out / "coco" / "coco.json")
    assert [coco.cats[number]["name"] for number in sorted(coco.cats)] == list(LABELS)
    assert [(each["file_name"], each["width"], each["height"]) for each in coco.imgs.values()] == [
        (f"{item.folder}/page.png", *size) for item, size in zip(ITEMS, SIZES, strict=True)
    ]
    for region, entry in zip(world.regions, coco.anns.values(), strict=True):
        assert tuple(entry["bbox"]) == region.bbox_px
        assert (entry["iscrowd"], entry["region_id"], entry["parent"]) == (0, region.id, region.parent)
        if region.segmentation is not None:
            pixels = np.asarray(coco.annToMask(entry), bool)
            assert (pixels == pixels_of(region.segmentation)).all()
            assert entry["area"] == pixels.sum() == region.mask_area_px
        else:
            assert entry["segmentation"] == []
    assert "index created" in capsys.readouterr().out


def test_label_studio_gets_percents_containers_relations_and_strokes(world: World) -> None:
    world.export("label-studio")
    tasks = world.read("label-studio", "label-studio.json")
    assert [(task["data"]["document"], task["data"]["page"]) for task in tasks] == [
        (one.group, one.page) for one in ITEMS
    ]
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == "opencv@7"
    by_id = {result["id"]: result for result in prediction["result"] if "id" in result}
    for region in world.pages[0]:
        result = by_id[region.id]
        value, (x, y, width, height) = result["value"], region.bbox_px
        assert value["rectanglelabels"] == [region.label]
        back = [value["x"] * 6.20, value["y"] * 8.77, value["width"] * 6.20, value["height"] * 8.77]
        assert back == pytest.approx([x, y, width, height])
        assert result.get("parentID") == region.parent
        if region.segmentation is not None:
            brush = by_id[f"{region.id}{MASK_SUFFIX}"]["value"]
            assert (from_brush(brush["rle"], *SIZES[0]) == pixels_of(region.segmentation)).all()
    relations = {
        (each["from_id"], *each["labels"], each["to_id"])
        for each in prediction["result"]
        if each.get("type") == "relation"
    }
    arrow = world.pages[0][4]
    assert relations == {(arrow.id, "from", arrow.from_node), (arrow.id, "to", arrow.to_node)}
    assert tasks[1]["predictions"][0]["result"] == []


def test_the_labelling_configuration_names_what_the_tasks_use(world: World) -> None:
    world.export("label-studio")
    root = ElementTree.fromstring((world.out / "label-studio" / "label-studio.xml").read_text())
    names = {each.get("name") for each in root.iter() if each.get("name")}
    tasks = world.read("label-studio", "label-studio.json")
    results = [each for task in tasks for each in task["predictions"][0]["result"]]
    used = {result[key] for result in results for key in ("from_name", "to_name") if key in result}
    assert used <= names
    assert [each.get("value") for each in root.iter("Label")] == [*LABELS, *LABELS]


def test_fiftyone_gets_a_coco_folder_with_a_manifest_of_pictures(world: World) -> None:
    done = world.export("fiftyone")
    labels, data = world.read("fiftyone", "labels.json"), world.read("fiftyone", "data.json")
    assert [data[each["file_name"]] for each in labels["images"]] == [
        str(world.run_dir.resolve() / item.folder / "page.png") for item in ITEMS
    ]
    assert "COCODetectionDataset" in done.how


def test_docling_reads_each_document_back(world: World) -> None:
    from docling_core.types.doc import DoclingDocument

    done = world.export("docling")
    assert done.files == (f"{ITEMS[0].group}.json", f"{ITEMS[2].group}.json")
    document = DoclingDocument.load_from_json(world.out / "docling" / done.files[0])
    heading, diagram, first, second, _, table = world.pages[0]
    assert document.origin is not None
    assert document.origin.filename == "Планы & schemes.pdf"
    assert document.pages[1].size.width == pytest.approx(620 * 72 / 75)
    (picture,), (told,) = document.pictures, document.tables
    assert picture.prov[0].bbox.as_tuple() == pytest.approx(tuple(side * 72 / 75 for side in diagram.box))
    assert picture.prov[0].bbox.coord_origin.value == "TOPLEFT"
    assert picture.meta is not None
    assert picture.meta.description is not None
    assert picture.meta.description.text == "diagram «Заказ Payment»"
    inside = [child.resolve(document) for child in picture.children]
    assert [each.text for each in inside] == [first.text, second.text] == ["Заказ", "Payment"]
    (arrow,) = picture.meta.model_dump()["spotter__arrows"]
    assert (arrow["from"], arrow["to"]) == (inside[1].self_ref, inside[0].self_ref)
    assert (told.data.num_rows, told.data.num_cols) == (2, 2)
    assert [cell.text for cell in told.data.table_cells] == ["Role", "Decides", "Owner"]
    assert [ref.cref for ref in document.body.children] == ["#/texts/0", "#/pictures/0", "#/tables/0"]
    assert document.texts[0].prov[0].bbox.l == pytest.approx(heading.box[0] * 72 / 75, abs=1e-3)
    assert told.prov[0].page_no == 1
    assert table.text == ""
    assert "Заказ" in document.export_to_markdown()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_same_run_gives_the_same_bytes_and_leaves_no_draft(world: World, name: str) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (world.out / name).iterdir()}

    done = world.export(name)
    first = files()
    world.export(name)
    assert files() == first
    assert set(first) == set(done.files)


def test_what_cannot_be_exported_is_one_sentence_and_nothing_written(tmp_path: Path, world: World) -> None:
    described_run(tmp_path / "busy", state="running")
    empty = tmp_path / "empty"
    described_run(empty)
    for path in empty.rglob("regions.jsonl"):
        path.unlink()
    for run_dir, name, sentence in (
        (tmp_path / "none", "coco", "holds no run"),
        (tmp_path / "busy", "coco", "is running, so its regions are not complete: let it end .*run --resume"),
        (empty, "coco", "described no page"),
        (world.run_dir, "yolo", "there is no format 'yolo'; choose coco, label-studio, fiftyone, docling"),
    ):
        with pytest.raises(UsageError, match=sentence):
            export(run_dir, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file.* cannot be written"):
        export(world.run_dir, "coco", tmp_path / "file")


def test_the_command_exports_a_run_by_the_beginning_of_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from console.cli import app
    from console.operations.runbook import Runbook, RunEntry
    from console.workspace import create_workspace

    workspace, _ = create_workspace(tmp_path / "here")
    described_run(workspace.run_folder("01run"))
    Runbook(workspace).write(RunEntry(run_id="01run", pipeline="docparse", plan_key=""))
    done = CliRunner().invoke(app, ["-C", str(workspace.root), "export", "01r", "--format", "coco", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["pages"], told["regions"], told["files"]) == (3, 7, ["coco.json"])
    assert (workspace.root / "out" / "exports" / "01run" / "coco" / "coco.json").is_file()
    monkeypatch.setattr("console.commands.export.FILES_SHOWN", 1)
    told = CliRunner().invoke(app, ["-C", str(workspace.root), "export", "last", "--format", "docling"]).stdout
    assert re.search(r"docling: \S+\.json and 1 more\n", told), told
    wrong = CliRunner().invoke(app, ["-C", str(workspace.root), "export", "last", "--format", "yolo"])
    assert wrong.exit_code == 2
    assert "there is no format 'yolo'" in wrong.stderr


def test_coco_of_many_pages_holds_none_of_them_and_needs_room_nowhere_else(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (page, *_) = run_pages(world.run_dir)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no-such-folder"))

    def many(count: int) -> int:
        tracemalloc.start()
        written = sum(
            map(
                len,
                coco_chunks(
                    (PageRegions(page.item, page.width, page.height, None, page.regions) for _ in range(count)),
                    tmp_path,
                ),
            )
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert written > count * 1000
        return peak

    many(2)
    assert many(1500) < many(40) + 4_000_000, "the file itself has ten megabytes"


masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(bool, shape))


@settings(max_examples=80, deadline=None)
@given(masks, st.integers(0, 5), st.integers(0, 5))
def test_run_lengths_and_strokes_give_the_mask_back(pixels: np.ndarray[Any, Any], left: int, top: int) -> None:
    from pycocotools import mask as coco

    width, height = left + pixels.shape[1] + 2, top + pixels.shape[0] + 3
    page = np.zeros((height, width), bool)
    page[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    told = rle_of(left, top, pixels, width, height)
    assert told.counts == coco.encode(np.asfortranarray(page, np.uint8))["counts"].decode()
    assert (pixels_of(told) == page).all()
    assert area_px(told) == page.sum()
    x, y, crop = crop_of(told)
    again = np.zeros_like(page)
    again[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    assert (again == page).all()
    assert (from_brush(to_brush(left, top, pixels, width, height), width, height) == page).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1 << 24), max_size=30))
def test_packed_run_lengths_are_unpacked(lengths: list[int]) -> None:
    assert unpack(pack(lengths)).tolist() == lengths


@pytest.mark.parametrize("counts", ["52203O0O0", "P", "~~", "1"])
def test_damaged_run_lengths_are_refused(counts: str) -> None:
    with pytest.raises(BadRunLengths):
        area_px(Rle(size=(40, 50), counts=counts))


def test_the_source_of_a_page_is_told_as_its_owner_knows_it(world: World) -> None:
    world.export("coco")
    assert world.read("coco", "coco.json")["images"][0]["source"] == PLAN.path
