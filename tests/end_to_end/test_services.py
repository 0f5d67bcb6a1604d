"""Shells, names for ssh, services and tunnels, as the operator types them, against emulated boxes."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.driving import Operator, wait_for


def first_line(operator: Operator, *arguments: str) -> tuple[subprocess.Popen[bytes], Any]:
    """A command that stays, and the JSON value that it printed first."""
    process = operator.start(*arguments, "--json")
    wait_for(lambda: "\n" in operator.log() and "{" in operator.log(), f"what {arguments} printed")
    line = next(line for line in operator.log().splitlines() if line.startswith("{"))
    return process, json.loads(line)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")
def test_a_rented_machine_is_reached_by_shell_name_service_and_tunnel(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    rented = operator.json("rent", "--yes")
    instance = str(rented["id"])

    # a shell: the exit code is the command's, one word is the remote shell's own, several are quoted for it
    assert operator.run("ssh", instance, "--", "echo to stdout; exit 7", check=7).stdout == "to stdout\n"
    assert operator.run("ssh", instance, "--", "printf", "%s|", "a b", "$HOME").stdout == "a b|$HOME|"
    heard = "test spotter/deadman/heartbeat -nt mark && echo used && exit"
    seen = f"touch mark; for i in $(seq 60); do {heard}; sleep 0.5; done"
    assert operator.run("ssh", instance, "--", seen).stdout == "used\n"

    # names for ssh and rsync
    assert operator.json("ssh-config", "--install")["hosts"][0] == f"spotter-{instance}"
    config = home / ".ssh" / "config"
    shell = ["ssh", "-F", str(config)]
    assert subprocess.run([*shell, f"spotter-{instance}", "echo here"], capture_output=True).stdout == b"here\n"
    if shutil.which("rsync") is not None:
        (tmp_path / "note.txt").write_text("by name")
        copy = ["rsync", "-e", f'ssh -F "{config}"', str(tmp_path / "note.txt"), f"spotter-{instance}:"]
        subprocess.run(copy, check=True, timeout=60)
        done = subprocess.run([*shell, f"spotter-{instance}", "cat note.txt"], capture_output=True, timeout=60)
        assert done.stdout == b"by name"

    # a service, opened, and still there after the tunnel is gone
    server = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
    started = json.loads(operator.run("service", "start", "web", "--ready", "/", "--json", "--", *server).stdout)
    assert started["service"] == "web"
    process, told = first_line(operator, "service", "open", "web")
    assert "Directory listing" in get(told["url"])
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", told["local_port"]), timeout=5)

    assert [each["state"] for each in operator.json("service", "list")] == ["running"]

    # a bare tunnel to its port, ended by SIGTERM
    box = operator.root / ".spotter" / "cloud" / "instances" / instance / "root"
    heartbeat = box / "spotter" / "deadman" / "heartbeat"

    def beats(before: int) -> bool:
        return heartbeat.stat().st_mtime_ns > before

    before = heartbeat.stat().st_mtime_ns
    process, told = first_line(operator, "tunnel", instance, str(started["port"]))
    wait_for(lambda: beats(before), "the word that the tunnel is used")
    assert "Directory listing" in get(f"http://127.0.0.1:{told['local_port']}/")
    process.terminate()
    assert process.wait(60) == 0

    assert operator.json("service", "stop", "web")["state"] == "cancelled"

    # names go with the machine
    operator.run("destroy", instance, "--yes")
    assert f"spotter-{instance}" not in next((home / ".ssh" / "spotter.d").glob("*.conf")).read_text()
    assert operator.json("ssh-config", "--remove")["removed"] is True
    assert list((home / ".ssh" / "spotter.d").iterdir()) == []
    assert not config.exists()
