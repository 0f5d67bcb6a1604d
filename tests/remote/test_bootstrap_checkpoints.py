"""Model weights fetched by the box, from mirrors that are slow, rude, dying or lying."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from remote.bootstrap import box_environment, box_fetch, box_packages
from remote.bootstrap.caches import job_environment
from remote.bootstrap.checkpoints import checkpoints_step
from remote.bootstrap.defaults import default_steps
from remote.bootstrap.needs import BoxNeeds, Checkpoint
from remote.bootstrap.run import bootstrap
from remote.bootstrap.steps import BootstrapFailed
from remote.jobs import Agent
from remote.progress import Progress
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually
from tests.remote.test_agent_oldest_python import python_3_9
from tests.serving import served as serving

DATA = random.Random(5).randbytes(700_001)
SHA256 = hashlib.sha256(DATA).hexdigest()
NAME = "sam2/large.pt"


@dataclass
class Mirrors:
    """One server; the first part of a path names how it behaves."""

    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""
    sent: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def at(self, manner: str) -> str:
        return f"{self.url}/{manner}/large.pt?signature=planted-secret"

    def manners(self) -> list[str]:
        return [path.split("/")[1] for path, _range in self.asked]


@pytest.fixture
def mirrors() -> Iterator[Mirrors]:
    served = Mirrors()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append((self.path, wanted))
            self.close_connection = True
            manner = self.path.split("/")[1]
            start = int(wanted[len("bytes=") : -1]) if wanted else 0
            if manner == "gone":
                return self.send_error(404)
            if manner == "busy":
                return self.send_error(503)
            if manner.startswith("strict") and start:
                return self.send_error(416)
            data = DATA
            if manner == "lying":
                data = bytes(len(DATA))
            if manner == "short":
                data = DATA[:-1]
            if manner == "endless":
                data = DATA + b"more"
            partial = bool(start) and manner != "rangeless"
            body = data[start:] if partial else data
            self.send_response(206 if partial else 200)
            if partial:
                shown = 0 if manner == "rude" else start
                self.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
            if manner != "endless":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if manner in ("dying", "strict-dying", "rude", "rangeless"):
                body = body[:200_000]
            try:
                if manner in ("stalling", "held"):
                    self._give(b"" if start else body[:200_000])
                    served.gate.wait(20)
                    body = body[200_000:] if manner == "held" else b""
                self._give(body)
            except OSError:
                return None

        def _give(self, body: bytes) -> None:
            self.wfile.write(body)
            self.wfile.flush()
            served.sent += len(body)

        def log_message(self, *_arguments: object) -> None:
            return

    with serving(Handler) as address:
        served.url = address
        try:
            yield served
        finally:
            served.gate.set()


@dataclass(frozen=True)
class Fetched:
    code: int
    said: str


Fetch = Callable[..., Fetched]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def command(folder: Path, urls: list[str], stall_s: float) -> list[str]:
    """The program as a box runs it."""
    spec: dict[str, Any] = {
        "folder": str(folder),
        "stall_s": stall_s,
        "checkpoints": [{"name": NAME, "size": len(DATA), "sha256": SHA256, "urls": urls}],
    }
    path = folder.parent / "spec.json"
    path.write_text(json.dumps(spec))
    return [sys.executable, "-S", str(box_fetch.__file__), str(path)]


@pytest.fixture
def fetch(mirrors: Mirrors, folder: Path) -> Fetch:
    def run(*manners: str, stall_s: float = 10) -> Fetched:
        urls = [mirrors.at(manner) for manner in manners]
        done = subprocess.run(command(folder, urls, stall_s), capture_output=True, text=True, timeout=60, check=False)
        assert "planted-secret" not in done.stdout + done.stderr
        assert not done.stderr
        return Fetched(done.returncode, done.stdout)

    return run


def holds(folder: Path) -> bool:
    """Exactly the file, nothing half, and known to be right."""
    path = folder / NAME
    return path.read_bytes() == DATA and not path.with_name(f"{path.name}.part").exists()


def test_a_file_is_fetched_once(fetch: Fetch, folder: Path, mirrors: Mirrors) -> None:
    assert fetch("good").code == 0
    assert holds(folder)
    assert fetch("good").code == 0
    assert mirrors.manners() == ["good"]


def test_it_runs_on_the_oldest_python_of_an_image(folder: Path, mirrors: Mirrors) -> None:
    program = python_3_9()
    if program is None:
        pytest.skip("needs a Python 3.9 beside this one")
    done = subprocess.run([program, *command(folder, [mirrors.at("dying")], 10)[1:]], timeout=60, check=False)
    assert done.returncode == 0
    assert holds(folder)
    compiles = "import sys; compile(open(sys.argv[1]).read(), 'program', 'exec')"
    for module in (box_environment, box_packages):
        subprocess.run([program, "-c", compiles, str(module.__file__)], check=True)


def test_a_mirror_that_keeps_breaking_off_is_asked_for_the_rest(fetch: Fetch, folder: Path, mirrors: Mirrors) -> None:
    assert fetch("dying").code == 0
    assert holds(folder)
    assert [wanted for _path, wanted in mirrors.asked] == [None, *(f"bytes={at}00000-" for at in (2, 4, 6))]
    assert mirrors.sent == len(DATA)


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("lying", "serves wrong bytes: the sha256 differs"),
        ("short", "serves 700000 bytes instead of 700001"),
        ("endless", "serves more than 700001 bytes"),
        ("gone", "answers 404 Not Found"),
        ("busy", "answers 503 Service Unavailable"),
        ("rude", "was asked for bytes from 200000 and sends them from 0"),
        ("strict-dying", "broke off at 200000 of 700001 bytes"),
        ("rangeless", "broke off at 200000 of 700001 bytes"),
    ],
)
def test_a_mirror_that_does_not_serve_the_file_is_named_and_the_next_one_asked(
    fetch: Fetch, folder: Path, mirrors: Mirrors, manner: str, reason: str
) -> None:
    done = fetch(manner, "good")
    assert done.code == 0
    assert holds(folder)
    assert f"127.0.0.1/{manner}/large.pt {reason}" in done.said.splitlines()
    assert mirrors.manners()[-1] == "good"
    assert f"{NAME} comes from 127.0.0.1/good/large.pt" in done.said


def test_a_mirror_that_stalls_is_left_with_what_it_sent(fetch: Fetch, folder: Path, mirrors: Mirrors) -> None:
    done = fetch("stalling", "good", stall_s=1.5)
    assert done.code == 0
    assert holds(folder)
    assert mirrors.manners() == ["stalling", "stalling", "stalling", "good"]
    assert mirrors.asked[-1][1] == "bytes=200000-"
    assert "127.0.0.1/stalling/large.pt broke off: timed out" in done.said


def test_a_mirror_that_forgot_its_ranges_is_asked_from_the_beginning(
    fetch: Fetch, folder: Path, mirrors: Mirrors
) -> None:
    (folder / "sam2").mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(DATA[:500_000])
    assert fetch("strict").code == 0
    assert holds(folder)
    assert [wanted for _path, wanted in mirrors.asked] == ["bytes=500000-", None]


def test_a_part_with_wrong_bytes_is_not_blamed_on_the_mirror(fetch: Fetch, folder: Path, mirrors: Mirrors) -> None:
    (folder / "sam2").mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(bytes(500_000))
    done = fetch("good", "gone")
    assert done.code == 0
    assert holds(folder)
    assert "wrong bytes" not in done.said
    assert mirrors.manners() == ["good", "good"]


def test_without_a_mirror_that_serves_it_every_reason_is_told(fetch: Fetch, folder: Path) -> None:
    done = fetch("gone", "lying")
    assert done.code == 1
    assert f"{NAME} could not be fetched: 127.0.0.1/gone/large.pt answers 404 Not Found; 127.0.0.1/lying/" in done.said
    assert not (folder / NAME).exists()


def test_a_fetch_that_is_killed_goes_on_where_it_stopped(fetch: Fetch, folder: Path, mirrors: Mirrors) -> None:
    process = subprocess.Popen(command(folder, [mirrors.at("held")], 30), stdout=subprocess.DEVNULL)
    part = folder / f"{NAME}.part"
    eventually(lambda: part.exists() and mirrors.sent >= 200_000, what="a part came")
    process.kill()
    process.wait()
    kept = part.stat().st_size
    assert fetch("good").code == 0
    assert holds(folder)
    assert mirrors.asked[-1][1] == (f"bytes={kept}-" if kept else None)


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(
    folder: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("remote.bootstrap.box_fetch.shutil.disk_usage", lambda _path: type("Usage", (), {"free": 100}))
    spec = json.loads(Path(command(folder, [mirrors.at("good")], 1)[-1]).read_text())
    assert box_fetch.fetch_all(spec) == 64
    assert "GB free" in capsys.readouterr().out
    assert not mirrors.asked


def test_a_bootstrap_fetches_verifies_and_tells_its_pace(
    sshd: Sshd, transport: Transport, mirrors: Mirrors, tmp_path: Path
) -> None:
    mirrors.gate.set()
    checkpoint = Checkpoint(NAME, len(DATA), SHA256, (mirrors.at("lying"), mirrors.at("good")))
    link = sshd.home / "venv" / "bin" / "python3"
    link.parent.mkdir(parents=True)
    link.symlink_to(sys.executable)
    steps = default_steps(needs=BoxNeeds(checkpoints=(checkpoint,)), pins=[], imports=[])
    seen: list[Progress] = []
    results = {result.id: result for result in bootstrap(transport, "spotter", steps, seen.append)}
    assert results["checkpoints"].outcome == "ran"
    assert results["checkpoints"].evidence == {NAME: f"{len(DATA)} bytes, sha256 {SHA256}"}
    told = [each for each in seen if each.unit == "bytes"]
    assert told
    assert told[-1].done == told[-1].total == len(DATA)
    assert "MB/s" in told[-1].message
    with Agent.start(transport, "spotter") as agent:
        assert Path(job_environment(agent)["MODEL_DIR"], NAME).read_bytes() == DATA
        assert not [job for job in agent.list() if "planted" in json.dumps(job.to_json())]
    assert not [file for file in sshd.home.rglob("log") if b"planted" in file.read_bytes()]
    asked = len(mirrors.asked)
    assert {result.outcome for result in bootstrap(transport, "spotter", steps)} == {"kept"}
    (sshd.home / "spotter" / "models" / NAME).write_bytes(bytes(len(DATA)))  # rotten, of the right size
    again = bootstrap(transport, "spotter", steps)
    assert next(result for result in again if result.id == "checkpoints").outcome == "ran"
    assert len(mirrors.asked) > asked


def test_a_checkpoint_that_cannot_be_had_fails_with_the_mirrors_reasons(
    sshd: Sshd, transport: Transport, mirrors: Mirrors
) -> None:
    link = sshd.home / "venv" / "bin" / "python3"
    link.parent.mkdir(parents=True)
    link.symlink_to(sys.executable)
    needs = BoxNeeds(checkpoints=(Checkpoint(NAME, len(DATA), SHA256, (mirrors.at("gone"),)),))
    with pytest.raises(BootstrapFailed, match="answers 404 Not Found") as failed:
        bootstrap(transport, "spotter", default_steps(needs=needs, pins=[], imports=[]), retry_pause_s=0.01)
    assert (failed.value.step, failed.value.tries) == ("checkpoints", 3)
    assert "planted-secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "size", "sha256", "url", "wrong"),
    [
        ("../outside", 1, SHA256, "https://h/f", "a path below MODEL_DIR"),
        ("/etc/passwd", 1, SHA256, "https://h/f", "a path below MODEL_DIR"),
        ("a", 1, SHA256.upper(), "https://h/f", "not a sha256"),
        ("a", 0, SHA256, "https://h/f", "its size is 0"),
        ("a", 1, SHA256, "file:///etc/passwd", "not file"),
    ],
)
def test_a_checkpoint_that_makes_no_sense_is_refused(name: str, size: int, sha256: str, url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Checkpoint(name, size, sha256, (url,))


def test_the_time_for_checkpoints_grows_with_their_size() -> None:
    small = checkpoints_step([Checkpoint("a", 1, SHA256, ("https://h/f",))])
    large = checkpoints_step([Checkpoint("a", 3_000_000_000, SHA256, ("https://h/f",))])
    assert small.timeout_s < 200 < 3000 < large.timeout_s
