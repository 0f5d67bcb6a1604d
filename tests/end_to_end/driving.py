"""Drives Spotter as a person would: as processes, in workspaces of their own, on the emulated cloud."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pymupdf

from console.models.fleet import read_fleet
from console.operations.runbook import Runbook
from console.operations.session import open_session
from console.workspace import Workspace
from remote.localcloud.daemon import stop


@dataclass
class Operator:
    """Somebody at a terminal, with one workspace."""

    root: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "console", "-C", str(self.root), *arguments]

    def run(self, *arguments: str, timeout_s: float = 170, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check is not None:
            assert done.returncode == check, f"{arguments} ended {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, check: int | None = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", check=check).stdout.strip().splitlines()[-1])

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command whose output goes to `<root>/../<n>.log`, in a process group of its own."""
        log = (self.root.parent / f"console-{len(self.started)}.log").open("wb")
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def log(self, number: int = -1) -> str:
        count = len(self.started)
        return (self.root.parent / f"console-{range(count)[number]}.log").read_text("utf-8", "replace")

    def story(self) -> str:
        """What the console said, and the sessions that closed its runs: for the reader of a failed test."""
        logs = sorted((self.root / "out" / "runs").glob("*/logs/job-*-closing.log"))
        told = [f"== {path}\n{path.read_text('utf-8', 'replace')}" for path in logs]
        return "\n".join([self.log(), *told])

    def processes(self) -> list[psutil.Process]:
        """Every process that has to do with this workspace, this test's own aside."""
        return list(self.commands())

    def commands(self) -> dict[psutil.Process, list[str]]:
        """Every such process with its command line, read once: asked again, a process may have ended."""
        found = {}
        for process in psutil.process_iter():
            try:
                words, box = process.cmdline(), process.environ().get("SPOTTER_BOX", "")
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if str(self.root) in " ".join([*words, box]) and process.pid != os.getpid():
                found[process] = words
        return found

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    def run_entry(self) -> dict[str, Any]:
        """The newest run as the book has it: what `spotter runs --json` prints."""
        entries = Runbook(self.workspace).entries()
        assert entries, "no run yet"
        return entries[0].model_dump(mode="json")

    def run_folder(self) -> Path:
        return self.root / "out" / "runs" / str(self.run_entry()["run_id"])

    def rented(self) -> int:
        """Instances that the ledger holds for alive, whether or not a cloud still answers."""
        with closing(sqlite3.connect(self.root / ".spotter" / "state.db")) as ledger:
            return int(ledger.execute("SELECT count(*) FROM instances WHERE closed_at IS NULL").fetchone()[0])

    def spent_usd(self) -> float:
        """What was ever spent here. What was spent today is nothing again at midnight."""
        return open_session(self.workspace).ledger.spent_usd(cloud="local")

    def on_boxes(self) -> list[psutil.Process]:
        """Boxes and whatever runs on them: everything but the marketplace itself."""
        return [process for process, words in self.commands().items() if "--detach" not in words]

    def stop_cloud(self) -> None:
        """End the marketplace, and whatever is rented there."""
        stop(self.workspace.local_cloud)

    def instances(self) -> list[dict[str, Any]]:
        """What `spotter ps --json` prints."""
        return [asdict(row) for row in read_fleet(open_session(self.workspace)).instances]


def held_in_mid_run(operator: Operator, items: int) -> list[psutil.Process]:
    """A box's work, stopped when more than so many items are done there: a quick machine is through before the next
    pull, and then nothing is in its middle. Whoever holds it lets it go on."""

    def done() -> bool:
        found = (operator.root / ".spotter" / "cloud").glob("instances/*/root/spotter/runs/*/events.jsonl")
        return any(path.read_bytes().count(b'"status":"ok"') > items for path in found)

    wait_for(done, "a part of the work, on the box", 90)
    working = [each for each in operator.on_boxes() if "pipeline" in each.cmdline()]
    for each in working:
        each.suspend()
    return working


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def draw_pdf(path: Path, pages: int, words: str) -> None:
    """A small document: on each page a heading, a paragraph, a table and two boxes with an arrow."""
    document = pymupdf.open()
    for number in range(1, pages + 1):
        page = document.new_page(width=595, height=842)
        page.insert_htmlbox((60, 50, 535, 90), f"<h2>{words} {number}</h2>")
        page.insert_htmlbox(
            (60, 100, 535, 180), f"<p>{words}: page {number} explains layer {number} of the value stack.</p>"
        )
        for row in range(4):
            for column in range(3):
                cell = pymupdf.Rect(60 + column * 150, 220 + row * 30, 210 + column * 150, 250 + row * 30)
                page.draw_rect(cell, color=(0, 0, 0))
                page.insert_textbox(cell + pymupdf.Rect(4, 6, -4, -4), f"cell {row}{column}", fontsize=10)
        page.draw_rect((100, 450, 220, 510), color=(0, 0, 0.6), fill=(0.85, 0.9, 1))
        page.insert_text((120, 485), "Source", fontsize=12)
        page.draw_rect((360, 450, 480, 510), color=(0, 0, 0.6), fill=(0.85, 0.9, 1))
        page.insert_text((380, 485), "Target", fontsize=12)
        page.draw_line((220, 480), (360, 480), width=1.5)
        page.draw_polyline([(350, 474), (360, 480), (350, 486)], width=1.5)
    document.save(path)
