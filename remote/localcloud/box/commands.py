"""Commands of an SSH session on a box: started like sshd starts them, and outliving the connection like there."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from pathlib import Path

import asyncssh

from remote.localcloud.box.disk import command_that_cannot_grow

CHUNK_BYTES = 65536
ACCEPTED_VARIABLES = ("LANG", "LC_", "COLORTERM")
"""What a client may set, as sshd's AcceptEnv in the usual images."""


class Commands:
    """Runs what clients ask for, in the instance's home with the instance's environment only."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home = home
        self._environment = environment
        self.disk_is_full = False
        """Whether files of commands that start from now on cannot grow."""

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """One session, from its request to its exit status."""
        if process.subsystem is not None:
            process.exit(1)
            return
        if process.term_type is not None:
            await self._run_on_terminal(process)
        else:
            await self._run_on_pipes(process)

    def _argv(self, command: str | None) -> list[str]:
        shell = self._environment["SHELL"]
        argv = [shell, "-l"] if command is None else [shell, "-c", command]
        return command_that_cannot_grow(shell, argv) if self.disk_is_full else argv

    def _variables(self, process: asyncssh.SSHServerProcess[bytes]) -> dict[str, str]:
        asked = {name: value for name, value in process.env.items() if name.startswith(ACCEPTED_VARIABLES)}
        host, port = _address(process, "peername")
        here, here_port = _address(process, "sockname")
        return {**self._environment, **asked, "SSH_CONNECTION": f"{host} {port} {here} {here_port}"}

    async def _run_on_pipes(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        stderr_read, stderr_write = os.pipe()
        try:
            child = subprocess.Popen(
                self._argv(process.command),
                stdin=stdin_read,
                stdout=stdout_write,
                stderr=stderr_write,
                cwd=self._home,
                env=self._variables(process),
                start_new_session=True,
            )
        except OSError as error:
            for descriptor in (stdin_write, stdout_read, stderr_read):
                os.close(descriptor)
            process.stderr.write(f"{error}\n".encode())
            process.exit(126)
            return
        finally:
            for descriptor in (stdin_read, stdout_write, stderr_write):
                os.close(descriptor)
        ended = _ending(child)
        feeding = asyncio.create_task(_feed(process, stdin_write, child))
        # The session lasts until nobody holds its output any more, as with sshd: a child that keeps it open keeps it.
        await asyncio.gather(_drain(stdout_read, process.stdout), _drain(stderr_read, process.stderr))
        status = await ended
        feeding.cancel()
        _leave(process, status)

    async def _run_on_terminal(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        controller, terminal = pty.openpty()
        _resize(terminal, process.term_size)
        child = subprocess.Popen(
            self._argv(process.command),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=self._home,
            env={**self._variables(process), "TERM": process.term_type or "dumb"},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(terminal)
        ended = _ending(child)
        feeding = asyncio.create_task(_feed(process, os.dup(controller), child))
        await _drain(controller, process.stdout)
        status = await ended
        feeding.cancel()
        _leave(process, status)


def _address(process: asyncssh.SSHServerProcess[bytes], name: str) -> tuple[str, int]:
    """An address of the connection; one that came by a forwarder has none of its own."""
    found = process.get_extra_info(name)
    return (found[0], found[1]) if found else ("127.0.0.1", 0)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = size
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


def _ending(child: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The exit status of `child`, awaited by a thread of its own: any number of commands may run at once."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()

    def wait() -> None:
        status = child.wait()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, future, status)

    threading.Thread(target=wait, name=f"wait-{child.pid}", daemon=True).start()
    return future


def _settle(future: asyncio.Future[int], status: int) -> None:
    if not future.done():
        future.set_result(status)


async def _drain(descriptor: int, writer: asyncssh.SSHWriter[bytes]) -> None:
    """Bytes of a pipe or terminal to the client until its end; a client that went away closes the pipe."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES * 4)
    file = os.fdopen(descriptor, "rb", buffering=0)
    transport, _protocol = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    except (OSError, asyncssh.Error):
        # EIO is the end of a terminal; anything else says that the client is gone: the command sees a broken pipe.
        return
    finally:
        transport.close()


async def _feed(process: asyncssh.SSHServerProcess[bytes], descriptor: int, child: subprocess.Popen[bytes]) -> None:
    """Bytes, signals and window sizes from the client to the command, until the client's end of file."""
    loop = asyncio.get_running_loop()
    file = os.fdopen(descriptor, "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(lambda: asyncio.streams.FlowControlMixin(loop=loop), file)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        while True:
            try:
                chunk = await process.stdin.read(CHUNK_BYTES)
            except asyncssh.TerminalSizeChanged as change:
                _resize(descriptor, change.term_size)
                continue
            except asyncssh.SignalReceived as received:
                _send(child, received.signal)
                continue
            except asyncssh.BreakReceived:
                continue
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
    except (OSError, asyncssh.Error):
        return
    finally:
        transport.close()


def _send(child: subprocess.Popen[bytes], name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if number is not None and child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


def _leave(process: asyncssh.SSHServerProcess[bytes], status: int) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)
