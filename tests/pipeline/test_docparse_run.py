"""docparse through the command line: whole runs, bad documents, and kills in every stage."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

from pipeline.core.files import sha256_file
from pipeline.core.records import read_records
from pipeline.docparse.analysis import Fact, Struct
from pipeline.docparse.regions import Region
from tests.pipeline.documents import flow_page, new_page, save, table_page, text_page
from tests.pipeline.driving import Bench, items_done, pipeline, sequence_is_gap_free, stage_begun, wait_until

RECORDS = Path("records") / "docparse.ndjson"


def docparse(root: Path) -> Bench:
    return Bench(root, "docparse")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A finished run over a PDF of six pages and a two-page TIFF, with names that need care."""
    bench = docparse(tmp_path_factory.mktemp("undisturbed"))
    data = bench.root / "data"
    drawers = [flow_page, table_page, text_page, lambda document: text_page(document, 12), flow_page, table_page]
    save(data / "Карта 'x\" $(y)\n.pdf", *drawers)
    frames = [Image.new("L", (600, 400), shade) for shade in (255, 240)]
    frames[0].save(data / "scan.tif", save_all=True, append_images=frames[1:])
    bench.plan(workers=2)
    bench.run(check=0)
    return bench


def test_a_run_leaves_the_layout_that_others_rely_on(undisturbed: Bench) -> None:
    run = undisturbed.run_dir
    (document,) = run.glob("artifacts/Карта*")
    assert sorted(path.name for path in document.iterdir()) == [f"p{page:04}" for page in range(1, 7)]
    page = document / "p0001"
    words = json.loads((page / "words.json").read_text())
    assert (words["width"], words["height"], words["dpi"], words["text_source"]) == (1240, 1755, 150, "pdf")
    with Image.open(page / "page.png") as image:
        assert (image.size, image.mode) == ((1240, 1755), "RGB")
    regions = sorted((page / "regions").glob("region-????.json"))
    assert len(regions) >= 9
    for path in regions:
        region = Region.model_validate_json(path.read_bytes())
        assert (region.detector.name, region.document, region.page) == ("opencv", document.name, 1)
        stem = path.name.removesuffix(".json")
        assert (page / "regions" / f"{stem}.caption.txt").read_text().strip()
        struct = Struct.model_validate_json((page / "regions" / f"{stem}.struct.json").read_bytes())
        assert (struct.kind, struct.analyst) == (region.label, "text-layer")
        for line in (page / "regions" / f"{stem}.facts.jsonl").read_text().splitlines():
            assert Fact.model_validate_json(line).evidence
        with Image.open(run / region.crop) as crop:
            assert crop.width >= region.bbox_px[2]
    assert not list(run.rglob("mask.png")), "no segmenter ran"
    assert not list(run.rglob("*.tmp"))


def test_everything_in_the_run_folder_is_listed_with_its_hash(undisturbed: Bench) -> None:
    listed = undisturbed.artifacts()
    unlisted = {"artifacts.jsonl", "events.jsonl", "manifest.jsonl", "params.yaml", ".lock"}
    run = undisturbed.run_dir
    present = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert present - unlisted == set(listed)
    assert all(sha256_file(run / path) == entry["sha256"] for path, entry in listed.items())


def test_records_lead_back_to_page_and_crop_and_name_no_run(undisturbed: Bench) -> None:
    records = list(read_records(undisturbed.run_dir / RECORDS))
    assert len({record.id for record in records}) == len(records)
    kinds = {record.meta.type for record in records}
    assert kinds == {"Title", "NarrativeText", "Table", "VisualCaption", "VisualFact"}
    for record in records:
        assert record.meta.page_image is not None
        assert (undisturbed.run_dir / record.meta.page_image).is_file()
        assert record.meta.crop is None or (undisturbed.run_dir / record.meta.crop).is_file()
        assert record.meta.filename == "Карта 'x\" $(y)\n.pdf"
    run_id = undisturbed.info()["run_id"]
    assert run_id.encode() not in (undisturbed.run_dir / RECORDS).read_bytes()
    long_page = [record for record in records if record.meta.page == 4 and record.meta.type == "NarrativeText"]
    assert len(long_page) > 1
    assert all(len(record.text) <= 1400 for record in long_page)


def test_the_coco_file_holds_every_region(undisturbed: Bench) -> None:
    coco = json.loads((undisturbed.run_dir / "coco.json").read_text())
    regions = list(undisturbed.run_dir.rglob("region-????.json"))
    assert len(coco["annotations"]) == len(regions)
    assert len(coco["images"]) == 8
    assert {category["name"] for category in coco["categories"]} >= {"diagram", "table", "node"}
    assert all(image["width"] > 0 and image["file_name"].endswith("page.png") for image in coco["images"])


