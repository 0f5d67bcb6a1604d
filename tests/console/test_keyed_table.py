from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import Input

from console.models.rows import Column, Row
from console.widgets.keyed_table import KeyedTable
from console.widgets.table_lines import TableLines

COLUMNS = (
    Column("id", 6),
    Column("value", 20, name="value"),
    Column("$/h", 8, name="usd", numeric=True),
    Column("place", 10, min_screen=60),
)


def row(key: str, value: str = "", usd: float | None = None, **more: bool) -> Row:
    price = "" if usd is None else f"${usd:.3f}/h"
    return Row(key, (Text(key), Text(value or f"v {key}"), Text(price), Text("Iceland")), {"usd": usd}, **more)


def rows(*keys: str) -> list[Row]:
    return [row(key) for key in keys]


class Table(App[None]):
    def __init__(self, first: Sequence[Row] = ()) -> None:
        super().__init__()
        self.first = first
        self.opened: list[str] = []
        self.went: list[str | None] = []

    def compose(self) -> ComposeResult:
        yield KeyedTable(COLUMNS)

    def on_mount(self) -> None:
        self.table.show(self.first, "")
        self.table.focus_rows()

    @property
    def table(self) -> KeyedTable:
        return self.query_one(KeyedTable)

    @property
    def lines(self) -> list[str]:
        inside = self.query_one(TableLines)
        return [inside.render_line(y).text for y in range(inside.size.height)]

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        self.opened.append(event.key)

    def on_keyed_table_highlighted(self, event: KeyedTable.Highlighted) -> None:
        self.went.append(event.key)


# ---- the cursor and the marks ----


async def test_the_cursor_stays_on_its_row_when_rows_come_go_and_move() -> None:
    app = Table(rows("a", "b", "c", "d"))
    async with app.run_test() as pilot:
        await pilot.press("down", "j")
        assert app.table.cursor_key == "c"
        app.table.show(rows("x", "c", "a"), "")
        assert app.table.cursor_key == "c"
        app.table.show(rows("d", "a", "x", "c"), "")
        assert app.table.cursor_key == "c"
        app.table.show([], "")
        assert app.table.cursor_key is None
        assert app.table.targets() == ()


async def test_a_removed_rows_cursor_goes_to_the_row_that_took_its_place_and_says_so_once() -> None:
    app = Table(rows("a", "b", "c", "d"))
    async with app.run_test() as pilot:
        await pilot.press("down")
        app.table.show(rows("a", "c", "d"), "")
        app.table.show(rows("a", "c", "d"), "again")
        assert app.table.cursor_key == "c"
        app.table.show(rows("a"), "")
        assert app.table.cursor_key == "a"
        await pilot.pause()
        assert app.went == ["a", "b", "c", "a"]


async def test_keys_move_by_rows_pages_and_to_the_ends_and_the_cursor_is_always_on_screen() -> None:
    keys = [f"k{number:03}" for number in range(100)]
    app = Table(rows(*keys))
    async with app.run_test(size=(80, 12)) as pilot:
        page = app.query_one(TableLines).size.height - 2
        for pressed, place in (
            ("G", 99), ("k", 98), ("up", 97), ("g", 0), ("ctrl+d", page), ("pagedown", 2 * page), ("ctrl+u", page),
            ("pageup", 0), ("k", 0), ("end", 99), ("j", 99), ("home", 0), ("down", 1),
        ):  # fmt: skip
            await pilot.press(pressed)
            assert app.table.cursor_key == keys[place], pressed
            assert any(line.strip().startswith(keys[place]) for line in app.lines), pressed


async def test_marks_belong_to_keys_and_targets_come_in_the_order_of_the_rows() -> None:
    app = Table(rows("a", "b", "c", "d"))
    async with app.run_test() as pilot:
        assert app.table.targets() == ("a",)
        await pilot.press("space", "down", "down", "space")
        app.table.show(rows("d", "c", "b", "a"), "")
        assert app.table.targets() == ("c", "a")
        assert sum("●" in line for line in app.lines) == 2
        app.table.show(rows("d", "b", "a"), "")
        assert app.table.targets() == ("a",)
        app.table.show(rows("d", "c", "b", "a"), "")
        assert app.table.targets() == ("a",), "a row that left comes back unmarked"
        assert app.table.step_out()
        assert app.table.targets() == (app.table.cursor_key,)
        assert not app.table.step_out()


async def test_a_range_reaches_from_the_last_mark_to_the_cursor() -> None:
    app = Table(rows("a", "b", "c", "d", "e"))
    async with app.run_test() as pilot:
        await pilot.press("down", "space", "down", "down", "V")
        assert app.table.targets() == ("b", "c", "d")
        await pilot.press("g", "V")
        assert app.table.targets() == ("a", "b", "c", "d")


