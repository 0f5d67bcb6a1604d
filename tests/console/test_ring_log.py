"""The log widget, driven by keys in an app of its own."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult

from console.models.log_query import LogQuery
from console.widgets.ring_log import RingLog, styled
from tests.console.piloting import shown


class Pane(App[None]):
    def compose(self) -> ComposeResult:
        yield RingLog(id="log")

    @property
    def log_pane(self) -> RingLog:
        return self.query_one(RingLog)


def lines(app: App[Any]) -> list[str]:
    return shown(app).splitlines()


async def test_it_follows_the_end_until_a_key_goes_up_and_again_after_end() -> None:
    app = Pane()
    async with app.run_test(size=(40, 10)) as pilot:
        log = app.log_pane
        log.append([f"line {number}" for number in range(100)])
        await pilot.pause()
        assert "line 99" in lines(app)[-1]
        assert log.follow
        await pilot.press("k")
        assert not log.follow
        log.append([f"line {number}" for number in range(100, 150)])
        await pilot.pause()
        assert "line 99" in lines(app)[-1], "it stands still"
        assert "▸" in lines(app)[-2]
        await pilot.press("g")
        assert "▸" in lines(app)[0]
        assert "line 0" in lines(app)[0]
        await pilot.press("ctrl+d", "j")
        assert log.cursor > 3
        await pilot.press("G")
        await pilot.pause()
        assert log.follow
        assert "line 149" in lines(app)[-1]


async def test_new_lines_cost_no_layout_and_nothing_out_of_sight_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Pane()
    async with app.run_test(size=(60, 12)) as pilot:
        log = app.log_pane
        log.append(["x"] * 100)
        await pilot.pause()
        layouts, drawn = [], []
        reflow, draw = app.screen._refresh_layout, log._draw
        monkeypatch.setattr(app.screen, "_refresh_layout", lambda *a, **k: (layouts.append(1), reflow(*a, **k)))
        monkeypatch.setattr(log, "_draw", lambda *a, **k: (drawn.append(a[0]), draw(*a, **k))[1])
        log.append([f"line {number}" for number in range(50_000)])
        await pilot.pause()
        assert "line 49999" in shown(app)
        assert not layouts
        assert 0 < len(drawn) <= 12
        log.follow = False
        await pilot.pause()
        drawn.clear()
        log.append(["out of sight"] * 1000)
        await pilot.pause()
        assert not drawn
        log.styles.height = 5
        await pilot.pause()
        assert layouts, "or this counts none"


async def test_whatever_a_line_holds_it_is_text_and_no_escape_reaches_the_terminal() -> None:
    app = Pane()
    odd = [
        "[/x] [INFO] [bold]",
        "\x1b[31mred\x1b]0;title\x07",
        "a\rb\tc\x00",
        "\u202edlrow שלום",
        "x" * 1_000_000,
        "漢字" * 500,
    ]
    async with app.run_test(size=(50, 10)) as pilot:
        log = app.log_pane
        log.append(odd)
        log.times, log.show_sources = "absolute", True
        for wrap in (False, True):
            log.sight.wrap = wrap
            log.redraw()
            log.action_first()
            await pilot.pause()
            text = shown(app)
            assert "[/x] [INFO] [bold]" in text
            assert r"\x1b[31mred" in text
            assert all(character.isprintable() or character == "\n" for character in text)
            for y in range(log.size.height):
                assert log.render_line(y).cell_length == 50
        log.sight.wrap = False
        log.redraw()
        await pilot.press(*["right"] * 5)
        assert log.render_line(0).cell_length == 50


async def test_a_time_that_nobody_saw_is_told_as_the_latest_it_can_be() -> None:
    app = Pane()
    async with app.run_test(size=(50, 10)) as pilot:
        log = app.log_pane
        clock = time.strftime("%H:%M:%S", time.localtime(time.time() - 60))
        log.buffer.offer(log.buffer.batch_of(["no time", f"{clock} a time", "  more of it"], "job", vague=True))
        log.append(["seen as it came"])
        log.drain()
        log.times = "absolute"
        log.redraw()
        await pilot.pause()
        assert [line[3:4] for line in lines(app)[:4]] == ["≤", " ", " ", " "]


async def test_levels_have_a_sign_beside_their_colour_and_hits_are_pointed_at() -> None:
    app = Pane()
    async with app.run_test(size=(50, 10)) as pilot:
        log = app.log_pane
        log.append(["ERROR: page 3", "WARNING page 4", "page 5"])
        log.pane.set_filter(LogQuery.read("page"))
        log.pane.found.ask(LogQuery.phrase("3"))
        log.redraw()
        await pilot.pause()
        assert [line[:3] for line in lines(app)[:3]] == ["  ✗", "  !", "   "]
        segments = list(log.render_line(0))
        assert [segment.text for segment in segments if segment.style and segment.style.underline] == ["page"]
        assert [segment.text for segment in segments if segment.style and segment.style.reverse] == ["3"]


async def test_a_theme_change_and_a_resize_draw_anew() -> None:
    app = Pane()
    async with app.run_test(size=(50, 10)) as pilot:
        log = app.log_pane
        log.append(["ERROR: page 3"] * 40)
        await pilot.pause()
        dark = log.render_line(0)
        app.theme = "textual-light"
        await pilot.pause()
        assert list(log.render_line(0)) != list(dark)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert log.render_line(0).cell_length == 80
        assert sum("page 3" in line for line in lines(app)) == 24


async def test_clearing_forgets_lines_and_says_what_is_empty() -> None:
    app = Pane()
    async with app.run_test(size=(50, 10)) as pilot:
        log = app.log_pane
        log.empty = "no lines yet"
        log.append(["one"])
        log.clear()
        await pilot.pause()
        assert "no lines yet" in lines(app)[0]
        log.append(["two"])
        await pilot.pause()
        assert "two" in lines(app)[0]


async def test_a_click_puts_the_cursor_on_a_line_and_one_on_the_bar_goes_there() -> None:
    app = Pane()
    async with app.run_test(size=(50, 10)) as pilot:
        log = app.log_pane
        log.append([f"line {number}" for number in range(100)])
        await pilot.pause()
        await pilot.click(RingLog, offset=(5, 2))
        assert log.cursor == 92
        assert not log.follow
        await pilot.click(RingLog, offset=(49, 0))
        assert log.cursor == 0


@pytest.mark.parametrize(
    ("spans", "pieces"),
    [
        ([], ["cdef"]),
        ([(0, 3)], ["c", "def"]),
        ([(3, 5)], ["c", "de", "f"]),
        ([(0, 99)], ["cdef"]),
        ([(2, 4), (3, 6)], ["c", "def"]),
    ],
)
def test_text_is_cut_where_its_style_changes(spans: list[tuple[int, int]], pieces: list[str]) -> None:
    base, hit = Style(), Style(bold=True)
    segments = styled("abcdefgh", base, [(start, end, hit) for start, end in spans], 2, 6)
    joined: list[Segment] = []
    for segment in segments:
        if joined and joined[-1].style == segment.style:
            joined[-1] = Segment(joined[-1].text + segment.text, segment.style)
        else:
            joined.append(segment)
    assert "".join(segment.text for segment in joined) == "cdef"
    if spans != [(2, 4), (3, 6)]:
        assert [segment.text for segment in joined] == pieces
