"""Lines of a log without a screen: times, levels, ring, filter, what is on show."""

from __future__ import annotations

import threading
import time
import tracemalloc
from datetime import UTC, datetime

import pytest

from console.models.filter import FilterError
from console.models.log_buffer import SHOWN_CHARACTERS, LogBuffer, in_order
from console.models.log_pane import LogPane
from console.models.log_query import Line, LogQuery
from console.models.log_regex import searched_characters
from console.models.log_sight import Sight
from console.models.log_stamp import Level, StampReader, level_of

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


def filled(lines: list[str], **more: int) -> LogPane:
    buffer = LogBuffer(**more)
    pane = LogPane(buffer)
    buffer.append(lines, "job", arrived=NOON)
    pane.took(buffer.drain())
    return pane


def shown(pane: LogPane) -> list[str]:
    return [pane.buffer.text(pane.at(row)) for row in range(len(pane))]


def ask(pane: LogPane, text: str) -> None:
    """Filter, with the job that a long log needs done at once."""
    pane.set_filter(LogQuery.read(text))
    job = pane.filtered.job()
    if job is not None:
        assert pane.take_filtered(job.run())


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("2026-11-21T12:00:03Z ready", NOON + 3),
        ("2026-11-21 12:00:03,250+00:00 ready", NOON + 3.25),
        ("[2026-11-21T14:00:03.5+02:00] ready", NOON + 3.5),
        ("1795262403 ready", NOON + 3),
        ("1795262403.25 ready", NOON + 3.25),
        ("1795262403250 ready", NOON + 3.25),
        ("ready", None),
        ("2026-99-99T12:00:03Z", None),
        ("12 pages", None),
        ("25:61:61 no clock", None),
        ("12:00:03:04 no clock", None),
        ("", None),
    ],
)
def test_a_line_tells_its_time(line: str, seconds: float | None) -> None:
    read = StampReader().read(line, NOON)
    assert read == (pytest.approx(seconds) if seconds is not None else None)


def test_a_clock_without_a_date_is_of_the_last_day() -> None:
    near = time.mktime((2026, 11, 21, 0, 10, 0, 0, 0, -1))
    reader = StampReader()
    assert reader.read("23:59:30 late", near) == near - 630
    assert reader.read("00:09:30 now", near) == near - 30
    assert reader.read("00:10:30 a clock ahead", near) == near + 30


def test_a_clock_of_before_a_night_in_which_clocks_are_put_on_is_of_that_evening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        with monkeypatch.context() as berlin:
            berlin.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
            time.tzset()
            near = time.mktime((2027, 3, 28, 10, 0, 0, 0, 0, -1))
            assert StampReader().read("23:30:00 late", near) == near - 9.5 * 3600
    finally:
        time.tzset()


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("render: 52 of 52 ok, 0 failed", Level.INFO),
        ("render: 50 of 52 ok, 2 failed", Level.ERROR),
        ("failed: 'page-0003': no text", Level.ERROR),
        ("Traceback (most recent call last):", Level.ERROR),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory", Level.ERROR),
        ("2026-11-21 12:00:00 ERROR x", Level.ERROR),
        ("UserWarning: deprecated", Level.WARNING),
        ("12:00:00 WARN slow", Level.WARNING),
        ("DEBUG x", Level.DEBUG),
        ("terrors and warnings without end", Level.INFO),
        ("x" * 100_000 + " ERROR", Level.INFO),
    ],
)
def test_a_line_gives_its_level_away(line: str, level: Level) -> None:
    assert level_of(line) is level


def test_the_ring_keeps_the_newest_and_counts_the_rest() -> None:
    buffer = LogBuffer(capacity=10)
    for start in range(0, 25, 5):
        buffer.append([f"line {number}" for number in range(start, start + 5)])
        buffer.drain()
    assert len(buffer) == 10
    assert buffer.dropped == 15
    assert (buffer.first, buffer.end) == (15, 25)
    assert buffer.text(15) == "line 15"


def test_when_nobody_drains_the_waiting_room_is_bounded_and_what_is_lost_is_counted() -> None:
    buffer = LogBuffer(capacity=100)
    for _ in range(50):
        buffer.append(["x"] * 10)
    while buffer.drain():
        pass
    assert len(buffer) == 100
    assert buffer.dropped == 400


def test_a_hundred_thousand_lines_take_less_than_40_mb() -> None:
    """A fifth of them, and a fifth of the bytes; `benchmarks/console_latency.py` takes them all."""
    lines = [f"2026-11-21 12:00:03 INFO item {n:06} {'область страницы ' * 5}" for n in range(20_000)]
    buffer = LogBuffer()
    tracemalloc.start()
    try:
        for start in range(0, len(lines), 1000):
            buffer.append(["".join((line, ".")) for line in lines[start : start + 1000]])
            buffer.drain()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(buffer) == 20_000
    assert 20_000 * 100 < used < 40e6 / 5


