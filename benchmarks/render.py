"""Pages per second from PDF to pixels, beside Poppler's `pdftoppm`, in the same run.

    python benchmarks/render.py [--quick] [--json]

Three documents are drawn first: pages of text, pages of vector drawings, and scans (a JPEG a page). Every arm renders
all pages at 150 dpi in one process that stays for the document, so nobody pays a start per page:

- `raw`: our default renderer (MuPDF), pixels only, as device stages take them
- `pdfium`: the other renderer, the same
- `png`: `raw`, then the PNG as `render` writes it, kept in memory (first page only)
- `pdftoppm`: PPM to a pipe that nobody reads slowly, its fastest output
- `pdftoppm -png`: PNG to the same pipe (first page only)

Times are CPU seconds of one thread (user and system), the median of interleaved repeats: the machine's other work does
not count. `raw_vs_pdftoppm` is about the pages of text, which is what most documents are; vector pages, scans and the
geometric mean over the three stand beside it, and are lower, because there both spend their time on the same drawing.
`two_process_speedup` is wall time of one worker over wall time of two, for rendering all three documents to PNG, every
second page each. Workers are spawned, and have imported their libraries and opened the documents before the clock
starts. It needs two processors with nothing else to do, and `idle_share` says how far that was so; on a busy machine
`chrt -r 10 python benchmarks/render.py` measures as if it were quiet.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.docparse import mupdf
from pipeline.docparse.documents import open_source
from pipeline.docparse.media import PDF
from pipeline.docparse.pages.source import Renderer
from pipeline.docparse.render import encode_png

DPI = 150
KINDS = ("text", "vector", "scan")
ENGLISH = "a platform joins people who make things with those that need them and keeps the trust of both sides"
RUSSIAN = "платформа соединяет тех кто создаёт вещи с теми кому они нужны и хранит доверие обеих сторон каждый день"
STYLE = "body {font-family: sans-serif; font-size: 10px} h1 {font-size: 20px; color: #123} h2 {font-size: 14px}"
PNG_PAGES = 1
"""Arms that write PNG take longer than all others together; they are measured on the first page only."""


def text_document(pages: int, chance: random.Random) -> bytes:
    """Headings, paragraphs and lists in Russian and English, some words bold or italic: 450 words a page.

    The fonts are embedded.
    """
    pymupdf = mupdf.load()

    def words(language: str, count: int) -> str:
        chosen = (chance.choice(language.split()) for _ in range(count))
        return " ".join(chance.choice(("<b>{}</b>", "<i>{}</i>", *["{}"] * 18)).format(word) for word in chosen)

    buffer = io.BytesIO()
    writer = pymupdf.DocumentWriter(buffer)
    for _ in range(pages):
        html = f"<h1>{words(ENGLISH, 6)}</h1>"
        for language, paragraphs in ((ENGLISH, 1), (RUSSIAN, 2), (ENGLISH, 1)):
            html += f"<h2>{words(language, 5)}</h2>" + f"<p>{words(language, 65)}</p>" * paragraphs
            html += "<ul>" + "".join(f"<li>{words(language, 12)}</li>" for _ in range(4)) + "</ul>"
        story = pymupdf.Story(html, user_css=STYLE)
        device = writer.begin_page(pymupdf.Rect(0, 0, 595, 842))
        story.place(pymupdf.Rect(50, 50, 545, 800))
        story.draw(device)
        writer.end_page()
    writer.close()
    return buffer.getvalue()


def vector_page(page: Any, chance: random.Random) -> None:
    """Plots: thousands of short lines, dots and translucent areas."""
    for plot in range(4):
        left, top = 60 + 250 * (plot % 2), 80 + 350 * (plot // 2)
        for series in range(3):
            y, points = top + 150.0, []
            for step in range(400):
                y += chance.uniform(-6, 6)
                points.append((left + step * 0.55, y))
            shape = page.new_shape()
            shape.draw_polyline(points)
            shape.finish(color=(0.2, 0.3 * series, 0.6), width=0.8, closePath=False)
            for x, y in points[::2]:
                shape.draw_circle((x, y), 1.4)
            shape.finish(color=(0.1, 0.1, 0.1), fill=(0.9, 0.5, 0.1), width=0.3, fill_opacity=0.5)
            shape.commit()


def scan_page(page: Any, chance: random.Random) -> None:
    """A sheet of text as a JPEG of 300 dpi, with the grain of paper."""
    import cv2
    import numpy as np

    pymupdf = mupdf.load()
    with pymupdf.open("pdf", text_document(1, chance)) as sheet:
        pixmap = sheet[0].get_pixmap(dpi=300, alpha=False)
    pixels = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 3).astype(np.int16)
    grain = np.random.default_rng(chance.randrange(1 << 30)).normal(0, 6, pixels.shape[:2])
    dirty = np.clip(pixels * 0.92 + grain[:, :, None], 0, 255).astype(np.uint8)
    ok, jpeg = cv2.imencode(".jpg", dirty, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert ok
    page.insert_image(page.rect, stream=jpeg.tobytes())


def draw_documents(folder: Path, pages: dict[str, int]) -> dict[str, Path]:
    """One PDF a kind; the same seed, the same bytes."""
    pymupdf = mupdf.load()
    drawn = {kind: folder / f"{kind}.pdf" for kind in KINDS}
    drawn["text"].write_bytes(text_document(pages["text"], random.Random("render text")))
    for kind, draw in (("vector", vector_page), ("scan", scan_page)):
        chance = random.Random(f"render {kind}")
        with pymupdf.open() as document:
            for _ in range(pages[kind]):
                draw(document.new_page(width=595, height=842), chance)
            drawn[kind].write_bytes(document.tobytes(no_new_id=True, deflate=True))
    return drawn


def cpu_of(work: Callable[[], None], children: bool) -> float:
    """CPU seconds of this process, or of the children that `work` waits for."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    before = resource.getrusage(who)
    work()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(path: Path, renderer: Renderer) -> None:
    """Render every page of a document in this process."""
    source = open_source(path, PDF, renderer)
    for page in range(1, source.page_count() + 1):
        source.pixels(page, DPI)
    source.close()


