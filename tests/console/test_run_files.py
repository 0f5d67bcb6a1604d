"""What a run's own files tell of it: parameters, outputs, documents, the time it will take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from console.models.run_coverage import Coverage, CoverageReader
from console.models.run_estimate import estimate, seconds_per_item
from console.models.run_market import best_elsewhere
from console.models.run_outputs import OutputsReader
from console.models.run_parameters import ParametersMissing, differences, flat, read_parameters, written
from console.operations.runbook import Phase, Runbook, RunEntry
from console.workspace import Workspace, create_workspace
from remote.cloud import Offer, OfferQuery

OFFER = Offer(
    id=7, machine_id=1, host_id=1, gpu_name="RTX 4090", gpu_count=1, gpu_ram_mb=24564, compute_capability=890,
    cuda_max=12.8, cpu_name="EPYC", cpu_cores=16, ram_mb=65536, disk_gb=500, disk_name="nvme", gpu_usd_per_hour=0.2,
    storage_usd_per_gb_month=0.0, download_usd_per_gb=0.0, upload_usd_per_gb=0.0, download_mbps=900, upload_mbps=500,
    location="SE", reliability=0.999, verified=True, rentable=True, open_ports=4, max_duration_s=1e6,
)  # fmt: skip


def test_parameters_are_told_path_by_path_as_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "dpi: 150\ndetector:\n  name: opencv\n  labels: [node, arrow]\nworkers: null\n"
    )
    assert read_parameters(tmp_path) == {
        "dpi": "150", "detector.name": "opencv", "detector.labels": "[node, arrow]", "workers": "null",
    }  # fmt: skip


def test_parameters_that_are_gone_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParametersMissing, match=r"params\.yaml"):
        read_parameters(tmp_path)


def test_values_from_the_world_stay_on_their_line() -> None:
    assert dict(flat({"a": {"b\x1b": "x\ny"}})) == {"a.b\\x1b": "x\\ny"}
    assert written(True) == "true"
    assert written({}) == "{}"


def test_only_what_differs_between_two_runs_is_told() -> None:
    found = differences({"dpi": "150", "gone": "1", "same": "x"}, {"dpi": "200", "same": "x", "new": "2"})
    assert [(each.path, each.before, each.after) for each in found] == [
        ("dpi", "150", "200"), ("new", None, "2"), ("gone", "1", None),
    ]  # fmt: skip


def artifact(path: str, kind: str, size: int, retention: str = "keep") -> bytes:
    return orjson.dumps({"path": path, "sha256": "", "bytes": size, "kind": kind, "stage": "s", "retention": retention})


def test_outputs_are_counted_as_the_list_grows_and_a_file_listed_twice_is_one(tmp_path: Path) -> None:
    listed = tmp_path / "artifacts.jsonl"
    reader = OutputsReader(tmp_path)
    assert reader.look().files == 0
    listed.write_bytes(artifact("artifacts/a/p0001/page.png", "page-image", 100) + b"\n" + b'{"path": "artifacts/a/p00')
    assert reader.look().bytes == 100
    with listed.open("ab") as handle:
        handle.write(b'02/page.png"\n' + artifact("artifacts/a/p0001/page.png", "page-image", 300) + b"\n")
        handle.write(artifact("report.html", "report", 50) + b"\n")
        handle.write(artifact("artifacts/a/p0001/tmp", "raw", 9, "scratch") + b"\n")
    outputs = reader.read_all()
    assert [(made.name, made.files, made.bytes) for made in outputs.kinds] == [
        ("page-image", 1, 300),
        ("report", 1, 50),
    ]
    assert [made.name for made in outputs.places] == ["report.html", "artifacts/a/"]


def item_event(item: str, group: str, stage: str = "regions", status: str = "ok") -> dict[str, object]:
    return {"type": "item", "item": item, "group": group, "stage": stage, "status": status}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    rows = [
        {"item_id": "a1", "group": "a", "page": 1, "source": {"path": "data/a.pdf"}},
        {"item_id": "a2", "group": "a", "page": 2, "source": {"path": "data/a.pdf"}},
        {"item_id": "b1", "group": "b", "page": 1, "source": {"path": "data/[b].pdf"}},
    ]
    (tmp_path / "manifest.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    return tmp_path


def put_regions(folder: Path, group: str, page: int, count: int) -> None:
    place = folder / "artifacts" / group / f"p{page:04d}"
    place.mkdir(parents=True)
    (place / "regions.jsonl").write_bytes(b"{}\n" * count)


def test_a_document_in_which_nothing_was_found_stands_out(run_folder: Path) -> None:
    reader = CoverageReader(run_folder)
    for event in (item_event("a1", "a"), item_event("a2", "a", status="failed"), item_event("b1", "b")):
        reader.fold(event)
    put_regions(run_folder, "a", 1, 3)
    put_regions(run_folder, "b", 1, 0)
    a, b = reader.look(ended=False)
    assert a == Coverage("data/a.pdf", 2, 1, 1, 1, 3)
    assert b == Coverage("data/[b].pdf", 1, 1, 0, 1, 0)
    assert (a.empty, b.empty) == (False, True)
    reader.fold(item_event("a2", "a"))
    assert reader.look(ended=False)[0].failed == 0, "a resume mended it"


def test_pages_that_are_still_on_their_box_are_counted_when_they_come(run_folder: Path) -> None:
    reader = CoverageReader(run_folder)
    reader.fold(item_event("b1", "b"))
    assert reader.look(ended=False)[1] == Coverage("data/[b].pdf", 1, 1, 0, 0, 0)
    assert not reader.look(ended=False)[1].empty, "unknown is not nothing"
    put_regions(run_folder, "b", 1, 2)
    assert reader.look(ended=False)[1].regions == 2


def test_pages_that_an_earlier_run_had_done_are_found_on_disk_when_a_run_is_over(run_folder: Path) -> None:
    put_regions(run_folder, "a", 1, 4)
    reader = CoverageReader(run_folder)
    assert reader.look(ended=False)[0].described == 0
    assert reader.look(ended=True)[0] == Coverage("data/a.pdf", 2, 1, 0, 1, 4)


def ended_run(workspace: Workspace, run_id: str, detector: str, *, seconds: float, pages: int = 10) -> None:
    folder = workspace.run_folder(run_id)
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(f"detector: {{name: {detector}}}\n")
    events = [
        {"type": "state", "state": "running", "ts": 100.0, "seq": 1},
        {"type": "stage", "stage": "render", "state": "started", "total": pages, "done": 0, "ts": 100.0, "seq": 2},
        {"type": "stage", "stage": "render", "state": "finished", "total": pages, "done": pages, "ts": 100.0 + seconds},
        {"type": "state", "state": "succeeded", "ts": 100.0 + seconds, "seq": 4},
    ]
    (folder / "events.jsonl").write_bytes(b"\n".join(map(orjson.dumps, events)) + b"\n")
    Runbook(workspace).write(
        RunEntry(
            run_id=run_id, pipeline="docparse", plan_key=run_id, phase=Phase.DONE, state="succeeded", created_at=seconds
        )
    )


def test_a_new_run_is_estimated_by_the_newest_of_its_kind_only(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path)
    ended_run(workspace, "01old", "opencv", seconds=10.0)
    ended_run(workspace, "01layout", "layout", seconds=90.0)
    ended_run(workspace, "01new", "opencv", seconds=20.0)
    wanted = workspace.run_folder("01plan")
    wanted.mkdir(parents=True)
    (wanted / "params.yaml").write_text("detector: {name: opencv}\n")
    found = estimate(workspace, "01plan", "docparse", 180, 0.5)
    assert found is not None
    assert (found.seconds_per_item, found.seconds, found.like) == (2.0, 360.0, "01new")
    assert found.usd == pytest.approx(0.05)
    (wanted / "params.yaml").write_text("detector: {name: given}\n")
    assert estimate(workspace, "01plan", "docparse", 180, 0.5) is None


def test_a_run_of_two_pages_tells_no_pace(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path)
    ended_run(workspace, "01few", "opencv", seconds=10.0, pages=2)
    assert seconds_per_item(workspace, "01few") is None


def test_the_rest_of_a_run_elsewhere_counts_the_move_and_compares_only_the_same_gpu() -> None:
    query = OfferQuery(traffic_gb=0.0, hours=1.0)
    other = replace(OFFER, id=8, gpu_name="RTX 3090", gpu_usd_per_hour=0.01)
    found = best_elsewhere([OFFER, other], query, "RTX 4090", seconds_left=3600.0, usd_to_finish=0.5)
    assert found is not None
    assert found.offer_id == 7
    assert found.usd_saved == pytest.approx(0.3)
    assert "$0.30 cheaper" in found.words()
    dearer = best_elsewhere([OFFER], query, "RTX 4090", seconds_left=3600.0, usd_to_finish=0.1)
    assert dearer is not None
    assert "dearer" in dearer.words()
    assert best_elsewhere([other], query, "RTX 4090", seconds_left=1.0, usd_to_finish=1.0) is None
