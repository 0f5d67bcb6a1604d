from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from remote.agent.logs import FileShrank, LogPieceGone, LogWriter, make_pipe, pieces, read_at, size_of
from remote.jobs import Agent, JobSpec
from remote.jobs import FileShrank as FileShrankOnBox
from remote.jobs import LogPieceGone as LogPieceGoneOnBox
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually


@pytest.fixture
def agent(transport: Transport) -> Iterator[Agent]:
    with Agent.start(transport, "spotter") as agent:
        yield agent


def whole(path: Path, offset: int = 0, max_bytes: int = 1000) -> bytes:
    parts = []
    while data := read_at(path, offset, max_bytes)[1]:
        parts.append(data)
        offset += len(data)
    return b"".join(parts)


@pytest.mark.parametrize("piece_bytes", [5, 7, 64, 1000])
def test_a_log_in_pieces_reads_as_one(tmp_path: Path, piece_bytes: int) -> None:
    path = tmp_path / "logs" / "log"
    writer = LogWriter(path, piece_bytes, None)
    written = b""
    for number in range(40):
        line = f"line {number}\n".encode()
        assert writer.append(line) == 0
        written += line
        assert size_of(path) == len(written)
    writer.close()
    for offset in (0, 1, len(written) // 2, len(written) - 1):
        assert whole(path, offset) == written[offset:]
        assert whole(path, offset, max_bytes=3) == written[offset:]
    assert read_at(path, len(written), 10) == (len(written), b"")
    with pytest.raises(FileShrank, match=f"has {len(written)} bytes now"):
        read_at(path, len(written) + 1, 10)
    for start, piece in pieces(path):
        assert piece.name == f"log.{start}"
        assert written[start:].startswith(piece.read_bytes())


def test_a_writer_goes_on_where_another_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in range(10):
        writer = LogWriter(path, 10, None)
        writer.append(f"{number} 456789\n".encode())
        writer.append(b"x")
        writer.close()
    assert whole(path) == b"".join(f"{number} 456789\nx".encode() for number in range(10))


def test_old_pieces_go_beyond_the_cap_and_reading_them_names_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(path, 10, 25)
    for _number in range(10):
        writer.append(b"0123456789")
    writer.append(b"end")
    writer.close()
    assert [start for start, _piece in pieces(path)] == [70, 80, 90]
    assert size_of(path) == 103
    assert whole(path, 70) == b"0123456789" * 3 + b"end"
    with pytest.raises(LogPieceGone, match="kept from byte 70 on"):
        read_at(path, 69, 10)


def test_two_writers_of_one_log_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first, second = LogWriter(path, 20, None), LogWriter(path, 20, None)
    for number in range(20):
        (first, second)[number % 2].append(f"{number:09d}\n".encode())
    assert not pieces(path)  # nobody puts a piece aside that another one writes to
    second.close()
    first.append(b"x" * 10)
    first.close()
    assert len(pieces(path)) == 1
    assert whole(path) == b"".join(f"{number:09d}\n".encode() for number in range(20)) + b"x" * 10


def test_reading_while_pieces_turn_misses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    expected = b"".join(f"{number}\n".encode() for number in range(20_000))

    def write() -> None:
        writer = LogWriter(path, 500, None)
        for start in range(0, len(expected), 97):
            writer.append(expected[start : start + 97])
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    seen = b""
    deadline = time.monotonic() + 60
    while len(seen) < len(expected):
        assert time.monotonic() < deadline
        seen += read_at(path, len(seen), 4096)[1]
    thread.join()
    assert seen == expected
    assert len(pieces(path)) > 100


def test_a_pipe_is_copied_to_its_end(tmp_path: Path) -> None:
    source, sink = make_pipe()
    writer = LogWriter(tmp_path / "log", 1 << 20, None)
    copying = threading.Thread(target=writer.copy, args=(source,))
    copying.start()
    os.write(sink, b"all of it\n")
    os.close(sink)
    copying.join(10)
    os.close(source)
    writer.close()
    assert (tmp_path / "log").read_bytes() == b"all of it\n"


def test_the_log_of_a_job_turns_and_is_followed_by_the_same_offsets(sshd: Sshd, agent: Agent) -> None:
    program = "import sys\nfor n in range(20000): print(n)\n"
    expected = "".join(f"{number}\n" for number in range(20_000)).encode()
    spec = JobSpec("talker", ("python3", "-c", program), log_piece_bytes=20_000)
    agent.launch(spec)
    seen = b""
    while not agent.status("talker").ended or agent.stat("jobs/talker/log")["size"] > len(seen):
        seen += agent.follow("jobs/talker/log", len(seen), max_bytes=9000, wait_s=0.2)
    assert seen == expected
    assert len(list((sshd.home / "spotter" / "jobs" / "talker").glob("log.*"))) >= 4
    with pytest.raises(FileShrankOnBox):
        agent.follow("jobs/talker/log", len(seen) + 1)


def test_a_log_with_a_cap_says_what_is_kept(agent: Agent) -> None:
    program = "import sys, time\nfor n in range(30): print('x' * 999, flush=True); time.sleep(0.01)\n"
    spec = JobSpec("talker", ("python3", "-c", program), log_piece_bytes=3000, log_keep_bytes=5000)
    agent.launch(spec)
    assert agent.wait("talker", timeout_s=60).exit_code == 0
    assert agent.stat("jobs/talker/log")["size"] == 30_000
    with pytest.raises(LogPieceGoneOnBox, match="kept from byte"):
        agent.follow("jobs/talker/log", 0)
    assert agent.follow("jobs/talker/log", 29_000) == b"x" * 999 + b"\n"


def test_output_goes_on_when_the_log_writer_was_killed(sshd: Sshd, agent: Agent) -> None:
    program = "i=0; while test $i -lt 60; do echo line $i; i=$((i+1)); sleep 0.02; done"
    agent.launch(JobSpec("talker", ("sh", "-c", program)))
    eventually(lambda: b"line 3\n" in agent.follow("jobs/talker/log", 0), what="it talks")
    writer = None
    while writer is None:
        # Processes that come and go meanwhile are none of ours.
        with suppress(psutil.NoSuchProcess):
            ours = [process for process in sshd.leftovers() if f"{agent.root}/jobs/talker" in process.cmdline()]
            writer = next(process for process in ours if process.ppid() in {each.pid for each in ours})
    writer.kill()
    assert agent.wait("talker", timeout_s=60).exit_code == 0
    lines = agent.follow("jobs/talker/log", 0).decode().splitlines()
    assert lines[-1] == "line 59"
    assert len(lines) >= 59  # at most what it held in its hand is lost
