import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import DataTable, Input, Static

from console.widgets.keyed_table import Column, KeyedTable, Row


def rows(*keys: str, value: str = "v") -> list[Row]:
    return [Row(key, (Text(key), Text(f"{value} {key}"))) for key in keys]


class Table(App[None]):
    opened: str | None = None

    def compose(self) -> ComposeResult:
        yield KeyedTable([Column("id", 6), Column("value", 20, min_screen=60)])

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        self.opened = event.key


async def test_the_cursor_stays_on_its_row_when_rows_come_go_and_move() -> None:
    app = Table()
    async with app.run_test() as pilot:
        table = app.query_one(KeyedTable)
        table.show(rows("a", "b", "c", "d"), "")
        table.focus_rows()
        await pilot.press("down", "down")
        assert table.cursor_key == "c"
        table.show(rows("x", "c", "a"), "")
        assert table.cursor_key == "c"
        table.show(rows("d", "a", "x", "c"), "")
        assert table.cursor_key == "c"


async def test_enter_opens_the_row_under_the_cursor_by_its_key() -> None:
    app = Table()
    async with app.run_test() as pilot:
        table = app.query_one(KeyedTable)
        table.show(rows("a", "b"), "")
        table.focus_rows()
        await pilot.press("down", "enter")
        assert app.opened == "b"


async def test_the_filter_hides_rows_as_it_is_typed_and_escape_like_closing_brings_them_back() -> None:
    app = Table()
    async with app.run_test() as pilot:
        table = app.query_one(KeyedTable)
        table.show(rows("alpha", "beta", "alps"), "all")
        table.open_filter()
        await pilot.press(*"alp")
        assert app.query_one(DataTable).row_count == 2
        assert "2 of 3" in str(app.query_one(".note", Static).render())
        assert table.close_filter()
        await pilot.pause()
        assert app.query_one(DataTable).row_count == 3
        assert not table.close_filter()
        assert not app.query_one(Input).display


async def test_text_from_the_world_is_not_markup() -> None:
    app = Table()
    async with app.run_test() as pilot:
        table = app.query_one(KeyedTable)
        table.show([Row("k", (Text("[/x]"), Text("[red]not red")))], "[/note]")
        await pilot.pause()
        assert "[/note]" in str(app.query_one(".note", Static).render())


async def test_narrow_screens_show_fewer_columns() -> None:
    app = Table()
    async with app.run_test(size=(50, 10)):
        app.query_one(KeyedTable).show(rows("a"), "")
        assert len(app.query_one(DataTable).columns) == 1


@pytest.mark.parametrize(
    ("words", "found"), [(["alp"], True), (["alp", "v"], True), (["!alp"], False), (["!zzz"], True), (["!"], False)]
)
def test_a_row_matches_when_all_words_agree(words: list[str], found: bool) -> None:
    assert rows("alpha")[0].matches(words) is found


@given(st.lists(st.text(min_size=1)))
def test_no_filter_raises(words: list[str]) -> None:
    assert rows("alpha")[0].matches(words) in (True, False)
