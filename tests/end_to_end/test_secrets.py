"""Secrets that were planted are found nowhere but where they belong, and nothing listens but on loopback."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from remote.localcloud.daemon import LocalCloudAddress, ensure_running, stop
from tests.end_to_end.driving import Operator, draw_pdf, wait_for

OPENAI_KEY = f"sk-planted-{secrets.token_hex(16)}"
OWN_SECRET = f"planted-{secrets.token_hex(16)}"


@pytest.fixture
def marketplace(tmp_path: Path) -> Iterator[LocalCloudAddress]:
    """Somebody's emulated marketplace: its account's key is a secret of the operator."""
    state = tmp_path / "marketplace"
    yield ensure_running(state)
    stop(state)


def plant(operator: Operator, marketplace: LocalCloudAddress) -> dict[str, bytes]:
    """Everything secret that the operator has, by name; all of it is on his disk."""
    root = operator.root
    settings = (root / "spotter.toml").read_text("utf-8")
    settings = settings.replace('name = "local"', 'name = "vast"').replace('url = ""', f'url = "{marketplace.url}"')
    (root / "spotter.toml").write_text(settings, "utf-8")
    environment = root / ".env"
    environment.write_text(f"VAST_API_KEY={marketplace.api_key}\nOPENAI_API_KEY={OPENAI_KEY}\n", "utf-8")
    environment.chmod(0o600)
    (root / "Secrets").mkdir()
    (root / "Secrets" / "sa.json").write_text(json.dumps({"private_key": OWN_SECRET}), "utf-8")
    (root / "notes.py").write_text("print('the code of the workspace')\n", "utf-8")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return {
        "the marketplace's key": marketplace.api_key.encode(),
        "OPENAI_API_KEY": OPENAI_KEY.encode(),
        "Secrets/": OWN_SECRET.encode(),
    }


def holding(folder: Path, secret: bytes, *, but: tuple[Path, ...] = ()) -> list[str]:
    """Files below `folder` that contain `secret`."""
    found = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file() or any(path.is_relative_to(each) for each in but):
            continue
        if secret in path.read_bytes():
            found.append(str(path.relative_to(folder)))
    return found


class Onlooker:
    """What anybody on this machine can see of the processes of a workspace: command lines and listening ports."""

    def __init__(self, marks: tuple[str, ...]) -> None:
        self._marks = marks
        self.command_lines: set[str] = set()
        self.environments: set[str] = set()
        self.listeners: set[str] = set()

    def look(self) -> None:
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                environment = process.environ()
                ours = any(mark in line or mark in environment.get("SPOTTER_BOX", "") for mark in self._marks)
                if not ours or process.pid == os.getpid():
                    continue
                self.command_lines.add(line)
                if "SPOTTER_BOX" in environment:
                    self.environments.add("\n".join(f"{name}={value}" for name, value in environment.items()))
                for connection in process.net_connections(kind="inet"):
                    if connection.status == psutil.CONN_LISTEN:
                        self.listeners.add(connection.laddr.ip)
            except (psutil.Error, OSError):
                continue


def test_planted_secrets_stay_where_they_belong(operator: Operator, marketplace: LocalCloudAddress) -> None:
    root = operator.root
    planted = plant(operator, marketplace)
    draw_pdf(root / "data" / "doc.pdf", 3, "Value stack")
    state = root.parent / "marketplace"
    onlooker = Onlooker((str(root), str(state)))

    console = operator.start("run", "--yes", "--keep")
    while console.poll() is None:
        onlooker.look()
        time.sleep(0.5)
    assert console.returncode == 0, operator.log()
    instance_id = operator.instances()[0]["id"]
    operator.run("push", str(instance_id), "--json")
    onlooker.look()

    private_key = (root / ".spotter" / "keys" / "id_ed25519").read_text("utf-8").splitlines()[2].encode()
    planted["the private SSH key"] = private_key
    request = urllib.request.Request(
        f"{marketplace.url}/api/v0/instances/", headers={"Authorization": f"Bearer {marketplace.api_key}"}
    )
    with urllib.request.urlopen(request) as answer:
        rows = answer.read()
    assert str(instance_id).encode() in rows
    boxes = state / "instances"
    assert holding(boxes, b"the code of the workspace"), "the workspace's own code is on the box"
    home = (root / ".env", root / "Secrets", root / ".spotter" / "keys", root / ".git")
    log = operator.log().encode()
    for name, secret in planted.items():
        assert holding(root, secret, but=home) == [], f"{name} lies about in the workspace"
        assert holding(boxes, secret) == [], f"{name} is on a box"
        assert secret not in rows, f"{name} is in the cloud's rows"
        assert secret not in log, f"{name} was printed"
        text = secret.decode()
        assert not [line for line in onlooker.command_lines if text in line], f"{name} was on a command line"
        assert not [each for each in onlooker.environments if text in each], f"{name} was in a box's environment"

    assert onlooker.command_lines, "nothing was seen: the test would prove nothing"
    assert onlooker.listeners <= {"127.0.0.1", "::1"}
    assert onlooker.listeners, "the boxes listen somewhere"

    operator.run("destroy", str(instance_id), "--force", "--yes")
    wait_for(lambda: operator.instances() == [], "the box to be gone")


def test_a_wrong_key_is_not_repeated_in_the_answer(operator: Operator, marketplace: LocalCloudAddress) -> None:
    plant(operator, marketplace)
    wrong = f"wrong-{secrets.token_hex(16)}"
    (operator.root / ".env").write_text(f"VAST_API_KEY={wrong}\n", "utf-8")
    refused = operator.run("offers", check=1)
    assert "VAST_API_KEY" in refused.stderr
    assert wrong not in refused.stdout + refused.stderr
    assert holding(operator.root, wrong.encode(), but=(operator.root / ".env",)) == []
