"""The review page in a real browser: opened from a disk, driven by keys, what it shows and what it saves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, Page

from index.embed import OFFLINE, embedder
from index.ingest import ingest
from index.review.decisions import apply_patch
from index.transfer import export_lines
from pipeline.core.manifest import read_manifest
from pipeline.docparse.given import detections
from pipeline.docparse.given_files import parse
from pipeline.docparse.given_pages import match
from pipeline.docparse.labels import LABELS
from pipeline.docparse.page_files import read_regions
from pipeline.docparse.raw import PageImage
from pipeline.docparse.render import read_text
from tests.review.review_world import HEIGHT, RUN, WIDTH, reviewed_run, write_page

pytestmark = pytest.mark.xdist_group("review page")  # they look at one run

PAGES, REGIONS = 10, 200
OPEN_S = 2.0
READY = "html[data-ready=yes]"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run of 2,000 regions with masks, and its page."""
    root = tmp_path_factory.mktemp("reviewed")
    reviewed_run(root, PAGES, REGIONS)
    write_page(root)
    return root


@contextmanager
def showing(browser: Browser, path: Path) -> Iterator[Page]:
    """A review page in a browser that remembers nothing; it may complain of nothing, and ask for nothing elsewhere."""
    with browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _only_from_disk(request.url, complaints))
        page.goto(path.as_uri())
        page.wait_for_selector(READY)
        yield page
        assert complaints == []


@pytest.fixture
def opened(browser: Browser, workspace: Path) -> Iterator[Page]:
    with showing(browser, workspace / "review.html") as page:
        yield page


def _only_from_disk(url: str, complaints: list[str]) -> None:
    if not url.startswith(("file:", "blob:")):
        complaints.append(f"asked for {url}")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def current(page: Page) -> str:
    return page.locator("#list").get_attribute("aria-activedescendant") or ""


def wait_for(page: Page, row: str) -> None:
    page.wait_for_selector(f"#list[aria-activedescendant={row}]")


def saved(page: Page, button: str) -> Any:
    press(page, "x")
    with page.expect_download() as download:
        page.click(button)
    press(page, "Escape")
    return json.loads(Path(download.value.path()).read_bytes())


def test_two_thousand_regions_open_within_two_seconds(browser: Browser, workspace: Path) -> None:
    """Best of six on a machine that may be busy; the first that is in time ends it."""
    times: list[float] = []
    while len(times) < 6 and not (times and times[-1] < OPEN_S):
        with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
            page = context.new_page()
            started = time.monotonic()
            page.goto((workspace / "review.html").as_uri())
            page.wait_for_selector(READY)
            page.wait_for_function("document.querySelector('#stage img').naturalWidth > 0")
            times.append(time.monotonic() - started)
            assert page.locator("#done").inner_text() == "0 of 2,000 regions decided"
            assert page.locator("#list .row").count() < 100, "only the rows in sight exist"
            assert page.locator("#stage svg .box").count() == REGIONS
    assert min(times) < OPEN_S, times


def test_every_decision_is_made_by_keys_and_outlives_the_page(opened: Page) -> None:
    wait_for(opened, "region-0")
    press(opened, "a")
    wait_for(opened, "region-1")
    press(opened, "r")
    wait_for(opened, "region-2")
    press(opened, "e", "1")
    opened.wait_for_selector("#details h2 bdi:text-is('diagram')")
    press(opened, "j", "ArrowRight", "Shift+ArrowDown", "Control+ArrowDown")
    opened.wait_for_selector("#region-3.corrected")
    press(opened, "End")
    wait_for(opened, f"region-{PAGES * REGIONS - 1}")
    press(opened, "Home", "n")
    wait_for(opened, "region-4")
    press(opened, "A")
    opened.wait_for_selector("#done:text-is('200 of 2,000 regions decided')")
    assert opened.locator("#counts").inner_text() == "✓ 197  ✎ 2  ✕ 1"
    press(opened, "u")
    opened.wait_for_selector("#done:text-is('4 of 2,000 regions decided')")
    press(opened, "u", "u", "u")
    opened.wait_for_selector("#counts:text-is('✓ 1  ✎ 1  ✕ 1')")
    press(opened, "U", "U", "U")
    opened.wait_for_selector("#counts:text-is('✓ 1  ✎ 2  ✕ 1')")
    opened.reload()
    opened.wait_for_selector("#counts:text-is('✓ 1  ✎ 2  ✕ 1')")
    patch = saved(opened, "#save-patch")
    assert [entry["status"] for entry in patch["regions"]] == ["accepted", "rejected", "corrected", "corrected"]
    relabelled, moved = patch["regions"][2:]
    assert (relabelled["was"]["label"], relabelled["label"]) == ("node", "diagram")
    x, y, width, height = moved["was"]["bbox_px"]
    assert moved["bbox_px"] == pytest.approx([x + 1, y + 10, width, height + 1])
    assert moved["label"] == moved["was"]["label"]