async def test_hidden_marks_are_no_targets_and_the_note_says_so() -> None:
    app = Table([row("a"), row("b", problem=True), row("c")])
    async with app.run_test() as pilot:
        await pilot.press("space", "down", "space", "exclamation_mark")
        assert app.table.targets() == ("b",)
        assert "1 of 3" in app.table.note
        assert "2 marked (1 hidden, left alone)" in app.table.note
        app.table.only_problems = False
        assert app.table.targets() == ("a", "b")


# ---- opening, mouse ----


async def test_enter_opens_the_row_under_the_cursor_by_its_key() -> None:
    app = Table(rows("a", "b"))
    async with app.run_test() as pilot:
        await pilot.press("down", "enter")
        assert app.opened == ["b"]


async def test_a_click_moves_the_cursor_a_second_opens_and_a_heading_sorts() -> None:
    app = Table([row("a", usd=2.0), row("b", usd=1.0)])
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.click(TableLines, offset=(5, 2))
        assert (app.table.cursor_key, app.opened) == ("b", [])
        await pilot.click(TableLines, offset=(5, 2), times=2)
        assert app.opened == ["b"]
        price = app.lines[0].index("$/h")
        await pilot.click(TableLines, offset=(price, 0))
        assert [each.key for each in app.table.rows] == ["b", "a"]
        await pilot.click(TableLines, offset=(price, 0))
        assert [each.key for each in app.table.rows] == ["a", "b"]
        await pilot.click(TableLines, offset=(5, 2), control=True)
        assert app.table.marked == {"b"}
        assert app.table.cursor_key == "b"


# ---- sorting ----


async def test_sorting_is_by_number_stable_and_what_has_no_value_comes_last_either_way() -> None:
    app = Table([row("a", usd=10.0), row("b"), row("c", usd=9.0), row("d", usd=10.0)])
    async with app.run_test() as pilot:
        await pilot.press("greater_than_sign", "greater_than_sign", "greater_than_sign")
        assert [each.key for each in app.table.rows] == ["c", "a", "d", "b"]
        assert "$/h↑" in app.lines[0]
        assert "sort $/h↑" in app.table.note
        await pilot.press("circumflex_accent")
        assert [each.key for each in app.table.rows] == ["a", "d", "c", "b"]
        assert "$/h↓" in app.lines[0]
        await pilot.press("less_than_sign", "less_than_sign", "less_than_sign")
        assert [each.key for each in app.table.rows] == ["a", "b", "c", "d"], "the view's own order"
        assert "sort" not in app.table.note


# ---- filtering ----


async def test_the_filter_narrows_as_it_is_typed_arrows_still_move_and_escape_brings_all_back() -> None:
    app = Table(rows("alpha", "beta", "alps"))
    async with app.run_test() as pilot:
        await pilot.press("slash", *"alp", "down")
        assert [each.key for each in app.table.rows] == ["alpha", "alps"]
        assert app.table.cursor_key == "alps"
        assert app.table.note.startswith("2 of 3")
        await pilot.press("enter", "j")
        assert app.query_one(TableLines).has_focus
        assert app.query_one(Input).display
        assert app.table.step_out()
        await pilot.pause()
        assert len(app.table.rows) == 3
        assert not app.query_one(Input).display
        assert not app.table.step_out()


async def test_a_filter_that_makes_no_sense_says_so_and_hides_nothing() -> None:
    app = Table(rows("alpha", "beta"))
    async with app.run_test():
        app.table.set_filter("plase:x")
        assert len(app.table.rows) == 2
        assert "place" in app.table.note
        app.table.set_filter("usd<0.6 !beta")
        assert app.table.note.startswith("0 of 2")
        app.table.set_filter("")
        assert app.table.note == ""


async def test_problems_only_and_back() -> None:
    app = Table([row("a"), row("b", problem=True)])
    async with app.run_test() as pilot:
        assert sum(line.startswith(" ! ") for line in app.lines) == 1
        await pilot.press("exclamation_mark")
        assert [each.key for each in app.table.rows] == ["b"]
        assert "problems only" in app.table.note
        assert app.table.step_out()
        assert len(app.table.rows) == 2


async def test_what_is_on_screen_can_be_exported_with_its_values() -> None:
    app = Table([row("a", usd=0.5), row("b"), row("c", usd=2.0)])
    async with app.run_test(size=(40, 12)):
        app.table.set_filter("!b")
        listing = app.table.listing("things")
        assert listing.columns == ("id", "value", "usd", "place")
        assert listing.rows == (("a", "v a", 0.5, "Iceland"), ("c", "v c", 2, "Iceland"))


# ---- drawing ----