def test_older_lines_go_in_front_as_far_as_there_is_room_and_are_searched_too() -> None:
    buffer = LogBuffer(capacity=6, first=6)
    pane = LogPane(buffer)
    buffer.append(["new 1", "new 2"])
    pane.took(buffer.drain())
    ask(pane, "1")
    assert pane.mark(6, NOON)
    buffer.offer_older(buffer.batch_of([f"old {number}" for number in range(10, 16)] + ["x" * 5000]))
    assert buffer.take_older() == 4
    pane.took_older()
    assert (buffer.first, buffer.end, buffer.dropped) == (2, 8, 3)
    assert shown(pane) == ["old 13", "old 14", "old 15", "new 1"]
    assert buffer.whole(5) == "x" * 5000
    assert list(buffer.marks) == [6]


def test_a_long_log_that_grew_older_is_searched_anew_and_shows_the_old_answer_meanwhile() -> None:
    buffer = LogBuffer(first=100_000)
    pane = LogPane(buffer)
    buffer.append(["line 99", "line 98"])
    pane.took(buffer.drain())
    ask(pane, "99")
    buffer.offer_older(buffer.batch_of([f"line {number}" for number in range(3000)]))
    buffer.take_older()
    pane.took_older()
    assert shown(pane) == ["line 99"]
    job = pane.filtered.job()
    assert job is not None
    assert pane.take_filtered(job.run())
    assert len(shown(pane)) == 1 + sum("99" in f"line {number}" for number in range(3000))


def test_lines_before_the_first_that_tells_its_time_are_at_the_latest_as_old_as_that_one() -> None:
    buffer = LogBuffer()
    batch = buffer.batch_of(["  and so on", "2026-11-21T12:00:05Z five", "  more"], "a", NOON + 900, vague=True)
    assert list(batch.stamps) == [NOON + 5] * 3
    assert list(batch.vague) == [1, 0, 0]


def test_long_lines_are_cut_kept_whole_aside_and_bounded_in_all() -> None:
    buffer = LogBuffer(max_bytes=100_000)
    buffer.append(["x" * 1_000_000, "short"])
    buffer.drain()
    assert len(buffer.text(0)) < SHOWN_CHARACTERS + 50
    assert "1,000,000 characters" in buffer.text(0)
    assert len(buffer.whole(0)) == 1_000_000
    buffer.append(["y" * 3_000] * 100)
    buffer.drain()
    assert len(buffer) < 40
    assert buffer.dropped > 60
    assert buffer.whole(buffer.end - 1) == "y" * 3_000


def test_what_could_move_a_cursor_is_spelled_out_and_kept_as_it_came() -> None:
    buffer = LogBuffer()
    line = "\x1b[31mred\x1b[0m\ttab\r\u202eetis [/x]"
    buffer.append([line])
    buffer.drain()
    assert buffer.text(0).isprintable()
    assert buffer.text(0).startswith(r"\x1b[31mred\x1b[0m")
    assert r"\r\u202eetis [/x]" in buffer.text(0)
    assert buffer.whole(0) == line


def test_sources_that_wait_together_are_put_in_order_of_time_and_tracebacks_stay_together() -> None:
    buffer = LogBuffer()
    one = buffer.batch_of(["2026-11-21T12:00:01Z one", "  its second row", "2026-11-21T12:00:05Z five"], "a", NOON)
    two = buffer.batch_of(["2026-11-21T12:00:03Z three"], "b", NOON)
    assert in_order([one, two]).texts == [
        "2026-11-21T12:00:01Z one",
        "  its second row",
        "2026-11-21T12:00:03Z three",
        "2026-11-21T12:00:05Z five",
    ]


