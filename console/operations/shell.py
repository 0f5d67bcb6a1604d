"""Shell: the system's own `ssh` on an instance, with the pinned host key, our key, and the endpoint that answers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from console.errors import WrongInput
from console.operations.session import Session


class NoSshClient(Exception):
    """OpenSSH's `ssh` is not on this machine."""


class NoSuchChoice(WrongInput):
    """No instance was named, and there is not exactly one to take."""


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """An `ssh` command line, ready to run."""

    argv: tuple[str, ...]
    endpoint: str

    @property
    def line(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(self.argv)


def the_instance(session: Session, instance_id: int | None) -> int:
    """`instance_id`, or the only one that is rented.

    Raises:
        NoSuchChoice: none is named and none, or more than one, is rented.
    """
    if instance_id is not None:
        return instance_id
    rented = [row.instance_id for row in session.living_rentals()]
    if len(rented) == 1:
        return rented[0]
    if not rented:
        raise NoSuchChoice("nothing is rented: `spotter rent` rents a machine")
    raise NoSuchChoice(f"{len(rented)} machines are rented, name one: {', '.join(map(str, rented))}")


def shell_command(
    session: Session, instance_id: int, command: Sequence[str] = (), *, terminal: bool = False
) -> ShellCommand:
    """The `ssh` command line for an instance; its host key is pinned now if it was not yet.

    Args:
        session: the workspace's session.
        instance_id: the instance.
        command: what to run there: one word is handed to the remote shell as it is, several are quoted for it.
        terminal: give the command a terminal, as an interactive program needs.

    Raises:
        NoSshClient: there is no `ssh` here.
        InstanceGone: the cloud doesn't know the instance.
        remote.cloud.CloudError: the cloud is silent, and nobody here was ever in that box.
        remote.transport.TransportError: no endpoint answers, or the box shows another host key.
    """
    import shutil

    from remote.ssh.trust import read_pin
    from remote.ssh_config import answering_endpoint, host_entries, render_config, write_config

    if shutil.which("ssh") is None:
        raise NoSshClient("there is no `ssh` on this machine: install OpenSSH's client")
    found, _silence = session.where(instance_id)
    pin = session.workspace.host_keys / str(instance_id)
    if read_pin(pin) is None:
        session.reach(instance_id).close()
    endpoint = answering_endpoint(found.endpoints)
    entries = host_entries(
        instance_id,
        [endpoint],
        user=session.settings.cloud.ssh_user,
        key_path=session.key.private_path,
        pin_path=pin,
    )
    config = shell_config(session, instance_id)
    write_config(config, render_config(entries, f"spotter ssh {instance_id}"))
    argv = ["ssh", "-F", str(config), *(["-t"] if terminal else []), entries[0].names[0]]
    if command:
        argv += ["--", command[0] if len(command) == 1 else shlex.join(command)]
    return ShellCommand(tuple(argv), str(endpoint))


def shell_config(session: Session, instance_id: int) -> Path:
    """Where the entry for `spotter ssh` stands."""
    return session.workspace.state / "ssh" / f"{instance_id}.conf"


def run_in_terminal(command: ShellCommand) -> int:
    """Give the terminal to `ssh` until it ends; its exit code. A Ctrl-C meanwhile is its own matter, not ours.

    Whoever ends this process, or takes its terminal away, ends `ssh` with it; and it too, once `ssh` has ended: left
    alive without a terminal, a console would go on asking the box for figures, which count as use of it.
    """
    import signal
    import subprocess

    running: list[subprocess.Popen[bytes]] = []
    heard: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        heard.append(number)
        for each in running:
            each.send_signal(number)

    handlers = {signal.SIGINT: lambda _number, _frame: None, signal.SIGTERM: pass_on, signal.SIGHUP: pass_on}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}  # no child inherits them
    try:
        running.append(subprocess.Popen(command.argv))
        code = running[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in heard[:1]:
            signal.raise_signal(caught)
    return 128 - code if code < 0 else code