def test_the_report_covers_every_document_and_names_who_worked(undisturbed: Bench) -> None:
    report = undisturbed.report()
    assert report["means"] == "detector opencv · analyst text-layer · 150 dpi"
    words = ("rendered", "detected", "arranged", "described", "analysed", "recorded")
    full = dict.fromkeys(words, 6)
    through = {document["source"][-4:]: document["through"] for document in report["documents"]}
    assert through == {".pdf": full, ".tif": dict.fromkeys(full, 2)}
    assert "Карта &#x27;x&quot; $(y)" in (undisturbed.run_dir / "report.html").read_text()


@pytest.mark.parametrize("stage", ["render", "detect", "regions", "analyze", "records"])
def test_killed_in_the_middle_of_a_stage_the_records_are_the_same_byte_for_byte(
    undisturbed: Bench, tmp_path: Path, stage: str
) -> None:
    bench = docparse(tmp_path)
    shutil.copytree(undisturbed.root / "data", bench.root / "data")
    bench.plan(workers=2)
    with bench.started() as process:
        if stage == "records":
            wait_until(lambda: stage_begun(bench, "records"), "the records stage", process)
        else:
            wait_until(lambda: items_done(bench, stage) >= 1, f"an item of {stage}", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert bench.info()["state"] == "running"
    finished = {row for row in bench.executions() if row[2] == "ok"}
    assert stage == "records" or len([row for row in finished if row[0] == stage]) < 8, "it was in the middle"
    bench.run("--resume", check=0)
    assert bench.done_twice() == []
    assert finished <= set(bench.executions())
    assert sequence_is_gap_free(bench.events())
    assert bench.info()["counts"]["ok"] == 8
    for name in (RECORDS, Path("coco.json")):
        assert (bench.run_dir / name).read_bytes() == (undisturbed.run_dir / name).read_bytes()
    same = {path: entry["sha256"] for path, entry in undisturbed.artifacts().items() if path.startswith("artifacts/")}
    assert {path: entry["sha256"] for path, entry in bench.artifacts().items() if path.startswith("artifacts/")} == same


def test_bad_documents_cost_only_themselves_and_are_told_with_their_reasons(tmp_path: Path) -> None:
    bench = docparse(tmp_path)
    data = bench.root / "data"
    whole = save(data / "good.pdf", text_page).read_bytes()
    (data / "cut.pdf").write_bytes(whole[: len(whole) // 3])
    (data / "empty.png").touch()
    (data / "text.png").write_text("это не картинка")
    side = 20_000 / 25.4 * 72
    save(data / "vast.pdf", lambda document: new_page(document, side, side), text_page)
    answer = bench.plan(workers=2)
    assert [problem["path"] for problem in answer["problems"]] == ["data/cut.pdf", "data/empty.png", "data/text.png"]
    assert [source["path"] for source in answer["sources"]] == ["data/good.pdf", "data/vast.pdf"]
    done = bench.run(check=3)
    failed = {row["source"]: row for row in bench.report()["failures"]}
    assert set(failed) == {"data/cut.pdf", "data/empty.png", "data/text.png", "data/vast.pdf"}
    assert failed["data/vast.pdf"]["page"] == 1
    assert "20000 × 20000 mm" in failed["data/vast.pdf"]["message"]
    assert done.stderr.count("failed: ") == 4
    assert {record.meta.filename for record in read_records(bench.run_dir / RECORDS)} == {"good.pdf", "vast.pdf"}


def test_sources_are_read_from_a_content_addressed_store(tmp_path: Path) -> None:
    bench = docparse(tmp_path)
    path = save(bench.root / "data" / "a.pdf", text_page)
    bench.plan(workers=1)
    sha256 = sha256_file(path)
    (tmp_path / "blobs" / sha256[:2]).mkdir(parents=True)
    path.rename(tmp_path / "blobs" / sha256[:2] / sha256)
    bench.run("--blobs", tmp_path / "blobs", check=0)
    assert bench.info()["state"] == "succeeded"


def test_a_source_that_changed_after_planning_is_not_parsed_as_what_it_was(tmp_path: Path) -> None:
    bench = docparse(tmp_path)
    path = save(bench.root / "data" / "a.pdf", text_page)
    bench.plan(workers=1)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b" ")
    assert "was changed after planning" in bench.run(check=3).stderr


def test_plan_prints_one_line_of_json_and_refuses_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "params.yaml").write_text("sources: [data]\n")
    where = ("--params", tmp_path / "params.yaml", "--run-dir", tmp_path / "run", "--workspace", tmp_path)
    refused = pipeline("plan", "docparse", *where, check=2)
    assert refused.stderr == "error: there is no PDF, PNG, JPEG or TIFF in data: add some, or name other sources\n"
    assert not (tmp_path / "run").exists()
    save(tmp_path / "data" / "a.pdf", text_page)
    answer = json.loads(pipeline("plan", "docparse", *where, check=0).stdout)
    assert {"run_id", "plan_key", "items", "documents", "problems", "sources"} <= set(answer)
    assert (tmp_path / "run" / "run.json").exists()