def test_threads_append_while_the_loop_drains_and_no_line_is_lost() -> None:
    buffer = LogBuffer()
    threads = [
        threading.Thread(
            target=lambda name=name: [buffer.append([f"{name} {n}" for n in range(50)], name) for _ in range(40)]
        )
        for name in ("a", "b", "c")
    ]
    for thread in threads:
        thread.start()
    came = 0
    while any(thread.is_alive() for thread in threads) or buffer._waiting:
        came += buffer.drain()
    assert came == len(buffer) == 6000
    assert sorted(buffer.names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("error", ["ERROR: page 3", "error: page 4"]),
        ("page !error", ["page 1", "page 2 detect: 7"]),
        ("/page [34]$/", ["ERROR: page 3", "error: page 4"]),
        ("~pgdt", ["page 2 detect: 7"]),
        ("level:error", ["ERROR: page 3", "error: page 4"]),
        ("level<3 7", ["page 2 detect: 7"]),
        ("detect:", ["page 2 detect: 7"]),
        ("detect:7", []),
        ('"page 2"', ["page 2 detect: 7"]),
        ("source:job 1", ["page 1"]),
        ("source:other", []),
        ("<1", []),
        ("", ["page 1", "page 2 detect: 7", "ERROR: page 3", "error: page 4"]),
    ],
)
def test_the_filter_language_of_lists_works_on_lines(text: str, kept: list[str]) -> None:
    pane = filled(["page 1", "page 2 detect: 7", "ERROR: page 3", "error: page 4"])
    ask(pane, text)
    assert shown(pane) == kept


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(?:x*)*", "(a?b?)+c", "((ab)*)*", "(.*){10}", "a*b*c*d*e", "(?P<n>a+)*"]
)
def test_patterns_that_can_take_for_ever_are_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(FilterError, match=r"for ever|without end"):
        LogQuery.read(f"/{pattern}/")


@pytest.mark.parametrize(
    ("pattern", "characters"),
    [
        ("page", 4000),
        ("page.*ok", 2000),
        ("a.*b.*c", 400),
        (r"\d{4}-\d+ [*+]", 2000),
        ("(ab)+", 2000),
        (r"a\*\+", 4000),
    ],
)
def test_the_more_open_repeats_the_less_of_a_line_is_searched(pattern: str, characters: int) -> None:
    assert searched_characters(pattern) == characters


def test_the_worst_pattern_that_is_let_through_ends_soon_on_the_worst_line() -> None:
    query = LogQuery.read("/a*a*a*b/")
    began = time.monotonic()
    assert not query.keeps(Line(0, "a" * 4000, 1, "job"))
    assert time.monotonic() - began < 10


def test_a_search_that_takes_too_long_is_given_up_with_a_reason_and_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.models.log_query.STEP_PATIENCE_S", -1.0)
    pane = filled([f"line {number}" for number in range(5000)])
    ask(pane, "99")
    assert "takes too long" in pane.filtered.problem
    assert len(pane) == 5000
    ask(pane, "98")
    pane.buffer.append(["line 98"])
    pane.took(pane.buffer.drain())
    assert len(pane) == 5001


def test_a_long_log_is_filtered_by_a_job_and_lines_that_come_meanwhile_are_not_missed() -> None:
    pane = filled([f"line {number}" for number in range(5000)])
    pane.set_filter(LogQuery.read("99"))
    job = pane.filtered.job()
    assert job is not None
    assert len(pane) == 5000, "the old answer stays on show"
    pane.buffer.append(["line 99999"])
    pane.took(pane.buffer.drain())
    assert pane.take_filtered(job.run())
    assert shown(pane)[-2:] == ["line 4999", "line 99999"]
    pane.buffer.append(["line 1", "line 199"])
    pane.took(pane.buffer.drain())
    assert shown(pane)[-1] == "line 199"


def test_an_overtaken_answer_is_dropped_and_a_query_that_grew_looks_only_at_its_hits() -> None:
    pane = filled([f"line {number}" for number in range(5000)])
    pane.set_filter(LogQuery.read("line 9"))
    first = pane.filtered.job()
    assert first is not None
    assert first.only is None
    answer = first.run()
    pane.set_filter(LogQuery.read("line 99"))
    assert not pane.take_filtered(answer)
    second = pane.filtered.job()
    assert second is not None
    assert pane.take_filtered(second.run())
    pane.set_filter(LogQuery.read("line 999"))
    third = pane.filtered.job()
    assert third is not None
    assert third.only is not None
    assert len(third.only) < 200
    assert pane.take_filtered(third.run())
    assert shown(pane) == ["line 999", "line 1999", "line 2999", "line 3999", "line 4999"]


def test_context_shows_lines_around_hits_also_those_that_come_later() -> None:
    pane = filled([str(number) if number % 10 else f"hit {number}" for number in range(1, 31)])
    ask(pane, "hit")
    pane.set_view(context=3)
    assert shown(pane)[:8] == ["7", "8", "9", "hit 10", "11", "12", "13", "17"]
    assert shown(pane)[-1] == "hit 30"
    pane.buffer.append(["31", "32", "33", "34"])
    pane.took(pane.buffer.drain())
    assert shown(pane)[-4:] == ["hit 30", "31", "32", "33"]