async def test_only_lines_that_look_otherwise_are_painted_again() -> None:
    app = Table(rows("a", "b", "c"))
    async with app.run_test() as pilot:
        await pilot.pause()
        inside = app.query_one(TableLines)
        painted: list[int] = []
        render = inside.render_line

        def counting(y: int):  # type: ignore[no-untyped-def]
            painted.append(y)
            return render(y)

        inside.render_line = counting  # type: ignore[method-assign]
        app.table.show([row("a"), row("b", "other"), row("c")], "")
        await pilot.pause()
        assert painted == [2]
        painted.clear()
        await pilot.press("down")
        assert sorted(painted) == [1, 2]
        painted.clear()
        recoloured = Row("c", (Text("c"), Text("v c", style="bold red"), Text(""), Text("Iceland")), {"usd": None})
        app.table.show([row("a"), row("b", "other"), recoloured], "")
        await pilot.pause()
        assert painted == [3], "another colour is another look"


async def test_the_ground_of_the_cursor_reaches_under_the_signs_and_a_long_note_says_that_it_is_cut() -> None:
    app = Table([row("a", problem=True)])
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press("space")
        strip = app.query_one(TableLines).render_line(1)
        assert strip.text.startswith("●! a")
        assert len({segment.style.bgcolor for segment in strip if segment.style is not None}) == 1
        app.table.put_note("much to say " * 9)
        await pilot.pause()
        assert app.screen._compositor.render_strips()[-1].text.rstrip().endswith("…")


async def test_stale_rows_are_dimmed_and_have_a_sign() -> None:
    app = Table([row("a", stale=True), row("b")])
    async with app.run_test():
        inside = app.query_one(TableLines)
        assert inside.render_line(1).text.startswith(" ~ a")
        styles = [segment.style for segment in inside.render_line(1) if segment.text.strip()]
        assert all(style is not None and style.dim for style in styles)


@pytest.fixture
def no_color() -> Iterator[None]:
    os.environ["NO_COLOR"] = "1"
    yield
    os.environ.pop("NO_COLOR", None)


@pytest.mark.usefixtures("no_color")
async def test_without_colour_the_cursor_is_reversed_and_marks_have_a_sign() -> None:
    app = Table(rows("a", "b"))
    async with app.run_test() as pilot:
        await pilot.press("space")
        strip = app.query_one(TableLines).render_line(1)
        assert strip.text.startswith("●")
        assert all(segment.style is not None and segment.style.reverse for segment in strip)
        assert not any(segment.style and segment.style.reverse for segment in app.query_one(TableLines).render_line(2))


@pytest.mark.parametrize(("width", "shown"), [(30, "id value usd"), (50, "id value usd"), (70, "id value usd place")])
async def test_narrow_screens_show_fewer_columns(width: int, shown: str) -> None:
    app = Table(rows("a"))
    async with app.run_test(size=(width, 10)) as pilot:
        assert " ".join(app.table.shown_columns) == shown
        await pilot.resize_terminal(100, 10)
        await pilot.pause()
        assert " ".join(app.table.shown_columns) == "id value usd place"


async def test_words_from_the_world_are_no_markup_and_no_escape_reaches_the_screen() -> None:
    app = Table([Row("k", (Text("[/x]"), Text("\x1b[31mred\x1b[0m"), Text("1"), Text("\u202eevil")))])
    async with app.run_test():
        app.table.show(app.first, "[/note]")
        assert app.table.note == "[/note]"
        assert "[/x]" in app.lines[1]
        assert "\\x1b[31mred" in app.lines[1]
        assert all(line.isprintable() for line in app.lines)


async def test_the_list_holds_ten_thousand_rows_and_shrinks_under_the_cursor() -> None:
    app = Table([row(str(number), usd=number / 7) for number in range(10_000)])
    async with app.run_test() as pilot:
        await pilot.press("G")
        assert app.table.cursor_key == "9999"
        app.table.show(rows("1", "2"), "")
        await pilot.pause()
        assert app.table.cursor_key == "2"
        assert [line.strip()[:1] for line in app.lines[1:4]] == ["1", "2", ""]


# ---- without rows ----


async def test_words_stand_in_the_place_of_rows_that_are_not_there() -> None:
    app = Table()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.show([], "no run yet, and a note that is longer than forty cells")
        await pilot.pause()
        assert [line.strip() for line in app.lines[2:4]] == [
            "no run yet, and a note that is",
            "longer than forty cells",
        ]
        assert app.table.note == "", "it is said once"
        app.table.show([], "nothing", "Nothing.\n\nn  shows [/x]\x1b[2J")
        await pilot.pause()
        assert [line.strip() for line in app.lines[2:5]] == ["Nothing.", "", "n  shows [/x]\\x1b[2J"]
        assert app.table.note == "nothing"
        app.table.show(rows("a"), "one")
        await pilot.pause()
        assert "Nothing." not in "".join(app.lines)
        app.table.set_filter("zzz")
        await pilot.pause()
        assert [line.strip() for line in app.lines[2:4]] == ["No row is left: esc shows all", "again."]
        assert app.table.step_out()
        assert app.table.rows


async def test_where_words_have_no_room_under_the_header_the_line_below_says_them() -> None:
    app = Table()
    async with app.run_test(size=(40, 3)) as pilot:
        app.table.show([], "no run yet")
        await pilot.pause()
        assert app.table.note == "no run yet"