def test_keys_are_found_on_a_russian_keyboard(opened: Page) -> None:
    wait_for(opened, "region-0")
    for code, key in (("KeyJ", "о"), ("KeyA", "ф"), ("KeyR", "к")):
        opened.evaluate(
            "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', {key, code, bubbles: true}))",
            [key, code],
        )
    opened.wait_for_selector("#counts:text-is('✓ 1  ✎ 0  ✕ 1')")
    wait_for(opened, "region-3")
    opened.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '.', code: 'Slash', bubbles: true}))"
    )
    assert opened.evaluate("document.activeElement.id") == "text"


def test_filters_narrow_the_list_and_the_keys_stay_in_it(opened: Page) -> None:
    press(opened, "/")
    opened.keyboard.type("block 3-17")
    opened.wait_for_selector("#listed:text-is('1 of 11 that pass the filter')")  # 3-17, and 3-170 to 3-179
    press(opened, "Enter", "j", "a")
    opened.wait_for_selector("#counts:text-is('✓ 1  ✎ 0  ✕ 0')")
    press(opened, "F")
    opened.wait_for_selector("#listed:has-text('of 2,000 regions')")
    opened.evaluate("document.getElementById('more').open = true")
    opened.select_option("#label", "legend")
    opened.fill("[name=min]", "0.9")
    opened.wait_for_selector("#listed:has-text('that pass the filter')")
    shown = set(opened.locator("#list .row.region .label").all_inner_texts())
    scores = [float(text) for text in opened.locator("#list .row.region .score").all_inner_texts()]
    assert shown == {"legend"}
    assert min(scores) >= 0.9
    opened.select_option("#status", "rejected")
    opened.wait_for_selector("#nothing:visible")
    press(opened, "Escape", "F")
    opened.wait_for_selector("#nothing", state="hidden")


def test_a_box_is_moved_and_pulled_by_the_mouse(opened: Page) -> None:
    wait_for(opened, "region-0")
    scale = opened.evaluate("document.querySelector('.sheet').clientWidth") / WIDTH
    before = opened.evaluate("Review.decisions.box(0)")
    box = opened.locator(".box.current").bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] / 2 + 20 * scale, box["y"] + box["height"] / 2 + 6 * scale, steps=4)
    opened.mouse.up()
    opened.wait_for_selector("#region-0.corrected")
    moved = opened.evaluate("Review.decisions.box(0)")
    assert moved == pytest.approx([before[0] + 20, before[1] + 6, before[2], before[3]], abs=0.6)
    handle = opened.locator(".handle.se").bounding_box()
    assert handle is not None
    opened.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(5000, 5000, steps=3)
    opened.mouse.up()
    opened.wait_for_function(f"Review.decisions.box(0)[0] + Review.decisions.box(0)[2] === {WIDTH}")
    x, y, width, height = opened.evaluate("Review.decisions.box(0)")
    assert (x + width, y + height) == pytest.approx((WIDTH, HEIGHT)), "a box never leaves its page"
    press(opened, "u", "u")
    opened.wait_for_function("Review.decisions.status(0) === 'open'")