def ours_as_png(path: Path) -> None:
    """Render and encode the first page."""
    source = open_source(path, PDF)
    for page in range(1, PNG_PAGES + 1):
        encode_png(source.pixels(page, DPI))
    source.close()


def pdftoppm(path: Path, *options: str) -> None:
    """The same by Poppler."""
    subprocess.run(["pdftoppm", "-r", str(DPI), *options, str(path)], stdout=subprocess.DEVNULL, check=True)


ARMS: dict[str, tuple[Callable[[Path], None], bool]] = {
    "raw": (lambda path: ours(path, "mupdf"), False),
    "pdfium": (lambda path: ours(path, "pdfium"), False),
    "png": (ours_as_png, False),
    "pdftoppm": (pdftoppm, True),
    "pdftoppm -png": (lambda path: pdftoppm(path, "-png", "-l", str(PNG_PAGES)), True),
}


def measure(documents: dict[str, Path], pages: dict[str, int], repeats: int) -> dict[str, dict[str, float]]:
    """Kind → arm → milliseconds of CPU a page."""
    times: dict[str, dict[str, list[float]]] = {kind: {arm: [] for arm in ARMS} for kind in documents}
    for repeat in range(repeats + 1):
        for kind, path in documents.items():
            for arm, (work, children) in ARMS.items():
                if repeat == 0 and "png" in arm:
                    continue
                elapsed = cpu_of(lambda path=path, work=work: work(path), children)  # type: ignore[misc]
                if repeat:  # the first one warms up
                    times[kind][arm].append(elapsed / (PNG_PAGES if "png" in arm else pages[kind]) * 1000)
    return {kind: {arm: median(found) for arm, found in arms.items()} for kind, arms in times.items()}


def worker(paths: Sequence[str], part: int, of: int, gate: Any) -> None:
    """Renders every `of`th page once the gate opens."""
    sources = [open_source(Path(path), PDF) for path in paths]
    for source in sources:
        encode_png(source.pixels(1, 20))
    gate.wait()
    for source in sources:
        for page in range(part + 1, source.page_count() + 1, of):
            encode_png(source.pixels(page, DPI))
    gate.wait()


