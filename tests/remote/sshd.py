"""A real OpenSSH server on loopback whose every command runs in a home of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from remote.cloud import Endpoint
from remote.transport import Transport, connect
from tests.free_port import free_port


def find_sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def eventually(condition: Callable[[], object], timeout_s: float = 60, what: str = "condition") -> None:
    """Wait for a condition. A machine that many tests share is slow, not wrong: only what never comes is to fail."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        time.sleep(0.02)


class Starved:
    """How late this process came to run: on a machine that others share, what must be quick takes longer."""

    STEP_S = 0.05
    USUAL_S = 0.02

    def __init__(self) -> None:
        self._late_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        before = time.monotonic()
        while not self._over.wait(self.STEP_S):
            now = time.monotonic()
            self._late_s += max(0.0, now - before - self.STEP_S - self.USUAL_S)
            before = now

    def __enter__(self) -> Starved:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def longer(self, limit_s: float) -> float:
        """What a limit is on a machine that kept this process waiting for so long; twice that, as it has a peer too."""
        return limit_s + 2 * self._late_s


def signal_all(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


@dataclass
class Sshd:
    """One server; `home` is where its commands run and what they see as HOME."""

    folder: Path
    port: int = field(default_factory=free_port)
    user: str = field(default_factory=getpass.getuser)
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def key_path(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def pin_path(self) -> Path:
        return self.folder / "pins" / "instance-1"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("direct", "127.0.0.1", self.port)

    def start(self) -> Sshd:
        program = find_sshd()
        assert program is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where root's sshd confines its unprivileged half
        self.home.mkdir(parents=True, exist_ok=True)
        for key in (self.key_path, self.folder / "host_key"):
            if not key.exists():
                new_key(key)
        shutil.copy(self.key_path.with_suffix(".pub"), self.folder / "authorized_keys")
        shell = self.folder / "shell.sh"
        home = shlex.quote(str(self.home))
        shell.write_text(f'#!/bin/sh\nexport HOME={home}\ncd {home}\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')
        shell.chmod(0o755)
        config = self.folder / "sshd_config"
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host_key'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            f"PidFile {self.folder / 'sshd.pid'}",
            f"ForceCommand {shell}",
            f'SetEnv HOME="{self.home}"',  # else the tester's own shell start-up files run at every command
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "MaxStartups 100",
        ]
        config.write_text("\n".join(lines) + "\n")
        if (
            subprocess.run(
                [program, "-t", "-f", str(config), "-o", "PerSourcePenalties=no"], capture_output=True
            ).returncode
            == 0
        ):
            config.write_text("\n".join([*lines, "PerSourcePenalties no"]) + "\n")
        log = (self.folder / "sshd.log").open("ab")
        self.process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        eventually(self._greets, what=f"sshd on port {self.port}")
        return self

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def connect(self, **overrides: object) -> Transport:
        arguments: dict[str, object] = {"user": self.user, "key_path": self.key_path, "pin_path": self.pin_path}
        return connect([self.endpoint], **(arguments | overrides))  # type: ignore[arg-type]

    def processes(self) -> list[psutil.Process]:
        """The listener and its session processes, not what they run."""
        if self.process is None or self.process.poll() is not None:
            return []
        listener = psutil.Process(self.process.pid)
        return [listener, *(child for child in listener.children(recursive=True) if _name(child).startswith("sshd"))]

    def freeze(self) -> None:
        signal_all(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        signal_all(self.processes(), signal.SIGCONT)

    def cut(self) -> None:
        """Kill every session, as a broken network would; the listener stays."""
        signal_all(self.processes()[1:], signal.SIGKILL)

    def stop(self) -> None:
        self.thaw()
        signal_all(self.processes()[::-1], signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def leftovers(self, name: str = "HOME", value: str | None = None) -> list[psutil.Process]:
        """Processes that live in this server's home: agents, supervisors, jobs and whatever jobs started.

        With `name` and `value`, those with that in their environment too.
        """
        marks = {("HOME", str(self.home)), (name, str(self.home) if value is None else value)}
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and marks <= process.environ().items():
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found
