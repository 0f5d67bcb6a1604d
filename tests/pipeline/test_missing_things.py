"""Whatever is missing is one sentence with the command that mends it; nothing is written as if it were done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.operations import run_needs
from console.operations.offers import query_of
from console.operations.plan import plan as plan_run
from console.operations.run import drive
from console.operations.run_needs import NoGpuThere, box_needs_of, torch_cuda
from console.operations.session import open_session
from console.operations.weights import fetch_weights
from console.settings import Settings
from console.workspace import create_workspace
from pipeline.cli import main
from pipeline.core.pipeline import RunParams
from pipeline.docparse.needs import machine_needs
from pipeline.docparse.pipeline import PIPELINE
from remote.bootstrap.defaults import default_steps
from remote.bootstrap.needs import BoxNeeds
from tests.pipeline.documents import save, text_page
from tests.pipeline.driving import Bench
from tests.pipeline.hub import Hub, serving

DINO = {"name": "grounding-dino", "checkpoint": "tiny-dino", "device": "cpu", "precision": "float32"}
SAM = {"name": "sam2", "checkpoint": "tiny-dino", "device": "cpu", "precision": "float32"}


@dataclass
class Place:
    bench: Bench
    hub: Hub
    root: Path

    def run(self, capfd: pytest.CaptureFixture[str], **params: Any) -> tuple[int, str]:
        """(exit code, what stderr said) of a run in this process."""
        self.bench.plan(workers=1, dpi=36, **params)
        command = ["run", "docparse", "--run-dir", str(self.bench.run_dir), "--workspace", str(self.bench.root)]
        capfd.readouterr()
        code = main(command)
        return code, capfd.readouterr().err

    def files(self) -> set[str]:
        return {path.name for path in self.bench.run_dir.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    repository = tmp_path / "hub/acme/tiny-dino"
    repository.mkdir(parents=True)
    (repository / "config.json").write_text("{}")
    (repository / "model.safetensors").write_bytes(bytes(1000))
    bench = Bench(tmp_path / "workspace", "docparse")
    save(bench.root / "data" / "page.pdf", text_page)
    with serving(tmp_path / "hub") as hub:
        registry = hub.write_registry(tmp_path / "registry.yaml", {"tiny-dino": hub.entry("acme/tiny-dino")})
        for name, value in hub.environment(tmp_path / "checkpoints", registry).items():
            monkeypatch.setenv(name, value)
        yield Place(bench, hub, tmp_path / "checkpoints")


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"detector": DINO}, r"checkpoint tiny-dino is not in .*fetch it: spotter weights fetch tiny-dino"),
        ({"segmenter": SAM}, r"checkpoint tiny-dino is not in .*fetch it: spotter weights fetch tiny-dino"),
        ({"detector": {**DINO, "checkpoint": "nobodys"}}, r"there is no checkpoint 'nobodys'; `spotter weights list`"),
    ],
    ids=["detector", "segmenter", "unknown"],
)
def test_a_missing_checkpoint_ends_the_run_before_it_begins(
    place: Place, capfd: pytest.CaptureFixture[str], params: dict[str, Any], told: str
) -> None:
    code, said = place.run(capfd, **params)
    assert code == 2
    assert re.fullmatch(rf"error: .*{told}.*\n", said), said
    assert place.files() <= {"run.json", "params.yaml", "manifest.jsonl", ".lock"}
    assert place.bench.info()["state"] == "queued"


def test_a_checkpoint_with_a_wrong_sha_is_not_loaded(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    fetch_weights(place.root, ["tiny-dino"])
    (place.root / "tiny-dino" / "model.safetensors").write_bytes(bytes(999) + b"!")
    code, said = place.run(capfd, detector=DINO)
    assert code == 2
    assert re.fullmatch(r"error: .*is damaged: .*has another sha256; .*: spotter weights fetch tiny-dino\n", said), said
    assert "ledger.sqlite" not in place.files()


@pytest.mark.parametrize(
    ("package", "params", "mend"),
    [
        ("transformers", {"detector": DINO}, "uv sync --inexact --extra gpu"),
        ("groundingdino-py", {"detector": {**DINO, "backend": "original"}}, "--extra original"),
        ("sam2", {"segmenter": {**SAM, "backend": "original"}}, "original"),
    ],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    place: Place,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    params: dict[str, Any],
    mend: str,
) -> None:
    def without(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return version(name)

    fetch_weights(place.root, ["tiny-dino"])
    for module in ("pipeline.docparse.grounded", "pipeline.docparse.sam2_segmenter"):
        monkeypatch.setattr(f"{module}.version", without)
    code, said = place.run(capfd, **params)
    assert code == 1
    assert re.fullmatch(rf"error: .*'?{package}'?.*{re.escape(mend)}.*\n", said), said
    assert "ledger.sqlite" not in place.files()


def test_without_a_gpu_device_cuda_ends_the_run_and_blames_no_page(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    fetch_weights(place.root, ["tiny-dino"])
    code, said = place.run(capfd, detector={**DINO, "device": "cuda"})
    assert code == 1
    assert "torch sees none" in said
    assert "nvidia-smi" in said
    assert place.bench.info()["state"] == "failed"
    assert place.bench.info()["counts"] == {"ok": 0, "failed": 0, "rejected": 0, "open": 1}
    assert "raw.json" not in place.files()
    assert place.bench.report()["documents"][0]["through"]["detected"] == 0


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, r"OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "sk-nobodys"}, r"127\.0\.0\.1:9"),
    ],
    ids=["key", "server"],
)
def test_a_missing_key_or_server_of_the_analyst_is_told(
    place: Place,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    told: str,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    analyst = {"name": "openai", "model": "some-model", "base_url": "http://127.0.0.1:9/v1", "tries": 1}
    code, said = place.run(capfd, analyst=analyst)
    assert code != 0
    assert re.search(told, said), said
    assert "sk-nobodys" not in said
    assert place.bench.report()["documents"][0]["through"]["analysed"] == 0


def test_what_a_run_needs_is_told_by_its_parameters() -> None:
    def needs(**params: Any) -> Any:
        return machine_needs(PIPELINE.parse_params({"sources": ["data"], **params}))

    assert machine_needs(RunParams()) == needs()
    assert (needs().stack, needs().checkpoints, needs().gpu_for) == ("cpu", (), ())
    whole = needs(detector={"name": "grounding-dino"}, segmenter={"name": "sam2"})
    assert (whole.stack, whole.checkpoints) == ("gpu", ("grounding-dino-tiny", "sam2.1-hiera-large"))
    assert whole.gpu_for == ("detector grounding-dino", "segmenter sam2")
    reading = needs(ocr={"name": "tesseract", "languages": ["rus", "chi_sim"]})
    assert reading.debian_packages == ("tesseract-ocr", "tesseract-ocr-rus", "tesseract-ocr-chi-sim")
    assert (reading.stack, needs().debian_packages) == ("cpu", ())
    reference = needs(detector={**DINO, "backend": "original"})
    assert (reference.stack, reference.gpu_for) == ("original", ())


def test_a_cloud_without_gpus_is_refused_before_anything_is_rented_and_a_box_is_asked_for_the_checkpoints(
    place: Place,
) -> None:
    workspace, _ = create_workspace(place.bench.root)
    session = open_session(workspace)
    planned = plan_run(session, overrides={"detector": {**DINO, "device": "cuda"}})
    with pytest.raises(NoGpuThere, match=r"detector grounding-dino cannot run on the local cloud, whose GPUs are emul"):
        drive(session, planned.entry.run_id)
    assert not list(workspace.local_cloud.glob("*")), "no marketplace was started for it"
    needs = box_needs_of(session, planned.entry.run_id)
    assert (needs.stack, needs.gpu) == ("gpu", True)
    assert {each.name for each in needs.checkpoints} == {"tiny-dino/config.json", "tiny-dino/model.safetensors"}
    assert needs.run_packages == ()
    reading = plan_run(session, overrides={"ocr": {"name": "tesseract", "languages": ["eng"]}})
    packages = box_needs_of(session, reading.entry.run_id).run_packages
    assert packages == ("tesseract-ocr", "tesseract-ocr-eng")
    steps = [step.id for step in default_steps(None, BoxNeeds(run_packages=packages), pins=[], imports=[])]
    assert "run-packages" in steps
    assert steps.index("run-packages") < steps.index("worker-environment")
    assert torch_cuda() >= 12.8


def test_models_on_the_processor_run_on_emulated_machines_where_their_packages_are(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(create_workspace(place.bench.root)[0])
    planned = plan_run(session, overrides={"detector": DINO})
    assert box_needs_of(session, planned.entry.run_id).gpu is False
    monkeypatch.setattr(run_needs, "find_spec", lambda name: None if name == "transformers" else "here")
    with pytest.raises(NoGpuThere, match=r"which has no transformers: run  uv sync --inexact --extra gpu"):
        run_needs.check_cloud(session, planned.entry.run_id)
    monkeypatch.setattr(run_needs, "find_spec", lambda _name: "here")
    run_needs.check_cloud(session, planned.entry.run_id)


@pytest.mark.parametrize(("with_torch", "cuda"), [(False, 12.8), (True, 13.0)])
def test_a_host_for_torch_must_have_a_driver_for_its_cuda_whatever_the_image_holds(
    with_torch: bool, cuda: float
) -> None:
    settings = Settings()
    session: Any = SimpleNamespace(
        settings=settings, emulated=False, cloud_name="vast", ledger=SimpleNamespace(bad_machines=lambda _cloud: {})
    )
    assert query_of(session, "A", with_torch=with_torch).image_cuda == pytest.approx(cuda)