def test_masks_are_drawn_where_the_run_says(opened: Page) -> None:
    wait_for(opened, "region-0")
    opened.wait_for_function("document.querySelector('#stage canvas').width > 100")
    told = opened.evaluate(
        """async () => {
          const [region] = await Review.pieces.page(0);
          const runs = Review.masks.lengths(region.mask.counts);
          const [rows, columns] = region.mask.size;
          const canvas = document.querySelector('#stage canvas');
          const [x, y, w, h] = Review.decisions.box(0);
          const [across, down] = [canvas.width / columns, canvas.height / rows];
          const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const at = (left, top) => data[(Math.floor(top * down) * canvas.width + Math.floor(left * across)) * 4 + 3];
          const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
          return {area: sum(runs.filter((_, index) => index % 2)), total: sum(runs), pixels: rows * columns,
                  wanted: region.own.mask_area_px, middle: at(x + w / 2, y + h / 2), corner: at(x + 1, y + 1),
                  damaged: Review.masks.lengths('ż')};
        }"""
    )
    assert told["area"] == told["wanted"]
    assert told["total"] == told["pixels"]
    assert told["middle"] > 0
    assert told["corner"] == 0
    assert told["damaged"] is None


def test_a_folder_reads_its_pieces_only_when_they_are_looked_at(browser: Browser, tmp_path: Path) -> None:
    reviewed_run(tmp_path, 22, 1)
    write_page(tmp_path, "review", folder=True)
    with showing(browser, tmp_path / "review" / "index.html") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.rpartition("review/")[2]))
        press(page, "j")
        page.wait_for_function("document.querySelector('#stage img').src.endsWith('pages/1.png')")
        assert asked == ["pages/1.png"]
        press(page, "End", "a")
        page.wait_for_selector("#region-21.accepted")
        page.wait_for_function("document.querySelector('#stage img').naturalWidth > 0")
        assert asked[1:] == ["pieces/1.js", "pages/21.png"]
        press(page, "/")
        page.keyboard.type("block 17-1")
        page.wait_for_selector("#listed:text-is('1 of 1 that pass the filter')")


def test_what_is_saved_as_coco_comes_back_as_the_truth_of_a_run(opened: Page, workspace: Path) -> None:
    wait_for(opened, "region-0")
    press(opened, "r", "e", "3")
    opened.wait_for_selector("#region-1.corrected")
    press(opened, "j", "ArrowLeft")
    opened.wait_for_selector("#region-2.corrected")
    told = orjson.dumps(saved(opened, "#save-coco"))
    run_dir = workspace / "out" / "runs" / RUN
    items = list(read_manifest(run_dir / "manifest.jsonl"))
    images = match(parse(told, "review.coco.json", {}), items, "review.coco.json", others_empty=False)
    for item in (items[0], items[-1]):
        before = read_regions(run_dir, item.folder)
        text = read_text(run_dir, item.folder)
        image = images[item.item_id]
        found = detections(image, WIDTH, HEIGHT, PageImage(None, text, item)).composed  # type: ignore[arg-type]
        assert found is not None
        expected = [(region.label, region.bbox_px, region.segmentation) for region in before]
        if item is items[0]:
            x, y, width, height = expected[2][1]
            expected[1:3] = [("table", *expected[1][1:]), (expected[2][0], (x - 1, y, width, height), expected[2][2])]
            del expected[0]
        got = [
            (
                one.label,
                tuple(round(v, 1) for v in (one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1])),
                one.mask and one.mask.segmentation,
            )
            for one in found
        ]
        assert got == expected


def test_decisions_change_the_index_and_are_shown_by_the_next_page(browser: Browser, tmp_path: Path) -> None:
    run = reviewed_run(tmp_path, 2, 8)
    write_page(tmp_path)
    ingest([run], tmp_path, embedder(OFFLINE))
    before = _records(tmp_path)
    with showing(browser, tmp_path / "review.html") as page:
        press(page, "j", "j", "r", "a", "e", "1")
        page.wait_for_selector("#details h2 bdi:text-is('diagram')")
        patch = saved(page, "#save-patch")
    rejected, accepted, relabelled = (entry["region"] for entry in patch["regions"])
    (tmp_path / "patch.json").write_bytes(orjson.dumps(patch))
    apply_patch(tmp_path / "patch.json", tmp_path, tmp_path / "out" / "runs", LABELS)
    ingest([run], tmp_path, embedder(OFFLINE))
    after = _records(tmp_path)
    assert before.keys() - after.keys() == {f"about-{rejected}"}
    changed = {record for record in after if after[record] != before[record]}
    assert changed == {f"about-{accepted}", f"about-{relabelled}"}
    write_page(tmp_path)
    with showing(browser, tmp_path / "review.html") as page:
        page.wait_for_selector("#counts:text-is('✓ 1  ✎ 1  ✕ 1')")
        press(page, "j", "j", "c")
        page.wait_for_selector("#counts:text-is('✓ 1  ✎ 1  ✕ 0')")
        (entry,) = saved(page, "#save-patch")["regions"]
        assert (entry["region"], entry["status"]) == (rejected, "open")


