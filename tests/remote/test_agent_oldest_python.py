from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from remote.jobs import Agent, JobSpec
from remote.release import worker_files
from remote.sync.pull import pull_artifacts
from remote.sync.push import push_blobs, push_release
from remote.transport import Transport
from tests.remote.sshd import Sshd


def python_3_9() -> str | None:
    installed = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))
    return str(installed[0]) if installed else shutil.which("python3.9")  # which may find a shim that goes by its name


def test_everything_on_the_box_runs_on_python_3_9(sshd: Sshd, transport: Transport, tmp_path: Path) -> None:
    program = python_3_9()
    if program is None:
        pytest.skip("needs a Python 3.9 beside this one")
    (sshd.home / "venv" / "bin").mkdir(parents=True)
    (sshd.home / "venv" / "bin" / "python3").symlink_to(program)
    source = tmp_path / "source"
    source.write_bytes(b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    with Agent.start(transport, "spotter") as agent:
        assert agent.hello()["python"].startswith("3.9.")
        agent.launch(JobSpec("ends", ("sh", "-c", "echo done; exit 3")))
        agent.launch(JobSpec("stays", ("sh", "-c", "setsid sleep 300 & sleep 300"), grace_s=1))
        agent.cancel("stays")
        assert agent.wait("ends", timeout_s=60).exit_code == 3
        assert agent.wait("stays", timeout_s=60).state == "cancelled"
        assert agent.sample()["cpu_count"] >= 1
        assert push_release(transport, "spotter", worker_files()).reused is False
        assert push_blobs(transport, "spotter", {sha256: source}).sent == 1
        row = {"path": "a", "sha256": sha256, "bytes": 7}
        agent.write("runs/r/artifacts.jsonl", json.dumps(row).encode() + b"\n")
        agent.write("runs/r/a", b"content")
        assert pull_artifacts(transport, f"{agent.root}/runs/r", tmp_path / "r").missing == ()
