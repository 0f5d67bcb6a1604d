"""A machine that is off the network for a while: a box that works is waited for, not given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.operations.events import silent
from console.operations.loss import BoxLost, await_box
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.operations.single_run import SingleDriver
from console.workspace import create_workspace
from remote.cloud import CloudUnreachable
from remote.transport import SshSilent

RUN = "01jtestrun00000000abcdefgh"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr("console.operations.loss.LOOK_AGAIN_S", 0.0)
    workspace, _fresh = create_workspace(tmp_path / "workspace")
    made = open_session(workspace)
    try:
        yield made
    finally:
        made.stop_local_cloud()


class Line:
    """Stands for the way to a box: what each attempt at it meets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *met: Exception) -> None:
        self.met = list(met)
        self.reached = 0
        monkeypatch.setattr(Session, "reach", self.reach)

    def reach(self, _instance_id: int) -> SimpleNamespace:
        if self.met:
            raise self.met.pop(0)
        self.reached += 1
        return SimpleNamespace(close=lambda: None)


def test_a_box_is_waited_for_while_neither_cloud_nor_box_answers(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(monkeypatch, CloudUnreachable("no network"), SshSilent("no answer"), CloudUnreachable("no network"))
    await_box(session, 7)
    assert line.reached == 1


@pytest.mark.parametrize(
    ("met", "verdict"), [(CloudUnreachable("no network"), CloudUnreachable), (SshSilent("no answer"), BoxLost)]
)
def test_patience_ends_and_only_a_box_that_its_cloud_still_lists_is_lost(
    session: Session, monkeypatch: pytest.MonkeyPatch, met: Exception, verdict: type[Exception]
) -> None:
    monkeypatch.setattr("console.operations.loss.patience_s", lambda _session: -1.0)
    Line(monkeypatch, met)
    with pytest.raises(verdict):
        await_box(session, 7)


def test_a_run_goes_on_when_the_network_of_this_machine_comes_back(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    runbook = Runbook(session.workspace)
    entry = runbook.write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.LAUNCHED, instance_id=7, job_id="j")
    )
    driver = SingleDriver(session, runbook, entry, silent)
    line = Line(monkeypatch, CloudUnreachable("no network"))
    tries: list[str] = []

    def work_and_pull() -> None:
        tries.append("work")
        if len(tries) == 1:
            raise CloudUnreachable("no network")

    monkeypatch.setattr(driver, "_work_and_pull", work_and_pull)
    driver._until_pulled()
    assert (len(tries), line.reached) == (2, 1)
