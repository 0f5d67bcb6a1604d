from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from remote.cloud import Endpoint
from remote.transport import (
    CommandFailed,
    CommandTimeout,
    ConnectionLost,
    HostKeyChanged,
    KeyRejected,
    KeyUnreadable,
    SshRefused,
    SshSilent,
    Transport,
    TransportError,
    connect,
)
from tests.remote.sshd import Sshd, Starved, eventually, free_port, new_key, signal_all


def test_a_command_gives_its_exit_code_and_both_outputs(transport: Transport) -> None:
    done = transport.run("echo out; echo err >&2; exit 7")
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_arguments_reach_the_command_unchanged(transport: Transport) -> None:
    odd = ["two words", "it's", 'say "x"', "$HOME", "a\nb", "Пример", "*", ""]
    done = transport.run(["printf", "%s|", *odd])
    assert done.stdout.decode() == "".join(f"{word}|" for word in odd)


def test_stdin_is_streamed_from_an_iterator(transport: Transport) -> None:
    done = transport.run(["cat"], stdin=(f"{number}\n".encode() for number in range(5_000)))
    assert done.stdout == b"".join(f"{number}\n".encode() for number in range(5_000))


def test_a_failing_source_of_stdin_is_the_callers_error(transport: Transport) -> None:
    def source() -> Iterator[bytes]:
        yield b"some"
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        transport.run(["cat"], stdin=source(), timeout_s=10)
    assert transport.run("true").exit_code == 0


def test_a_flood_on_stderr_does_not_block_stdout(transport: Transport) -> None:
    done = transport.run("head -c 8000000 /dev/zero >&2; echo done", timeout_s=30)
    assert done.stdout == b"done\n"
    assert len(done.stderr) == 64 * 1024


def test_check_raises_with_the_last_lines(transport: Transport) -> None:
    with pytest.raises(CommandFailed, match="exit code 3 on the box: no such thing") as failure:
        transport.check("echo no such thing >&2; exit 3")
    assert failure.value.exit_code == 3


def test_a_command_killed_by_a_signal_is_no_lost_connection(transport: Transport) -> None:
    assert transport.run("kill -9 $$").exit_code == -1
    assert transport.alive


def sleepers(sshd: Sshd) -> list[psutil.Process]:
    """What a command that was given up left on the box."""
    return [process for process in sshd.leftovers() if process.name() == "sleep"]


def test_a_command_past_its_limit_is_given_up(sshd: Sshd, transport: Transport) -> None:
    began = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"did not end within 0\.5 s"):
        transport.run("exec sleep 30", timeout_s=0.5)
    assert time.monotonic() - began < 20
    assert transport.run("true").exit_code == 0
    signal_all(sleepers(sshd), signal.SIGKILL)


