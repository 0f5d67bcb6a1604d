"""The review page in a browser: how long until it is there, how large it is, beside a page that holds back nothing.

A run of 2,000 regions with masks on 40 pages is written by the pipeline's own models. From it come our page in one
file, our page as a folder, and the naive one: the same pictures, captions, facts and masks, every page with all of its
boxes and every region with all that was said of it in the document from the start, in plain HTML without scripts. Each
is opened from the disk by Debian's Chromium in a context of its own, in turns. Ours is there when it says so and the
picture of its first page is decoded; the naive one when it has loaded, which includes laying it out. `key_ms` is from a
key (`j`) to the frame after the next region is chosen, 16 ms of which is waiting for a frame; `heap_mb` is what scripts
hold, as DevTools tell.

Run: `uv run python benchmarks/review_page.py [--quick] [--json]`.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the run's writer is the tests' own

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from index.review.pictures import as_webp
from index.review.regions import ended_runs, open_run, pages_of
from tests.review.review_world import CHROMIUM, HEIGHT, WIDTH, reviewed_run, write_page

PAGES, REGIONS_A_PAGE = 40, 50
KEYS = 50


@dataclass(frozen=True)
class Figures:
    """What one form of the page came to; medians over the rounds."""

    open_ms: float
    slowest_ms: float
    heap_mb: float
    file_mb: float
    nodes: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds in place of 11")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    if not Path(CHROMIUM).exists():
        sys.exit(f"{CHROMIUM} is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        measured = _measure(Path(folder), 3 if arguments.quick else 11)
    if arguments.json:
        print(json.dumps(measured))
        return
    print(
        f"{measured['regions']} regions on {PAGES} pages, {measured['rounds']} rounds; made in {measured['build_s']} s"
    )
    for name in ("file", "folder", "naive"):
        one = measured[name]
        print(
            f"{name:7} open {one['open_ms']:7.0f} ms (slowest {one['slowest_ms']:.0f})"
            f"   {one['file_mb']:6.1f} MB on disk   {one['heap_mb']:6.1f} MB heap   {one['nodes']:7} nodes"
        )
    print(f"a key to the next region: {measured['key_ms']:.1f} ms")


def _measure(root: Path, rounds: int) -> dict[str, Any]:
    reviewed_run(root, PAGES, REGIONS_A_PAGE)
    started = time.monotonic()
    write_page(root)
    build_s = round(time.monotonic() - started, 2)
    write_page(root, "review", folder=True)
    _naive(root)
    forms = {"file": root / "review.html", "folder": root / "review" / "index.html", "naive": root / "naive.html"}
    times: dict[str, list[float]] = {name: [] for name in forms}
    held: dict[str, tuple[float, int]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for round_ in range(rounds + 1):
            for name, path in forms.items():
                took, held[name] = _open(browser, path)
                if round_:  # the first warms the disk's cache and the browser
                    times[name].append(took)
        key_ms = _keys(browser, forms["file"])
        browser.close()
    figures = {
        name: asdict(
            Figures(round(statistics.median(times[name]), 1), round(max(times[name]), 1), *_size(path, held[name]))
        )
        for name, path in forms.items()
    }
    return {
        "regions": PAGES * REGIONS_A_PAGE, "rounds": rounds, "build_s": build_s, "key_ms": round(key_ms, 2),
        "open_ms_2000": figures["file"]["open_ms"], "open_ms_2000_folder": figures["folder"]["open_ms"],
        "naive_open_ms_2000": figures["naive"]["open_ms"], "file_mb": figures["file"]["file_mb"], **figures,
    }  # fmt: skip


def _rounded(times: list[float]) -> tuple[float, float]:
    return round(statistics.median(times), 1), round(max(times), 1)


def _size(path: Path, held: tuple[float, int]) -> tuple[float, float, int]:
    files = [each for each in path.parent.rglob("*") if each.is_file()] if path.name == "index.html" else [path]
    return round(held[0], 1), round(sum(each.stat().st_size for each in files) / 1e6, 2), held[1]


def _open(browser: Browser, path: Path) -> tuple[float, tuple[float, int]]:
    """(milliseconds until it can be used, (heap in MB, nodes of the document))."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        tools = context.new_cdp_session(page)
        started = time.monotonic()
        page.goto(path.as_uri(), wait_until="commit" if path.name != "naive.html" else "load")
        if path.name == "naive.html":
            page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        else:
            page.wait_for_selector("html[data-ready=yes]")
            page.wait_for_function("document.querySelector('#stage img').naturalWidth > 0")
        took = (time.monotonic() - started) * 1000
        return took, _held(tools, page)


def _held(tools: CDPSession, page: Page) -> tuple[float, int]:
    tools.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6, int(page.evaluate("document.querySelectorAll('*').length"))


def _keys(browser: Browser, path: Path) -> float:
    """Milliseconds of a key in the page, its next frame included: median."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        times = page.evaluate(
            """async (keys) => {
              const times = [];
              for (let number = 0; number < keys; number += 1) {
                const before = document.querySelector('#list').getAttribute('aria-activedescendant');
                const started = performance.now();
                document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', code: 'KeyJ', bubbles: true}));
                while (document.querySelector('#list').getAttribute('aria-activedescendant') === before) {
                  await new Promise((next) => setTimeout(next));
                }
                await new Promise((drawn) => requestAnimationFrame(drawn));
                times.push(performance.now() - started);
              }
              return times;
            }""",
            KEYS,
        )
        return statistics.median(times)


def _naive(root: Path) -> None:
    """The page that one would write in an hour: all of it at once."""
    parts = ["<!DOCTYPE html><meta charset=utf-8><title>review</title>"]
    for page in pages_of([open_run(path) for path in ended_runs(root / "out" / "runs")]):
        assert page.picture is not None
        picture = base64.b64encode(as_webp(page.picture)).decode()
        regions, _lost = page.regions()
        boxes = "".join(
            f"<rect x={x} y={y} width={w} height={h} fill=none stroke=teal />"
            for x, y, w, h in (region.file.bbox_px for region in regions)
        )
        parts.append(
            f"<h2>{html.escape(page.item.where)}</h2><div style='position:relative'>"
            f"<img width={WIDTH} src='data:image/webp;base64,{picture}'>"
            f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' style='position:absolute;left:0;top:0;width:{WIDTH}px'>{boxes}</svg>"
            "</div>"
        )
        for region in regions:
            crop = page.run.folder / page.item.folder / "regions" / f"region-{region.file.number:04d}.png"
            shown = f"<img src='{crop.as_uri()}'>" if crop.is_file() else ""
            said = "".join(f"<li>{html.escape(str(fact['text']))}" for fact in region.facts)
            mask = region.file.segmentation.counts if region.file.segmentation else ""
            parts.append(
                f"<section><h3>{region.file.label} {region.file.score}</h3>{shown}<p>{html.escape(region.caption)}</p>"
                f"<ul>{said}</ul><pre>{html.escape(json.dumps(region.struct, ensure_ascii=False, indent=1))}</pre>"
                f"<p>{html.escape(region.file.text)}</p><code hidden>{html.escape(mask)}</code>"
                "<button>accept</button><button>reject</button></section>"
            )
    (root / "naive.html").write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
