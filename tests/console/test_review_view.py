"""The review driven by keys: decisions that survive a crash, boxes that are moved, and what goes into the index."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from textual.pilot import Pilot
from typer.testing import CliRunner

from console.actions.action import Question
from console.app import SpotterApp
from console.cli import app as cli
from console.models.index_pages import around
from console.models.review_desk import OPEN, Desk, Said, Step, moved, sized
from console.models.review_log import DecisionLog, ReviewHeld, ReviewLogWrong, read_log
from console.models.review_queue import Queued, overlap, split_argument, wanted
from console.models.review_words import struct_words
from console.operations.review_desk import NothingDecided, Opened, decide, log_path, open_desk, patch_of, save_decisions
from console.screens.page_view import PageView
from console.screens.review import Review, Stage
from console.screens.review_reading import News
from console.widgets.confirm import Confirm
from console.widgets.preview import Preview
from console.workspace import Workspace, create_workspace
from index.embed import OFFLINE, embedder
from index.ingest import ingest
from index.review.patch import read_patch
from index.transfer import export_lines
from pipeline.docparse.page_files import read_regions
from tests.console.piloting import note, shown, until
from tests.review.review_world import DOCUMENT, RUN, reviewed_run

ALL = 12


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place, _fresh = create_workspace(tmp_path)
    reviewed_run(tmp_path, 2, 6)
    return place


def decided(workspace: Workspace) -> list[dict[str, Any]]:
    path = log_path(workspace, RUN)
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


async def reviewing(pilot: Pilot[None], app: SpotterApp) -> Review:
    view = app.view_called("review")
    assert isinstance(view, Review)
    await until(pilot, lambda: view.opened is not None, "the run")
    await until(pilot, lambda: isinstance(app.focused, Stage), "the keyboard at the region")
    return view


async def kept(pilot: Pilot[None], workspace: Workspace, count: int) -> list[dict[str, Any]]:
    await until(pilot, lambda: len(decided(workspace)) == count, f"{count} steps on the disk")
    return decided(workspace)


async def test_keys_decide_and_every_decision_is_on_the_disk_at_once(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        assert len(view.shown) == ALL
        first = view.looked_at
        await pilot.press("a", "x", "3")
        lines = await kept(pilot, workspace, 3)
        assert [line["after"]["status"] for line in lines] == ["accepted", "rejected", "corrected"]
        assert lines[0]["region"] == first.region  # type: ignore[union-attr]
        assert lines[2]["after"]["label"] == "table"
        assert view.at == 2, "a class does not lead on: it is to be looked at"
        assert "✓1 ✗1 ✎1" in note(app)
        assert "3 not in the index" in note(app)
        await pilot.press("u", "u", "u", "u")
        lines = await kept(pilot, workspace, 6)
        assert [line["do"] for line in lines[3:]] == ["undo"] * 3
        assert view.looked_at == first
        assert "the index has all" in note(app)


async def test_what_was_decided_is_there_when_the_console_comes_back(workspace: Workspace) -> None:
    for keys, count in ((("a", "x"), 2), (("G", "2"), 3)):
        app = SpotterApp(workspace, "review", "last")
        async with app.run_test(size=(120, 36)) as pilot:
            await reviewing(pilot, app)
            await pilot.press(*keys)
            await kept(pilot, workspace, count)
    app = SpotterApp(workspace, "review", RUN)
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        assert dict(view.desk.counts) | {} == {"open": ALL - 3, "accepted": 1, "rejected": 1, "corrected": 1}  # type: ignore[union-attr]
        await pilot.press("u", "u", "u")
        await kept(pilot, workspace, 6)
        assert view.desk.counts["open"] == ALL  # type: ignore[union-attr]


def test_no_decision_is_lost_when_the_console_is_killed(workspace: Workspace) -> None:
    """What is on the disk after `kill -9` is all that was told as kept, whole; the next session goes on behind it."""
    path = log_path(workspace, RUN)
    program = (
        "import sys; from pathlib import Path\n"
        "from console.models.review_desk import *; from console.models.review_log import DecisionLog\n"
        "log = DecisionLog(Path(sys.argv[1]), print)\n"
        "for n in range(10**6):\n"
        "    log.put(Step(('d', 1, str(n)), OPEN, Said('accepted')), n); log.settle(); print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
    entries = read_log(path)
    assert len(entries) >= len(told) == 20
    assert [entry.step.key[2] for entry in entries if entry.step] == [str(n) for n in range(len(entries))]


def test_a_line_that_a_crash_tore_is_passed_over_and_the_next_begins_behind_it(workspace: Workspace) -> None:
    path = log_path(workspace, RUN)
    first, second = open_desk(workspace).desk.queue[:2]
    decide(workspace, RUN, first.region, "accepted", None, None, 1.0)
    with path.open("ab") as file:
        file.write(b'{"do":"decide","at":2.0,"document":"sch')
    assert len(read_log(path)) == 1
    opened, _one = decide(workspace, RUN, second.region, "rejected", None, None, 3.0)
    assert [entry.at for entry in read_log(path)] == [1.0, 3.0]
    assert opened.desk.counts["rejected"] == 1
    path.write_bytes(b"somebody else's file\n")
    with pytest.raises(ReviewLogWrong, match="move the file away"):
        read_log(path)


def test_a_full_disk_is_told_and_no_crash(workspace: Workspace) -> None:
    path = log_path(workspace, RUN)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/full")
    told: list[str] = []
    log = DecisionLog(path, told.append)
    log.put(Step(("d", 1, "r"), OPEN, Said("accepted")), 1.0)
    log.close()
    assert {"No space left" in each for each in told} == {True}


async def test_a_second_console_may_look_but_not_decide(workspace: Workspace) -> None:
    held = DecisionLog(log_path(workspace, RUN), print)
    try:
        with pytest.raises(ReviewHeld, match="Another console"):
            decide(workspace, RUN, "", "accepted", None, None, 1.0)
        app = SpotterApp(workspace, "review")
        async with app.run_test(size=(120, 36)) as pilot:
            view = await reviewing(pilot, app)
            await pilot.press("a", "x", "1", "u")
            assert view.at == 0
            assert view.desk.counts["open"] == ALL  # type: ignore[union-attr]
        assert decided(workspace) == []
    finally:
        held.close()


async def test_a_decision_made_while_the_run_is_read_again_stays_on_the_desk(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()
    go_on.set()

    def slowly(*given: Any) -> Opened:
        opened = open_desk(*given)
        reading.set()
        assert go_on.wait(30)
        return opened

    monkeypatch.setattr("console.screens.review_reading.open_desk", slowly)
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        await until(pilot, lambda: not view._asking, "the first reading")
        first = view.desk
        reading.clear()
        go_on.clear()
        view.refresh_news()
        await until(pilot, reading.is_set, "the second reading")
        await pilot.press("a")
        await kept(pilot, workspace, 1)
        counts = []
        monkeypatch.setattr(Review, "show", seen(Review.show, lambda: counts.append(decisions(view))))
        go_on.set()
        await until(pilot, lambda: view.desk is not first and not view._asking, "the desk of a third reading")
        assert set(counts) == {(1, 1)}, "not for a moment was it undecided"


def seen(show: Callable[[Review, News], None], then: Callable[[], None]) -> Callable[[Review, News], None]:
    def shows(view: Review, news: News) -> None:
        show(view, news)
        then()

    return shows


def decisions(view: Review) -> tuple[int, int]:
    assert view.desk is not None
    return view.desk.counts["accepted"], view.lines


async def test_a_view_that_was_given_the_keyboard_before_its_region_was_there_hands_it_on(
    workspace: Workspace,
) -> None:
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        app.screen.set_focus(view)
        app.give_keys(view)
        await until(pilot, lambda: isinstance(app.focused, Stage), "the keyboard at the region")


async def test_a_run_that_could_not_be_read_is_let_go_for_the_next_reading(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_given: Any) -> Opened:
        raise OSError("the disk is gone")

    app = SpotterApp(workspace, "review")
    with monkeypatch.context() as patch:
        patch.setattr("console.screens.review_reading.open_desk", fails)
        async with app.run_test(size=(120, 36)) as pilot:
            view = app.view_called("review")
            assert isinstance(view, Review)
            await until(pilot, lambda: "the disk is gone" in shown(app), "the reason")
            patch.undo()
            view.refresh_news()
            await reviewing(pilot, app)
            assert view.held == ""


async def test_a_box_is_moved_and_sized_and_kept_in_one_step(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        one = view.looked_at
        assert one is not None
        x, y, width, height = one.box_px
        await pilot.press("b", "right", "right", "down", "shift+right", "full_stop", "shift+down")
        assert "moving by 10 px" in shown(app)
        assert decided(workspace) == [], "nothing is decided while it moves"
        await pilot.press("b")
        lines = await kept(pilot, workspace, 1)
        assert lines[0]["after"] == {"status": "corrected", "bbox_px": [x + 2, y + 1, width + 1, height + 10]}
        await pilot.press("b", "left", "escape")
        assert view.desk.box(one) == (x + 2, y + 1, width + 1, height + 10)  # type: ignore[union-attr]
        assert view.looked_at == one, "esc forgets the box, and nothing else"
        await pilot.press("u")
        assert view.desk.box(one) == one.box_px  # type: ignore[union-attr]


def test_a_box_stays_on_its_page_and_never_vanishes() -> None:
    page = (100, 50)
    assert moved((90, 40, 10, 10), page, 5, 5) == (90, 40, 10, 10)
    assert moved((2, 3, 10, 10), page, -10, -10) == (0, 0, 10, 10)
    assert sized((90, 40, 10, 10), page, 5, 5) == (90, 40, 10, 10)
    assert sized((0, 0, 5, 5), page, -10, -10) == (0, 0, 1, 1)
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == 0.5
    assert overlap((0, 0, 10, 10), (10, 0, 10, 10)) == 0.0
    left, top, width, height = around((10, 10, 20, 10), (200, 100), ratio=2.0)
    assert left >= 0
    assert top >= 0
    assert width >= 68
    assert width == pytest.approx(2 * height)


async def test_the_filter_and_the_threshold_choose_what_is_looked_at(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "review", "score<0.53 label:node")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        await until(pilot, lambda: view.filter == "score<0.53 label:node", "the filter")
        assert {(one.score < 0.53, one.label) for one in view.shown} == {(True, "node")}
        before = len(view.shown)
        await pilot.press("plus")
        assert view.filter == "score<0.58 label:node"
        assert len(view.shown) > before
        await pilot.press("slash", "end", *" status:rejected", "enter")
        assert view.shown == []
        await until(pilot, lambda: "No region is left" in shown(app), "that none is left")
        await pilot.press("escape")
        assert len(view.shown) == ALL, "esc takes the filter away first"


async def test_f_leads_to_what_is_doubtful_and_not_decided(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        view.threshold = 0.515
        doubtful = {one.key for one in view.shown if one.score < 0.515}
        seen = set()
        for _ in doubtful:
            await pilot.press("f")
            assert view.looked_at is not None
            seen.add(view.looked_at.key)
            view.desk.accepted(view.looked_at)  # type: ignore[union-attr]
        assert seen == doubtful
        await pilot.press("f")
        assert any("No undecided region" in each.message for each in app._notifications)
        await pilot.press("right")
        assert view.looked_at is not None


async def test_pages_turn_and_the_whole_page_opens(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        await pilot.press("right")
        assert view.looked_at.key[1] == 2  # type: ignore[union-attr]
        await pilot.press("enter")
        assert isinstance(app.screen, PageView)
        assert app.screen.place.mark == view.looked_at.box_px  # type: ignore[union-attr]
        await pilot.press("escape", "left")
        assert view.at == 0
        await until(pilot, lambda: "caption" in shown(app), "what was said of it")
        assert "Роль | Decides" in shown(app)


async def test_nothing_leaves_before_the_question_and_the_command_names_what_was_decided(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        monkeypatch.setattr(app, "run_command", lambda argv, note: ran.append(argv))
        assert "Nothing was decided" in str(view.question_review_take(view.targets()))
        await pilot.press("a", "x", "U")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        question = view.question_review_take(view.targets())
        assert isinstance(question, Question)
        assert "1 accepted, 1 rejected" in question.detail
        await pilot.press("enter")
        assert ran == [], "Cancel has the focus"
        await pilot.press("U")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("y")
        await until(pilot, lambda: bool(ran), "the command")
    assert ran == [("review", "take", RUN, "--upto", "2")]


def say(workspace: Workspace, *arguments: str) -> Any:
    return CliRunner().invoke(cli, ["-C", str(workspace.root), "review", *arguments], catch_exceptions=False)


def in_index(root: Path) -> dict[str, dict[str, Any]]:
    lines = (json.loads(line) for line in export_lines(root, "none"))
    return {line["meta"]["region_id"]: line["meta"] for line in lines}


async def test_what_keys_decided_goes_into_the_index_as_a_patch_of_the_page_would(workspace: Workspace) -> None:
    ingest([workspace.runs], workspace.root, embedder(OFFLINE))
    before = in_index(workspace.root)
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(120, 36)) as pilot:
        view = await reviewing(pilot, app)
        gone, accepted, changed = (one.region for one in view.shown[:3])
        await pilot.press("x", "a", "3", "b", "right", "b", "j", "a", "u")
        await kept(pilot, workspace, 6)
        undone = view.shown[3].region
    done = say(workspace, "take", RUN, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["rejected"], told["accepted"], told["corrected"]) == (1, 1, 1)
    after = in_index(workspace.root)
    assert gone not in after
    assert after[accepted]["review"] == "accepted"
    x, y, width, height = before[changed]["bbox_px"]
    assert (after[changed]["label"], after[changed]["bbox_px"]) == ("table", [x + 1, y, width, height])
    assert after[undone] == before[undone]
    assert say(workspace, "take", RUN).exit_code == 2, "the index has all of it"
    opened = open_desk(workspace)
    assert opened.desk.status(opened.desk.queue[0].key) == "rejected"
    assert opened.desk.changed() == []
    assert say(workspace, "undo").exit_code == 0
    assert in_index(workspace.root) == before


def test_the_same_decisions_are_the_same_patch_and_the_page_reads_it(workspace: Workspace) -> None:
    opened = open_desk(workspace)
    with pytest.raises(NothingDecided):
        patch_of(opened)
    one, other = opened.desk.queue[:2]
    decide(workspace, RUN, one.region, "", "canvas", (1, 2, 30, 40.5), 1.0)
    decide(workspace, RUN, other.region, "rejected", None, None, 2.0)
    saved = save_decisions(workspace, "last")
    assert saved.patch is not None
    patch = read_patch(saved.patch).patch
    assert patch.made == "1970-01-01T00:00:02Z"
    first, second = patch.regions
    assert (first.status, first.label, first.bbox_px) == ("corrected", "canvas", (1, 2, 30, 40.5))
    assert (first.was.label, first.was.bbox_px) == (one.label, one.box_px)
    assert (second.status, second.label) == ("rejected", other.label)
    assert patch_of(open_desk(workspace)) == saved.patch.read_bytes()


def test_the_saved_coco_has_what_the_run_has_but_for_what_was_decided(workspace: Workspace) -> None:
    regions = [
        region
        for page in (1, 2)
        for region in read_regions(workspace.run_folder(RUN), f"artifacts/{DOCUMENT}/p{page:04d}")
    ]
    decide(workspace, RUN, regions[0].id, "rejected", None, None, 1.0)
    decide(workspace, RUN, regions[1].id, "", "canvas", None, 2.0)
    coco = orjson.loads(save_decisions(workspace, RUN).coco.read_bytes())
    assert [image["page"] for image in coco["images"]] == [1, 2]
    names = {category["id"]: category["name"] for category in coco["categories"]}
    told = {each["region_id"]: each for each in coco["annotations"]}
    assert set(told) == {region.id for region in regions[1:]}
    assert names[told[regions[1].id]["category_id"]] == "canvas"
    assert told[regions[1].id]["score"] == 1
    untouched = told[regions[2].id]
    assert untouched["bbox"] == list(regions[2].bbox_px)
    assert untouched["area"] == regions[2].mask_area_px
    assert untouched["segmentation"]["counts"] == regions[2].segmentation.counts  # type: ignore[union-attr]
    assert untouched["review"] == "open"


def test_commands_do_what_keys_do(workspace: Workspace) -> None:
    queue = json.loads(say(workspace, "queue", RUN, "label:legend", "--json").stdout)["regions"]
    assert {each["label"] for each in queue} == {"legend"}
    region = queue[0]["region"]
    assert json.loads(say(workspace, "decide", RUN, region, "rejected", "--json").stdout)["status"] == "rejected"
    assert json.loads(say(workspace, "back", RUN, "--json").stdout)["status"] == "open"
    assert say(workspace, "back", RUN).exit_code == 2
    assert say(workspace, "decide", RUN, region, "--label", "nonsense").exit_code == 2
    assert say(workspace, "decide", RUN, region, "--box", "0,0,9999,1").exit_code == 2
    assert say(workspace, "decide", RUN, region).exit_code == 2
    assert say(workspace, "take", RUN, "--upto", "99").exit_code == 2
    assert say(workspace, "queue", RUN, "nonsense:x").exit_code == 2


async def test_without_a_run_it_says_what_makes_one(tmp_path: Path) -> None:
    place, _fresh = create_workspace(tmp_path)
    app = SpotterApp(place, "review")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "spotter run docparse" in note(app, "#review-problem"), "the sentence")


def queue_of(count: int) -> Iterator[Queued]:
    for at in range(count):
        box, page = (0, 0, 5, 5), (9, 9)
        yield Queued("r", "d", "d.pdf", 1 + at // 20, f"g{at}", at % 20, "node", (at % 100) / 100, box, page, "")


def test_undo_goes_back_over_every_step_and_knows_what_the_workspace_has() -> None:
    queue = list(queue_of(3))
    desk = Desk(queue, {queue[0].key: Said("rejected"), ("other", 1, "x"): Said("accepted")})
    assert desk.status(queue[0].key) == "rejected"
    assert desk.changed() == []
    desk.reopened(queue[0])
    assert desk.changed() == [queue[0]], "open again is a decision where the workspace has another"
    desk.accepted(queue[1])
    assert desk.accepted(queue[1]) is None, "the same once more is no step"
    desk.corrected(queue[1], "table", queue[1].box_px)
    desk.accepted(queue[1])
    assert desk.said(queue[1].key) == Said("corrected", "table"), "accepted as it stands now"
    assert desk.steps == 3
    while desk.undo():
        pass
    assert desk.changed() == []
    assert dict(desk.counts) | {} == {"rejected": 1, "open": 2, "accepted": 0, "corrected": 0}


def test_the_queue_is_filtered_by_what_was_decided_too() -> None:
    desk = Desk(queue_of(100), {})
    desk.corrected(desk.queue[7], "table", desk.queue[7].box_px)
    assert wanted("label:table", desk).kept(desk.queue) == [desk.queue[7]]
    assert len(wanted("score<0.1 page:=1", desk).kept(desk.queue)) == 10
    assert len(wanted("!status:open", desk).kept(desk.queue)) == 1
    assert desk.doubtful(0.1) == 9
    desk.rejected(desk.queue[3])
    assert desk.doubtful(0.1) == 8
    assert desk.changes == len(desk.changed()) == 2
    assert split_argument("01k9z score<0.5") == ("01k9z", "score<0.5")
    assert split_argument("score<0.5 label:table") == ("", "score<0.5 label:table")
    assert split_argument("last x") == ("", "x")
    assert split_argument("") == ("", "")


async def test_hostile_words_are_text(workspace: Workspace) -> None:
    folder = workspace.run_folder(RUN) / "artifacts" / DOCUMENT / "p0001" / "regions"
    (folder / "region-0001.caption.txt").write_text("[/x] \x1b[2J\u202e " + "слово " * 200_000)
    (folder / "region-0001.struct.json").write_bytes(
        orjson.dumps({"title": "[red]\x07", "rows": [["a\x1b]0;t\x07", "b" * 10**6]] * 500, "more": {"x": [1] * 10**5}})
    )
    (folder / "region-0002.struct.json").write_bytes(b"{not json")
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=(100, 60)) as pilot:
        await reviewing(pilot, app)
        await until(pilot, lambda: "[/x] \\x1b" in shown(app), "the caption")
        said = str(app.query_one("#review-said").render())
        assert len(said) < 8_000
        assert "\x07" not in said
        await pilot.press("j")
        await until(pilot, lambda: "is not JSON" in str(app.query_one("#review-said").render()), "what is damaged")


def test_a_struct_of_any_shape_is_words() -> None:
    assert struct_words(None) == ""
    assert struct_words(["a", 1]) == "['a', 1]"
    assert struct_words({"rows": [["a", None], "b"], "empty": [], "n": 0.5}) == "rows: a | None\n  b\nn: 0.5"


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_it_fits_any_screen(workspace: Workspace, size: tuple[int, int]) -> None:
    app = SpotterApp(workspace, "review")
    async with app.run_test(size=size) as pilot:
        await reviewing(pilot, app)
        picture = app.query_one(Preview)
        await until(pilot, lambda: picture.size.height >= 6, "the picture")
        assert "undecided" in note(app)