def test_nothing_of_this_machines_environment_reaches_the_box(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTTER_PLANTED_SECRET", "hunter2")
    monkeypatch.setenv("LC_PLANTED", "hunter2")
    with sshd.connect() as transport:
        assert b"hunter2" not in transport.run("env").stdout


def test_twenty_threads_share_one_connection(transport: Transport) -> None:
    outputs: dict[int, bytes] = {}

    def work(number: int) -> None:
        outputs[number] = transport.run(["sh", "-c", f"sleep 0.05; echo {number}"]).stdout

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outputs == {number: f"{number}\n".encode() for number in range(20)}


def test_a_box_that_still_counts_commands_that_ended_is_asked_again(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [transport._wire.open_session() for _ in range(10)]  # as many as OpenSSH allows on a connection
    with monkeypatch.context() as hurried:
        hurried.setattr("remote.ssh.connection.REFUSED_S", 0.3)
        with pytest.raises(TransportError, match="the box refuses another command on this connection"):
            transport.run("true")
    later = threading.Timer(0.5, held[0].close)
    later.start()
    assert transport.run("true").exit_code == 0
    later.join()
    for channel in held:
        channel.close()


def test_a_stream_is_a_conversation(transport: Transport) -> None:
    with transport.open(["cat"]) as stream:
        for word in (b"first", b"second"):
            stream.write(word)
            assert stream.read(timeout_s=60) == word
        stream.close_stdin()
        assert stream.read(timeout_s=60) == b""
        assert stream.wait(timeout_s=60) == 0


def test_the_first_connection_pins_the_host_key_and_later_ones_insist_on_it(sshd: Sshd, tmp_path: Path) -> None:
    with sshd.connect():
        pinned = sshd.pin_path.read_text()
    assert pinned.startswith("* ssh-ed25519 ")
    with sshd.connect():
        assert sshd.pin_path.read_text() == pinned
    sshd.stop()
    for half in ("host_key", "host_key.pub"):
        (sshd.folder / half).unlink()
    sshd.start()
    with pytest.raises(HostKeyChanged, match=r"delete .*instance-1") as changed:
        sshd.connect()
    assert changed.value.pin_path == sshd.pin_path
    assert sshd.pin_path.read_text() == pinned


def test_an_empty_pin_file_trusts_nobody(sshd: Sshd) -> None:
    sshd.pin_path.parent.mkdir()
    sshd.pin_path.write_text("")
    with pytest.raises(HostKeyChanged, match="holds no host key"):
        sshd.connect()


def test_a_key_that_is_not_attached_is_rejected(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(KeyRejected, match="not attached"):
        sshd.connect(key_path=new_key(tmp_path / "other"))


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_private_key_that_is_none_is_named(sshd: Sshd, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyUnreadable, match="broken"):
        sshd.connect(key_path=path)


def test_a_closed_port_is_refused(sshd: Sshd) -> None:
    with pytest.raises(SshRefused, match="still starting"):
        connect(
            [Endpoint("direct", "127.0.0.1", free_port())],
            user=sshd.user,
            key_path=sshd.key_path,
            pin_path=sshd.pin_path,
        )


def test_a_port_that_hangs_up_is_refused_and_one_that_never_greets_is_silent(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up() -> None:
            rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(SshRefused, match="hangs up before its SSH greeting"):
            sshd_at(sshd, rude, 30)
        thread.join()
        began = time.monotonic()
        with pytest.raises(SshSilent, match="does not greet within 1 s"):
            sshd_at(sshd, mute, 1)
        assert time.monotonic() - began < 12


def sshd_at(sshd: Sshd, server: socket.socket, timeout_s: float) -> Transport:
    endpoint = Endpoint("direct", "127.0.0.1", server.getsockname()[1])
    return connect([endpoint], user=sshd.user, key_path=sshd.key_path, pin_path=sshd.pin_path, timeout_s=timeout_s)


@pytest.mark.parametrize("dead", ["refused", "mute"])
def test_the_proxy_wins_when_direct_is_dead(sshd: Sshd, dead: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = free_port() if dead == "refused" else mute.getsockname()[1]
        endpoints = [Endpoint("proxy", "127.0.0.1", sshd.port), Endpoint("direct", "127.0.0.1", port)]
        began = time.monotonic()
        with connect(endpoints, user=sshd.user, key_path=sshd.key_path, pin_path=sshd.pin_path) as transport:
            assert transport.endpoint.kind == "proxy"
            assert time.monotonic() - began < 5


def test_direct_wins_when_both_are_well(sshd: Sshd) -> None:
    endpoints = [Endpoint("proxy", "localhost", sshd.port), sshd.endpoint]
    with connect(endpoints, user=sshd.user, key_path=sshd.key_path, pin_path=sshd.pin_path) as transport:
        assert transport.endpoint.kind == "direct"


def test_no_endpoint_is_said(sshd: Sshd) -> None:
    with pytest.raises(SshSilent, match="no SSH endpoint"):
        connect([], user="root", key_path=sshd.key_path, pin_path=sshd.pin_path)


def test_a_ping_takes_a_round_trip(transport: Transport) -> None:
    assert 0 < transport.ping() < 5


def test_a_frozen_box_is_noticed_within_ten_seconds_by_everyone_who_waits(sshd: Sshd, transport: Transport) -> None:
    failures: list[BaseException] = []

    def wait_for_output() -> None:
        try:
            transport.run("exec sleep 30", timeout_s=60)
        except BaseException as error:
            failures.append(error)

    def push_without_end() -> None:
        try:
            transport.run("exec cat > /dev/null", stdin=iter(lambda: b"x" * 100_000, b""), timeout_s=60)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (wait_for_output, push_without_end)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    sshd.freeze()
    began = time.monotonic()
    with Starved() as starved:
        for thread in threads:
            thread.join(40)
    took_s = time.monotonic() - began
    sshd.thaw()
    assert [type(failure) for failure in failures] == [ConnectionLost, ConnectionLost]
    assert "has not answered" in str(failures[0])
    assert 5 < took_s < starved.longer(10.5)
    assert not transport.alive
    with pytest.raises(ConnectionLost):
        transport.run("true")
    signal_all(sshd.leftovers(), signal.SIGKILL)


def test_an_idle_connection_stays_up(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote.ssh.liveness.PING_AFTER_SILENCE_S", 0.3)
    monkeypatch.setattr("remote.ssh.liveness.LOST_AFTER_SILENCE_S", 3)
    with sshd.connect() as transport:
        time.sleep(4)
        assert transport.alive
        assert transport.run("echo still").stdout == b"still\n"


def test_a_killed_session_is_a_lost_connection_not_an_exit(sshd: Sshd, transport: Transport) -> None:
    with transport.open("exec sleep 30") as stream:
        began = time.monotonic()
        sshd.cut()
        with pytest.raises(ConnectionLost, match="lost"):
            stream.read(timeout_s=20)
        assert time.monotonic() - began < 5
    eventually(lambda: not transport.alive, what="the transport knows")
    signal_all(sshd.leftovers(), signal.SIGKILL)


def test_threads_and_sockets_are_given_back(sshd: Sshd) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    with sshd.connect() as transport:
        transport.run("true")
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("ssh-")], what="threads ended")
    before = open_files()
    for _ in range(3):
        with sshd.connect() as transport:
            transport.run("true")
    eventually(lambda: open_files() <= before, what="sockets closed")


def test_every_byte_that_a_connection_carries_is_told_once(sshd: Sshd) -> None:
    noted: list[tuple[int, int]] = []
    with sshd.connect() as transport:
        transport.count_traffic(lambda into, out_of: noted.append((into, out_of)))
        assert transport.check("cat", stdin=b"x" * 300_000).stdout == b"x" * 300_000
    into, out_of = (sum(each) for each in zip(*noted, strict=True))
    assert 300_000 < into < 330_000
    assert 300_000 < out_of < 330_000
    transport.close()
    assert len(noted) == 1
