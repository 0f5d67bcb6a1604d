from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from remote.bootstrap.box import Box
from remote.bootstrap.defaults import default_steps, worker_python
from remote.bootstrap.install import NoInterpreter, install_agent
from remote.bootstrap.run import bootstrap
from remote.bootstrap.steps import BootstrapFailed, Step, StepUnmet
from remote.progress import Progress
from remote.release import worker_files
from remote.sync.push import push_release
from remote.transport import Transport
from tests.remote.sshd import Sshd


@pytest.fixture
def image_python(sshd: Sshd) -> Path:
    """An interpreter with the worker's packages where an emulated image keeps it."""
    path = sshd.home / "venv" / "bin" / "python3"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)
    return path


def set_environment(sshd: Sshd, **values: str) -> None:
    shell = sshd.folder / "shell.sh"
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    shell.write_text(shell.read_text().replace("cd ", exports + "cd ", 1))


def test_a_ready_image_passes_every_step_and_a_second_bootstrap_only_checks(
    sshd: Sshd, transport: Transport, image_python: Path
) -> None:
    release = push_release(transport, "spotter", worker_files())
    seen: list[Progress] = []
    first = bootstrap(transport, "spotter", default_steps(release), seen.append)
    outcomes = {result.id: result.outcome for result in first}
    assert list(outcomes) == ["interpreter", "agent", "caches", "worker-environment", "verification"]
    assert [step for step, outcome in outcomes.items() if outcome != "found"] == ["caches"]
    assert first[-1].evidence["import pipeline"] == f"{release.path}/pipeline/__init__.py"
    assert int(first[-1].evidence["cpu_count"]) >= 1
    assert worker_python(first) == sys.executable
    assert (seen[-1].done, seen[-1].total) == (5, 5)
    kept = json.loads((sshd.home / "spotter" / "bootstrap" / "interpreter.json").read_text())
    assert kept["evidence"]["path"] == sys.executable
    second = bootstrap(transport, "spotter", default_steps(release))
    assert {result.outcome for result in second} == {"kept"}
    assert [result.evidence for result in second][:4] == [result.evidence for result in first][:4]


def test_a_step_is_done_only_when_its_check_passes_after_its_run(sshd: Sshd, transport: Transport) -> None:
    flag = sshd.home / "flag"

    def check(box: Box) -> dict[str, str]:
        return {"content": box.expect(["cat", str(flag)]).strip()}

    idle = Step("make-flag", "1", check, lambda box: None, 20)
    with pytest.raises(BootstrapFailed, match="No such file") as failed:
        bootstrap(transport, "spotter", [idle])
    assert failed.value.command == f"cat {flag}"
    working = Step("make-flag", "1", check, lambda box: void(box.run(f"echo made > {flag}")), 20)
    assert [(r.outcome, r.evidence) for r in bootstrap(transport, "spotter", [working])] == [
        ("ran", {"content": "made"})
    ]
    assert bootstrap(transport, "spotter", [idle])[0].outcome == "kept"
    changed = Step("make-flag", "2", check, lambda box: None, 20)
    assert bootstrap(transport, "spotter", [changed])[0].outcome == "found"


def void(_value: object) -> None:
    return None


def test_a_step_that_hangs_fails_at_its_limit(transport: Transport) -> None:
    def check(box: Box) -> dict[str, str]:
        box.run("exec sleep 1.2")
        return {}

    with pytest.raises(BootstrapFailed, match=r"not done within 0\.5 s"):
        bootstrap(transport, "spotter", [Step("slow", "1", check, None, 0.5)])


def test_later_steps_see_what_earlier_ones_found_and_a_failure_keeps_them(sshd: Sshd, transport: Transport) -> None:
    def fail(box: Box) -> dict[str, str]:
        raise StepUnmet(f"first said {box.found['first']['word']}")

    first = Step("first", "1", lambda box: {"word": "привет"}, None, 10)
    with pytest.raises(BootstrapFailed, match="first said привет"):
        bootstrap(transport, "spotter", [first, Step("second", "1", fail, None, 10)])
    assert bootstrap(transport, "spotter", [first])[0].outcome == "kept"


def test_a_box_without_python_is_said(sshd: Sshd, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote.bootstrap.install.find_interpreter", lambda _minimum: "exit 67; :")
    with pytest.raises(NoInterpreter, match="no Python 3"):
        install_agent(transport, "spotter")
    with pytest.raises(BootstrapFailed, match="interpreter"):
        bootstrap(transport, "spotter", [])


def test_a_chatty_login_shell_does_not_disturb(sshd: Sshd, transport: Transport, image_python: Path) -> None:
    shell = sshd.folder / "shell.sh"
    shell.write_text(shell.read_text().replace("cd ", "echo Welcome to this box; echo '{not json'\ncd ", 1))
    release = push_release(transport, "spotter", worker_files())
    assert len(bootstrap(transport, "spotter", default_steps(release))) == 5
    assert push_release(transport, "spotter", worker_files()).reused


def test_a_box_whose_disk_refuses_is_said(sshd: Sshd, transport: Transport) -> None:
    (sshd.home / "spotter").write_text("a file where the folder should be")
    with pytest.raises(BootstrapFailed, match="agent"):
        bootstrap(transport, "spotter", [])