def test_highlight_only_hides_nothing_and_n_walks_the_hits() -> None:
    pane = filled(["a", "hit", "b", "hit", "c"])
    ask(pane, "hit")
    pane.set_view(highlight_only=True)
    assert len(pane) == 5
    assert pane.next_hit(0, 1) == 1
    assert pane.next_hit(1, 1) == 3
    assert pane.next_hit(3, 1) == 1, "round the end"
    assert pane.next_hit(1, -1) == 3


def test_find_walks_only_lines_on_show() -> None:
    pane = filled(["page 1 x", "page 1", "page 2 x", "page 1 x"])
    ask(pane, "x")
    pane.found.ask(LogQuery.phrase("page 1"))
    assert pane.next_hit(0, 1) == 3
    pane.found.ask(LogQuery.phrase("nowhere"))
    assert pane.next_hit(0, 1) is None


def test_windows_count_from_the_newest_line_and_slide() -> None:
    lines = [f"{datetime.fromtimestamp(NOON + 30 * n, UTC):%Y-%m-%dT%H:%M:%SZ} n{n}" for n in range(20)]
    pane = filled(lines)
    pane.set_view(window=2)
    assert [line[-3:] for line in shown(pane)] == ["n17", "n18", "n19"]
    pane.buffer.append([f"{datetime.fromtimestamp(NOON + 630, UTC):%Y-%m-%dT%H:%M:%SZ} n21"])
    pane.took(pane.buffer.drain())
    assert [line[-3:] for line in shown(pane)] == ["n19", "n21"]
    pane.set_view(window=0)
    assert len(pane) == 21


def test_marks_stay_on_show_whatever_the_filter_and_leave_with_their_lines() -> None:
    pane = filled([f"line {number}" for number in range(10)], capacity=10)
    assert pane.mark(2, NOON)
    assert pane.mark(7, NOON)
    ask(pane, '"line 5"')
    assert shown(pane) == ["line 2", "line 5", "line 7"]
    assert pane.next_mark(2, 1) == 7
    assert pane.next_mark(2, -1) == 7
    pane.buffer.append(["x"] * 5)
    pane.took(pane.buffer.drain())
    assert list(pane.buffer.marks) == [7]
    assert shown(pane) == ["line 5", "line 7"]
    assert not pane.mark(7, NOON)
    assert pane.next_mark(0, 1) is None


def test_the_next_error_and_the_line_of_a_moment() -> None:
    pane = filled(["2026-11-21T12:00:01Z a", "2026-11-21T12:00:02Z ERROR b", "2026-11-21T12:00:09Z c"])
    assert pane.next_error(0) == 1
    assert pane.next_error(1) == 1
    assert pane.line_at(NOON + 2) == 1
    assert pane.line_at(NOON + 5) == 2
    assert pane.line_at(NOON + 99) == 2


def test_what_is_in_sight_stands_still_while_lines_come_and_the_oldest_go() -> None:
    pane = filled([f"line {number}" for number in range(20)], capacity=30)
    sight = Sight(pane)
    sight.height, sight.room = 5, 80
    sight.arrange()
    assert [number for number, _ in sight.rows] == [15, 16, 17, 18, 19]
    sight.following = False
    sight.move_to(10)
    before = list(sight.rows)
    pane.buffer.append(["more"] * 18)
    pane.took(pane.buffer.drain())
    sight.arrange()
    assert sight.rows == before
    assert sight.cursor == 10
    pane.buffer.append(["more"] * 12)
    pane.took(pane.buffer.drain())
    sight.arrange()
    assert sight.rows[0] == (20, 0), "what it stood on is gone, so it stands on the oldest"
    assert sight.cursor == 20


@pytest.mark.parametrize("following", [True, False])
def test_the_cursor_is_on_a_line_that_there_is_though_there_is_no_room_to_show_it(following: bool) -> None:
    pane = filled(["one", "two", "three"])
    sight = Sight(pane)
    sight.height, sight.following = 0, following
    sight.arrange()
    assert pane.shows(sight.cursor)
    assert pane.buffer.source_index(sight.cursor) == 0


def test_wrapped_lines_take_the_rows_they_need_whatever_their_script() -> None:
    pane = filled(["x" * 25, "слой " * 4, "漢字" * 6, ""])
    sight = Sight(pane)
    sight.height, sight.room, sight.wrap = 20, 10, True
    sight.arrange()
    rows = [sum(1 for number, _ in sight.rows if number == line) for line in range(4)]
    assert rows == [3, 2, 3, 1]
    assert "".join(sight.parts("漢字" * 6)) == "漢字" * 6
    sight.height = 4
    sight.arrange()
    assert sight.rows == [(2, 0), (2, 1), (2, 2), (3, 0)]
    sight.following = False
    sight.move_to(0)
    assert sight.rows[0] == (0, 0)
