"""Looking at a box: samples that are no use of it, and folders that are listed without following links."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remote.jobs import Agent, AgentError
from remote.transport import Transport
from tests.remote.sshd import Sshd


@pytest.fixture
def agent(transport: Transport) -> Iterator[Agent]:
    with Agent.start(transport, "spotter") as found:
        yield found


def test_a_look_how_busy_a_box_is_does_not_keep_it_from_counting_as_idle(sshd: Sshd, agent: Agent) -> None:
    heartbeat = sshd.home / "spotter" / "deadman" / "heartbeat"
    first = agent.sample()
    agent.samples()
    assert not heartbeat.exists()
    assert first["net_in_bytes"] >= 0
    assert first["net_out_bytes"] >= 0
    agent.hello()
    assert heartbeat.exists()


def test_a_folder_is_listed_folders_first_and_links_as_links(sshd: Sshd, agent: Agent) -> None:
    root = sshd.home / "spotter"
    (root / "runs" / "b").mkdir(parents=True)
    (root / "runs" / "a.txt").write_bytes(b"12345")
    (root / "runs" / "[bold]\x1b[31m").write_bytes(b"")
    (root / "runs" / "out").symlink_to("/etc")
    found = agent.folder("runs")
    assert [(each.name, each.kind) for each in found.entries] == [
        ("b", "folder"), ("[bold]\x1b[31m", "file"), ("a.txt", "file"), ("out", "link"),
    ]  # fmt: skip
    assert found.entries[2].size == 5
    assert (found.count, found.path) == (4, str(root / "runs"))
    assert len(agent.folder("runs", limit=1).entries) == 1
    for path in ("runs/out", "..", "/etc"):
        with pytest.raises(AgentError, match="outside"):
            agent.folder(path)
    with pytest.raises(AgentError, match="NotADirectoryError"):
        agent.folder("runs/a.txt")