def wall_of(paths: Sequence[str], processes: int) -> float:
    """Seconds that so many warmed-up processes take for all pages."""
    spawn = multiprocessing.get_context("spawn")
    gate = spawn.Barrier(processes + 1)
    team = [spawn.Process(target=worker, args=(paths, part, processes, gate)) for part in range(processes)]
    for each in team:
        each.start()
    gate.wait()
    begun = time.perf_counter()
    gate.wait()
    elapsed = time.perf_counter() - begun
    for each in team:
        each.join()
    return elapsed


def idle_share(seconds: float) -> float:
    """Share of all processors' time that was idle just now (Linux)."""

    def ticks() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return fields[3] + fields[4], sum(fields[:8])

    idle, total = ticks()
    time.sleep(seconds)
    idle_after, total_after = ticks()
    return (idle_after - idle) / max(1, total_after - total)


def figures(documents: dict[str, Path], pages: dict[str, int], repeats: int) -> dict[str, Any]:
    """All that is measured."""
    quiet = idle_share(1.0)
    cost_ms = measure(documents, pages, repeats)
    ratios = {kind: cost_ms[kind]["pdftoppm"] / cost_ms[kind]["raw"] for kind in KINDS}
    paths = [str(path) for path in documents.values()]
    speedups = []
    for _ in range(max(1, repeats - 2)):
        alone = wall_of(paths, 1)
        speedups.append(alone / wall_of(paths, 2))
    return {
        "raw_vs_pdftoppm": round(ratios["text"], 2),
        "raw_vs_pdftoppm_vector": round(ratios["vector"], 2),
        "raw_vs_pdftoppm_scan": round(ratios["scan"], 2),
        "raw_vs_pdftoppm_geometric_mean": round(math.prod(ratios.values()) ** (1 / len(ratios)), 2),
        "raw_vs_pdftoppm_png": round(cost_ms["text"]["pdftoppm -png"] / cost_ms["text"]["raw"], 2),
        "two_process_speedup": round(median(speedups), 2),
        "idle_share": round(quiet, 2),
        "pages_per_cpu_s": {kind: {arm: round(1000 / ms, 1) for arm, ms in cost_ms[kind].items()} for kind in KINDS},
        "cpu_ms_per_page": {kind: {arm: round(ms, 1) for arm, ms in cost_ms[kind].items()} for kind in KINDS},
        "pages": pages,
        "dpi": DPI,
    }


def main() -> None:
    """Draw, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few pages and repeats: a look, not a figure")
    parser.add_argument("--json", action="store_true", help="only the last line, as JSON")
    arguments = parser.parse_args()
    if shutil.which("pdftoppm") is None:
        sys.exit("error: pdftoppm is not installed here: apt-get install poppler-utils")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    import cv2

    cv2.setNumThreads(1)
    pages = {"text": 40, "vector": 2, "scan": 2} if arguments.quick else {"text": 100, "vector": 12, "scan": 8}
    with tempfile.TemporaryDirectory(prefix="render-benchmark-") as folder:
        documents = draw_documents(Path(folder), pages)
        found = figures(documents, pages, 1 if arguments.quick else 5)
    if not arguments.json:
        print(f"CPU ms a page at {DPI} dpi" + "".join(f"{arm:>16}" for arm in ARMS))
        for kind in KINDS:
            print(f"{kind:<25}" + "".join(f"{found['cpu_ms_per_page'][kind][arm]:>16}" for arm in ARMS))
        print(
            f"raw pixels ÷ pdftoppm: {found['raw_vs_pdftoppm']} on text (the headline), "
            f"{found['raw_vs_pdftoppm_vector']} on vector, {found['raw_vs_pdftoppm_scan']} on scans, "
            f"{found['raw_vs_pdftoppm_geometric_mean']} geometric mean; two processes: {found['two_process_speedup']} "
            f"(idle before: {found['idle_share']:.0%})"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