def _records(root: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in export_lines(root, "none")]
    return {line["id"]: line["meta"] for line in lines}


HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
BIDI = "гибкий \u202etxt.exe\u2066 план"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A workspace whose run says markup, steers the direction of text, and talks for a megabyte."""
    root = tmp_path / "hostile"
    folder = reviewed_run(root, 3, 8)
    pages = sorted((folder / "artifacts").glob("*/p*"))
    regions = pages[0] / "regions"
    (regions / "region-0001.caption.txt").write_text(HOSTILE)
    (regions / "region-0002.caption.txt").write_text(BIDI)
    (regions / "region-0003.caption.txt").write_text("слово " * 200_000)
    (regions / "region-0004.struct.json").write_text("{half")
    fact = {"text": HOSTILE, "subject": HOSTILE}
    (regions / "region-0001.facts.jsonl").write_bytes(orjson.dumps(fact) + b"\n")
    said = json.loads((regions / "region-0001.json").read_text())
    said |= {"label": "<b>\u2028label</b>", "prompt": HOSTILE, "mask_flags": [HOSTILE]}
    (regions / "region-0001.json").write_bytes(orjson.dumps(said))
    (regions / "region-0005.json").write_bytes(b"\x00\xff")
    (regions / "region-0006.struct.json").write_text("[" * 400 + "]" * 400)
    said = json.loads((regions / "region-0007.json").read_text())
    said |= {"segmentation": {"size": [1, 10**9], "counts": "0PPPdkc3"}, "alternatives": "node", "mask_quality": "good"}
    (regions / "region-0007.json").write_bytes(orjson.dumps(said))
    (pages[1] / "page.png").write_bytes((pages[1] / "page.png").read_bytes()[:3000])
    (pages[2] / "page.png").unlink()
    return root


def test_what_records_say_is_shown_as_text(browser: Browser, hostile: Path) -> None:
    write_page(hostile)
    with showing(browser, hostile / "review.html") as page:
        assert HOSTILE in page.locator("#details p .foreign").first.inner_text()
        assert page.locator("#details img, #details script").count() == 0
        press(page, "j")
        page.wait_for_selector("#details p:has-text('[U+202E]txt.exe[U+2066]')")
        press(page, "j")
        page.wait_for_selector("#details .more")
        assert len(page.locator("#details").inner_text()) < 10_000, "a megabyte is shown when it is asked for"
        page.click("#details .more")
        page.wait_for_function("document.querySelector('#details p .foreign').textContent.length > 1000000")
        press(page, "j")
        page.wait_for_selector("#details .problem:has-text('region-0004.struct.json is not JSON')")
        page.wait_for_selector("#stage .note:has-text('region-0005.json is not JSON')")
        press(page, "j")
        page.wait_for_selector("#details .problem:has-text('nested too deeply')")
        press(page, "j")
        page.wait_for_selector("#details dd:has-text('NaN')")
        press(page, "]")
        page.wait_for_selector("#stage .note:has-text('page.png cannot be read')")
        press(page, "]")
        page.wait_for_selector("#stage .note:has-text('keeps no picture')")
        assert page.title().startswith("Review:")
        assert page.locator("#done").inner_text() == "0 of 23 regions decided"


def test_nothing_runs_in_the_page_but_its_own_scripts(browser: Browser, workspace: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((workspace / "review.html").as_uri())
        page.wait_for_selector(READY)
        page.evaluate(
            """() => {
              const script = document.createElement('script');
              script.textContent = 'window.ran = true';
              document.body.append(script);
              document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.ran = true">');
            }"""
        )
        page.wait_for_timeout(50)
        assert page.evaluate("window.ran") is None
        refused = page.evaluate(
            "new Promise((told) => fetch('http://127.0.0.1:9/').then(() => told(''), (error) => told(String(error))))"
        )
        assert "Failed to fetch" in refused
    with showing(browser, workspace / "review.html") as page:
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#paper tbody tr").count() == REGIONS
        assert page.locator("header").is_hidden()
