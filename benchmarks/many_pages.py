"""Thousands of pages in one run: what memory it takes, and whether two `kill -9` change anything of what comes out.

Documents of small pages are drawn, each page another; `docparse` runs over them three times with two workers. Once over
a tenth of the pages, once over all of them, and once over all of them again, killed with its workers in the middle of
two stages and resumed.

`rss_growth_mb` is what the run over all pages took more than the run over a tenth of them: the sum of the resident
memory of the runner and its workers, each run's highest. `identical` compares the sha256 of every file that the killed
run and the undisturbed one wrote, ledgers, event files and reports left out, which hold times. `pages_per_s` is of the
undisturbed run, start to end; the pages are tiny, so it says what a page costs besides its pixels. `plan_10000_s` is
what planning 10,000 pages takes.

Every file is fsynced, which is most of what a tiny page takes on a slow disk: `TMPDIR=/dev/shm` takes the disk out.

Run: `uv run python benchmarks/many_pages.py [--quick] [--pages N] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # the driver is the tests' own

from pipeline.core.files import sha256_file
from tests.pipeline.driving import Bench, items_done

PAGES_PER_DOCUMENT = 50
WIDTH_PT, HEIGHT_PT = 200, 140
WORKERS = 2
SAMPLE_S = 0.2
STAGES_KILLED = ("detect", "analyze")
TIMED = ("ledger.sqlite", "events.jsonl", "metrics.jsonl", "run.json", "artifacts.jsonl", ".lock")
"""Files of a run that hold times or the order in which things happened; reports too."""


def draw_documents(folder: Path, pages: int) -> None:
    """Pages with a line of text, a framed table and two nodes with an arrow, each with its own number."""
    import pymupdf

    folder.mkdir(parents=True)
    for first in range(0, pages, PAGES_PER_DOCUMENT):
        with pymupdf.open() as document:
            for number in range(first, min(first + PAGES_PER_DOCUMENT, pages)):
                page = document.new_page(width=WIDTH_PT, height=HEIGHT_PT)
                page.insert_text((10, 16), f"Page {number} of many", fontsize=9)
                for row in range(3):
                    for column in range(2):
                        cell = pymupdf.Rect(10 + 40 * column, 26 + 14 * row, 50 + 40 * column, 40 + 14 * row)
                        page.draw_rect(cell, color=(0, 0, 0), width=0.8)
                        page.insert_text((cell.x0 + 4, cell.y1 - 4), f"{number % 97}{row}{column}", fontsize=7)
                for left in (110, 160):
                    page.draw_rect(pymupdf.Rect(left, 90, left + 28, 110), color=(0, 0, 0), width=0.8)
                page.draw_line((138, 100), (159, 100), color=(0, 0, 0), width=0.8)
                page.draw_polyline([(154, 97), (159, 100), (154, 103)], color=(0, 0, 0), fill=(0, 0, 0))
            document.save(folder / f"document-{first // PAGES_PER_DOCUMENT:04}.pdf", no_new_id=True)


class Memory:
    """Samples what a process and all that it started hold in memory, until it ends."""

    def __init__(self, pid: int) -> None:
        self.highest_mb = 0.0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            total = 0
            try:
                for process in [self._process, *self._process.children(recursive=True)]:
                    total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self.highest_mb = max(self.highest_mb, total / 1e6)

    def stop(self) -> float:
        """The highest sum that was seen, in MB."""
        self._ended.set()
        self._thread.join()
        return self.highest_mb


def bench(folder: Path, sources: Path) -> Bench:
    """A planned run over the documents of `sources`."""
    made = Bench(folder, "docparse")
    (folder / "data").parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(sources, folder / "data")
    made.plan(workers=WORKERS, dpi=72)
    return made


def session(run: Bench, *options: str, kill_in: str | None = None, after: int = 0) -> float:
    """One session to its end, or until `after` items of a stage are done, when all of it is killed; the highest MB."""
    with run.started(*options) as process:
        # What it says goes nowhere: a full pipe must not hold it up.
        for pipe in (process.stdout, process.stderr):
            threading.Thread(target=_drain, args=(pipe,), daemon=True).start()
        memory = Memory(process.pid)
        while process.poll() is None:
            time.sleep(0.1)
            if kill_in is not None and items_done(run, kill_in) >= after:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        highest = memory.stop()
    if kill_in is None and process.returncode != 0:
        raise SystemExit(f"the run in {run.run_dir} ended with {process.returncode}")
    return highest


def _drain(pipe: Any) -> None:
    try:
        while pipe.read(65536):
            pass
    except (OSError, ValueError):
        return


def content(run_dir: Path) -> dict[str, str]:
    """sha256 of every file whose content is the same whenever it is made."""
    return {
        path.relative_to(run_dir).as_posix(): sha256_file(path)
        for path in run_dir.rglob("*")
        if path.is_file() and path.name not in TIMED and not path.name.startswith("report.")
    }


def time_planning(folder: Path, pages: int) -> float:
    """Seconds that planning so many empty pages takes."""
    import pymupdf

    sources = folder / "data"
    sources.mkdir(parents=True)
    each = 500
    for number in range(max(1, pages // each)):
        with pymupdf.open() as document:
            for _ in range(min(each, pages)):
                document.new_page(width=100, height=100)
            document.set_metadata({"title": str(number)})
            document.save(sources / f"plan-{number:03}.pdf", no_new_id=True)
    began = time.perf_counter()
    answer = Bench(folder, "docparse").plan()
    assert answer["items"] == pages
    return time.perf_counter() - began


def measure(folder: Path, pages: int, planned: int) -> dict[str, Any]:
    """All figures."""
    draw_documents(folder / "all", pages)
    draw_documents(folder / "tenth", max(1, pages // 10))
    tenth = session(bench(folder / "small", folder / "tenth"))
    undisturbed = bench(folder / "undisturbed", folder / "all")
    began = time.perf_counter()
    highest = session(undisturbed)
    elapsed_s = time.perf_counter() - began
    killed = bench(folder / "killed", folder / "all")
    for number, stage in enumerate(STAGES_KILLED):
        session(killed, *(["--resume"] if number else []), kill_in=stage, after=max(1, pages // 3))
    session(killed, "--resume")
    one, other = content(undisturbed.run_dir), content(killed.run_dir)
    return {
        "pages": pages,
        "rss_tenth_mb": round(tenth, 1),
        "rss_all_mb": round(highest, 1),
        "rss_growth_mb": round(highest - tenth, 1),
        "identical": one == other and len(one) > pages,
        "differing": sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))[:5],
        "files": len(one),
        "done_twice": len(killed.done_twice()),
        "pages_per_s": round(pages / elapsed_s, 2),
        "plan_10000_s" if planned == 10_000 else f"plan_{planned}_s": round(time_planning(folder / "plan", planned), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="60 pages instead of 2,000")
    parser.add_argument("--pages", type=int, help="so many pages")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    pages = options.pages or (60 if options.quick else 2000)
    folder = Path(tempfile.mkdtemp(prefix="many-pages-"))
    try:
        figures = measure(folder, pages, 500 if options.quick else 10_000)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:16} {value}")


if __name__ == "__main__":
    main()
