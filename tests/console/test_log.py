"""The log view over files that grow, driven by keys; what it reads, and what its command prints."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from textual.widgets import Input

from console.app import SpotterApp
from console.models.log_buffer import LogBatch, LogBuffer
from console.models.log_details import details_of
from console.models.log_follower import BACKLOG_BYTES, GrowingFile, LogFollower
from console.models.log_sources import LogPlace, files_of, read_event, read_operation
from console.models.log_stamp import Level
from console.operations.fleet_book import FleetBook
from console.operations.runbook import Phase, Runbook, RunEntry, RunNotFound
from console.screens.log import LogView
from console.theme import LIGHT
from console.widgets.key_line import KeyLine
from console.workspace import Workspace, create_workspace
from tests.console.piloting import note, said, shown, until

RUN, OTHER = "01jlogrun00000000000000aaa", "01jlogrun00000000000000bbb"
NOON = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))


def operation(second: float, state: str, message: str) -> bytes:
    return orjson.dumps({"operation": "push", "state": state, "message": message, "ts": NOON + second}) + b"\n"


def item(second: float, page: int, error: str = "") -> bytes:
    event: dict[str, object] = {
        "ts": NOON + second, "type": "item", "stage": "render", "group": "book", "page": page,
        "status": "failed" if error else "ok", "elapsed_s": 0.5,
    }  # fmt: skip
    if error:
        event["error"] = {"type": "Broken", "message": error, "retryable": False}
    return orjson.dumps(event) + b"\n"


def logs(place: Workspace, run: str = RUN) -> Path:
    folder = place.run_folder(run) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place, _ = create_workspace(tmp_path)
    book = Runbook(place)
    book.write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, instance_id=31245, created_at=2.0)
    )
    book.write(RunEntry(run_id=OTHER, pipeline="docparse", plan_key="k", phase=Phase.DONE, created_at=1.0))
    (logs(place) / "operations.jsonl").write_bytes(
        operation(0, "started", "sending code") + operation(4, "failed", "gone")
    )
    (logs(place) / "job-1.log").write_text(
        "".join(f"2026-11-21T12:00:{second:02} page {second}\n" for second in range(1, 31))
    )
    (place.run_folder(RUN) / "events.jsonl").write_bytes(
        item(2, 1) + b'{"type":"metric","ts":1}\n' + item(7, 2, "no [/x]")
    )
    return place


def followed(place: Workspace, argument: str, *, events: bool = False, backlog: int = BACKLOG_BYTES) -> LogBuffer:
    """What a view of this log has once everything that was written before is read."""
    buffer = LogBuffer()
    where = LogPlace.read(argument)
    follower = LogFollower(buffer, lambda: files_of(place, where, events=events), backlog=backlog)
    follower.read_backlog()
    while buffer.drain():
        pass
    return buffer


def texts(buffer: LogBuffer) -> list[str]:
    return [buffer.text(number) for number in range(buffer.first, buffer.end)]


def test_what_was_written_before_is_put_in_order_of_time_over_all_files(workspace: Workspace) -> None:
    buffer = followed(workspace, RUN, events=True)
    first = texts(buffer)[:8]
    assert first[0] == "12:00:00 … push: sending code"
    assert first[1:4] == [
        "2026-11-21T12:00:01 page 1",
        "12:00:02 render ok book page 1 0.50 s",
        "2026-11-21T12:00:02 page 2",
    ]
    assert "12:00:04 ✗ push: gone" in texts(buffer)
    assert buffer.level(texts(buffer).index("12:00:04 ✗ push: gone")) is Level.ERROR
    assert buffer.names == ["laptop", "events", "job 1"]
    assert len(buffer) == 34, "a measurement is no line"


def test_files_are_followed_as_they_grow_shrink_come_and_end_without_a_line_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.models.log_follower.LAST_WORDS_S", 0.0)
    buffer = LogBuffer()
    place = LogPlace.read(RUN)
    follower = LogFollower(buffer, lambda: files_of(workspace, place, events=False))

    def look() -> list[str]:
        before = buffer.end
        follower._list()
        for _ in range(3):
            follower.read_new()
        while buffer.drain():
            pass
        return texts(buffer)[before - buffer.first :]

    look()
    job = logs(workspace) / "job-1.log"
    with job.open("ab") as out:
        out.write("слой \x1b[31m half ".encode()[:-3])
        out.flush()
        assert look() == [r"слой \x1b[31m ha"]
        out.write(b" line\nKilled\r\n")
        out.flush()
        assert look() == [" line", "Killed"]
    (logs(workspace) / "job-2.log").write_text("second attempt\n")
    assert look() == ["second attempt"]
    assert buffer.names[-1] == "job 2"
    job.write_text("anew\n")
    assert look() == ["anew"]
    assert not buffer.is_vague(buffer.end - 1)
    job.unlink()
    assert look() == []


def test_of_a_long_file_only_the_end_is_read_and_a_line_of_megabytes_comes_in_pieces(workspace: Workspace) -> None:
    job = logs(workspace) / "job-1.log"
    job.write_text("".join(f"line {number}\n" for number in range(50_000)) + "x" * 3_000_000 + "\nlast\n")
    buffer = followed(workspace, RUN, backlog=100_000)
    assert texts(buffer)[-1] == "last"
    assert len(buffer) < 10
    job.write_text("".join(f"line {number}\n" for number in range(50_000)))
    buffer = followed(workspace, RUN, backlog=100_000)
    assert texts(buffer)[-1] == "line 49999"
    assert all(text.startswith("line ") or "push" in text for text in texts(buffer)), "no half line at the cut"
    assert len(buffer) < 5_000


def test_the_newest_lines_are_here_before_the_rest_is_read_and_the_rest_comes_in_front_of_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = texts(followed(workspace, RUN, events=True))
    monkeypatch.setattr("console.models.log_follower.TAIL_BYTES", 200)
    buffer = LogBuffer(first=1000)
    before: list[list[str]] = []
    read_older = GrowingFile.older

    def older(file: GrowingFile) -> Iterator[tuple[LogBatch, int]]:
        buffer.drain()
        before.append(texts(buffer))
        with (logs(workspace) / "job-1.log").open("a") as out:
            out.write("2026-11-21T12:01:00 meanwhile\n")
        return read_older(file)

    monkeypatch.setattr(GrowingFile, "older", older)
    follower = LogFollower(buffer, lambda: files_of(workspace, LogPlace.read(RUN), events=True))
    follower.read_backlog()
    assert len(before[0]) > 2
    assert before[0] == everything[-len(before[0]) :], "nothing that other lines may stand between"
    assert follower.loaded == 1.0
    buffer.drain()
    newest, number = buffer.text(1000), buffer.end
    assert buffer.take_older() == len(everything) - len(before[0])
    assert [text for text in texts(buffer) if "meanwhile" not in text] == everything
    assert (buffer.text(1000), buffer.end) == (newest, number), "a line keeps its number"


def test_all_live_runs_are_one_log_and_without_any_the_newest_run_is(workspace: Workspace) -> None:
    assert {file.run_id for file in files_of(workspace, LogPlace(), events=False)} == {RUN}
    book = Runbook(workspace)
    book.update(RUN, phase=Phase.LAUNCHED)
    book.update(OTHER, phase=Phase.LAUNCHED)
    (logs(workspace, OTHER) / "job-1.log").write_text("2026-11-21T12:00:05.5 other\n")
    with book.hold(RUN), book.hold(OTHER):
        buffer = followed(workspace, "")
    assert {"aaaa", "bbbb", "0aaa", "0bbb"} & {name[:4] for name in buffer.names} == {"0aaa", "0bbb"}
    at = texts(buffer).index("2026-11-21T12:00:05.5 other")
    assert texts(buffer)[at - 1].endswith("page 5")
    assert buffer.source_name(at) == "0bbb job 1"


def test_an_instance_has_the_log_of_its_run_and_in_a_fleet_only_its_own_part(workspace: Workspace) -> None:
    assert {file.run_id for file in files_of(workspace, LogPlace("31245"), events=False)} == {RUN}
    with pytest.raises(RunNotFound):
        files_of(workspace, LogPlace("99999"), events=False)
    Runbook(workspace).update(OTHER, sharded=True)
    book = FleetBook(workspace, OTHER)
    book.want(instance_id=7001)
    book.want(instance_id=7002)
    for name in ("job-1-b1.0.log", "job-1-b2.0.log", "job-1-b2.1.log"):
        (logs(workspace, OTHER) / name).write_text("x\n")
    assert [file.name for file in files_of(workspace, LogPlace("7002"), events=False)] == ["b2.0", "b2.1"]


@pytest.mark.parametrize(
    ("argument", "place"),
    [
        ("", LogPlace()),
        ("last", LogPlace("last")),
        ("01j@12:00:03", LogPlace("01j", "12:00:03")),
        ("@12:00", LogPlace("", "12:00")),
        ("01j@2026-11-21T12:00:03", LogPlace("01j", "2026-11-21T12:00:03")),
    ],
)
def test_where_a_log_is_opened(argument: str, place: LogPlace) -> None:
    assert LogPlace.read(argument) == place


def test_a_moment_is_the_last_one_the_clock_showed(workspace: Workspace) -> None:
    assert LogPlace.read("x@12:00:03").when(NOON + 60) == NOON + 3
    assert LogPlace.read("x@2026-11-21T12:00").when(0.0) == NOON
    assert LogPlace.read("x@2026-99-21T12:00").when(0.0) is None
    assert LogPlace.read("x@25:00").when(NOON) is None
    with pytest.raises(ValueError, match="noon is no time"):
        LogPlace.read("x@noon")


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '"x"', '{"ts":"x","type":"item"}', '{"ts":1e400,"type":"state","state":"x"}']
)
def test_lines_that_a_crash_tore_are_shown_as_they_are(line: str) -> None:
    assert read_operation(line) == (line, None, None)
    assert read_event(line) == (line, None, None)


def test_a_line_is_opened_out_as_json_as_a_traceback_or_in_full() -> None:
    buffer = LogBuffer()
    buffer.append(["started", "Traceback (most recent call last):", '  File "x.py", line 1', "    boom()"], "a")
    buffer.append(["other 1"], "b")
    buffer.append(["", "During handling of the above exception, another exception occurred:", ""], "a")
    buffer.append(["Traceback (most recent call last):", '  File "y.py"', "ValueError: [/x] \x1b[31m", "after"], "a")
    buffer.append(['12:00 INFO {"page": 3, "text": "[/x]\\u001b"}', "{not json}", "x" * 500_000, '{"a": "\x1b"}'], "a")
    buffer.drain()
    chained = details_of(buffer, 3)
    assert chained.kind == "traceback"
    assert "other 1" not in chained.text
    assert chained.text.splitlines()[0].startswith("Traceback")
    assert details_of(buffer, 10).text.splitlines()[-1] == r"ValueError: [/x] \x1b[31m"
    assert details_of(buffer, 11).kind == "text"
    assert details_of(buffer, 0).kind == "text"
    pretty = details_of(buffer, 12)
    assert pretty.kind == "json"
    assert '  "page": 3' in pretty.text
    assert pretty.text.replace("\n", "").isprintable()
    assert details_of(buffer, 13).kind == "text"
    assert len(details_of(buffer, 14).text) < 21_000
    assert details_of(buffer, 15).text.isprintable()


@pytest.fixture
def app(workspace: Workspace) -> SpotterApp:
    return SpotterApp(workspace, "log", RUN, clock=lambda: NOON + 100)


def view(app: SpotterApp) -> LogView:
    shown_view = app.view
    assert isinstance(shown_view, LogView)
    return shown_view


async def test_a_running_log_is_followed_filtered_walked_and_saved_by_keys(
    app: SpotterApp, workspace: Workspace
) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "page 30" in shown(app), "the log")
        lines = view(app).log_lines
        assert "following" in note(app, "#log-note")
        with (logs(workspace) / "job-1.log").open("a") as out:
            out.write("2026-11-21T12:00:40 WARNING page 40 is odd\n")
        await until(pilot, lambda: "page 40 is odd" in shown(app), "the new line")
        await pilot.press("slash", *'"page 4"', "enter")
        await until(pilot, lambda: "2 kept" in note(app, "#log-note"), "the filter")
        await pilot.press("c")
        assert "±3 lines" in note(app, "#log-note")
        assert "page 7" in shown(app)
        await pilot.press("c", "c", "h")
        assert "highlight only" in note(app, "#log-note")
        await pilot.press("g", "n")
        assert lines.buffer.text(lines.cursor).endswith("page 4")
        await pilot.press("m", "E")
        assert "✗ push: gone" in lines.buffer.text(lines.cursor)
        await pilot.press("right_curly_bracket")
        assert lines.buffer.text(lines.cursor).endswith("page 4")
        await until(pilot, lambda: "◆ marked at 12:01:40" in said(app, "#log-details"), "the mark beside the line")
        await pilot.press("escape")
        assert not app.query_one("#log-filter", Input).display
        assert "kept" not in note(app, "#log-note")
        await pilot.press("2")
        assert "last 1m 00s" in note(app, "#log-note")
        await pilot.press("1")
        assert lines.cursor == lines.buffer.first
        await pilot.press("t", "w", "s")
        await until(pilot, lambda: list((workspace.state / "logs-saved").glob("*.log")), "the file")
        (saved,) = (workspace.state / "logs-saved").glob("*.log")
        await until(pilot, lambda: saved.read_text().endswith("is odd\n"), "all of it")
        assert "* 2026-11-21T12:00:04 2026-11-21T12:00:04 page 4" in saved.read_text()


async def test_while_the_rest_is_read_the_newest_stand_there_and_the_note_says_how_far_it_is(
    app: SpotterApp, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.models.log_follower.TAIL_BYTES", 200)
    gate, read_older = threading.Event(), GrowingFile.older

    def older(file: GrowingFile) -> Iterator[tuple[LogBatch, int]]:
        gate.wait(60)
        return read_older(file)

    monkeypatch.setattr(GrowingFile, "older", older)
    async with app.run_test(size=(120, 30)) as pilot:
        try:
            await until(pilot, lambda: "page 30" in shown(app), "the newest")
            await until(pilot, lambda: "loading 0 %" in note(app, "#log-note"), "that there is more")
            await pilot.press("slash", *"page", "enter")
            await until(pilot, lambda: "kept" in note(app, "#log-note"), "the filter")
        finally:
            gate.set()
        await until(pilot, lambda: "30 kept" in note(app, "#log-note"), "the older lines that the filter keeps")
        await until(pilot, lambda: "loading" not in note(app, "#log-note"), "the end")


async def test_who_writes_stands_beside_the_first_lines_and_wears_the_colours_of_the_theme(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.screens.log.SLOW_S", 3600.0)  # nothing is drawn for the time that passed
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "job 1" in said(app, "#log-details"), "who writes")

        def colours() -> set[str]:
            rows = [row for row in app.screen._compositor.render_strips() if "job 1  " in row.text]
            return {str(part.style.color) for row in rows for part in row if "job 1" in part.text and part.style}

        before = colours()
        app.theme = LIGHT.name
        await until(pilot, lambda: colours() and not colours() & before, "the light theme's")


async def test_the_line_of_keys_says_what_digits_do_and_the_crumbs_call_the_run_as_other_screens_do(
    app: SpotterApp,
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "page 30" in shown(app), "the log")
        keys = app.query_one(KeyLine)._drawn
        assert "0–6 Window" in keys.plain
        assert keys.cell_len == 80
        assert not any(
            segment.style is not None and segment.style.underline
            for segment in app.screen._compositor.render_strips()[23]
        )
        assert view(app).crumbs == (RUN[-8:],)
        app.go("log", "last")
        await until(pilot, lambda: view(app).crumbs == (RUN[-8:],), "the run that is the last")


async def test_find_points_at_lines_and_hides_none(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "page 30" in shown(app), "the log")
        lines = view(app).log_lines
        await pilot.press("ctrl+f", *"/page 1[0-2]/")
        await until(pilot, lambda: "3 found" in note(app, "#log-note"), "what was found")
        await pilot.press("enter")
        assert lines.buffer.text(lines.cursor).endswith("page 10")
        await pilot.press("n", "n", "n", "N")
        assert lines.buffer.text(lines.cursor).endswith("page 12")
        assert len(lines.pane) == len(lines.buffer)
        await pilot.press("ctrl+f", *"/(/")
        view(app)._slow_tick()  # a note that is drawn anew by the second must not hide the reason
        assert "is not a regular expression" in note(app, "#log-note")
        await pilot.press("escape")
        assert view(app).log_lines.has_focus


async def test_it_opens_at_a_second_with_what_happened_then(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "log", f"{RUN}@12:00:07")
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "render failed book page 2" in said(app, "#log-details"), "the second")
        assert not view(app).log_lines.follow
        app.go("log", f"{RUN}@12:00:20")
        await until(pilot, lambda: "page 20" in said(app, "#log-details"), "the other second")
        app.go("log", f"{RUN}@noon")
        await until(pilot, lambda: any("noon is no time" in each.message for each in app._notifications), "why not")


async def test_all_runs_become_one_log_and_one_again(app: SpotterApp, workspace: Workspace) -> None:
    book = Runbook(workspace)
    for run in (RUN, OTHER):
        book.update(run, phase=Phase.LAUNCHED)
    (logs(workspace, OTHER) / "job-1.log").write_text("the other run\n")
    with book.hold(RUN), book.hold(OTHER):
        async with app.run_test(size=(120, 30)) as pilot:
            await until(pilot, lambda: "page 30" in shown(app), "the log")
            await pilot.press("slash", *"the", "enter", "x")
            await until(pilot, lambda: "0bbb job 1" in shown(app) and "the other run" in shown(app), "the other run")
            assert "all live runs" in view(app).crumbs
            await pilot.press("k", "enter")
            await until(pilot, lambda: app.view.NAME == "run", "its run")
            assert app.view.argument == OTHER
            await pilot.press("escape", "escape", "x")
            await until(pilot, lambda: "page 30" in shown(app), "the one run")


async def test_it_says_why_there_are_no_lines(tmp_path: Path) -> None:
    place, _ = create_workspace(tmp_path)
    app = SpotterApp(place, "log")
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "No lines yet" in shown(app), "the sentence")
        await pilot.press("E", "n", "c", "m", "right_curly_bracket", "s", "i", "enter", "x", "y")
        app.go("log", "nosuchrun")
        await until(pilot, lambda: "no run 'nosuchrun'" in shown(app), "the reason")


async def test_what_is_hidden_draws_nothing_and_loses_nothing(app: SpotterApp, workspace: Workspace) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "page 30" in shown(app), "the log")
        log = view(app)
        app.go("fleet")
        await until(pilot, lambda: app.view.NAME == "fleet", "another view")
        with (logs(workspace) / "job-1.log").open("a") as out:
            out.write("while nobody looked\n")
        await until(pilot, lambda: log.log_lines.buffer._waiting, "the line in the waiting room")
        assert "while nobody looked" not in texts(log.log_lines.buffer)
        app.go("log", RUN)
        await until(pilot, lambda: "while nobody looked" in shown(app), "the line")


async def test_a_long_log_is_filtered_in_a_thread_while_keys_are_answered(workspace: Workspace) -> None:
    (logs(workspace) / "job-1.log").write_text("".join(f"line {number} [/x]\n" for number in range(30_000)))
    app = SpotterApp(workspace, "log", RUN)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "30,002 lines" in note(app, "#log-note"), "all lines")
        await pilot.press("slash", *"line 2999")
        await until(pilot, lambda: "13 kept" in note(app, "#log-note"), "the answer")
        assert "line 29999 [/x]" in shown(app)


async def test_a_key_that_comes_before_its_view_is_made_waits_without_holding_up_the_making(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "page 30" in shown(app), "the log")
        app.go("run", RUN)
        app.call_later(app.run_action, "do('run.follow')")
        async with asyncio.timeout(60):
            await until(pilot, lambda: app.view.NAME == "run" and app.view.is_mounted, "the view")


async def test_a_key_that_was_put_off_until_the_console_leaves_does_nothing(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        app.go("run", RUN)
        await until(pilot, lambda: app.view.NAME == "run" and app.view.is_mounted, "the view")
    await app.action_do("run.follow")


async def test_leaving_ends_the_reader(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "page 30" in shown(app), "the log")
        follower = view(app)._follower
        assert follower is not None
    assert follower.stop.is_set()


def test_rows_for_an_export_hold_time_source_level_and_text(workspace: Workspace) -> None:
    from console.models.log_pane import LogPane
    from console.models.log_saving import ShownLines

    pane = LogPane(followed(workspace, RUN))
    rows = list(ShownLines.of(pane).rows())
    assert rows[0] == (NOON, "laptop", "info", "12:00:00 … push: sending code")
    assert json.dumps(rows)


def run_logs(workspace: Workspace, *arguments: str) -> tuple[int, str]:
    from typer.testing import CliRunner

    from console.cli import app

    done = CliRunner().invoke(app, ["-C", str(workspace.root), "logs", *arguments])
    return done.exit_code, done.output


def test_the_command_prints_a_run_as_it_is_or_as_the_view_shows_it(workspace: Workspace) -> None:
    plain = (logs(workspace) / "job-1.log").read_text()
    assert run_logs(workspace, RUN) == (0, plain)
    _, out = run_logs(workspace, RUN, "--filter", '"page 4"', "--context", "1")
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == ["✗ push: gone", "page 4", "page 5"]
    _, out = run_logs(workspace, "31245", "--filter", "level:error", "--with-events", "--json")
    assert [(row["source"], row["level"]) for row in json.loads(out)] == [("laptop", "error"), ("events", "error")]
    _, out = run_logs(workspace, "--all", "--last", "5s")
    assert out.splitlines()[-1] == "0aaa job 1: 2026-11-21T12:00:30 page 30"
    assert len(out.splitlines()) == 6
    _, out = run_logs(workspace, RUN, "--follow", "--filter", "page 30")
    assert out.count("page 30") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--filter", "/(a+)+b/"),
        ("--last", "soon"),
        ("--json", "--follow"),
        ("--filter", "/(/"),
        ("nosuch", "--all", "-f", "--json"),
    ],
)
def test_the_command_says_what_is_wrong_with_what_was_asked(workspace: Workspace, arguments: tuple[str, ...]) -> None:
    code, out = run_logs(workspace, *arguments)
    assert code == 2
    *values, sentence = out.splitlines()
    assert sentence.startswith("spotter: ")
    assert len(values) == ("--json" in arguments)
    assert all(sentence == f"spotter: {json.loads(value)['error']}" for value in values), "the one value says it too"
