"""What stands behind a list: cursor and marks, order, and cells fitted to their columns."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from console.models.fitting import fit, layout
from console.models.marks import Marks
from console.models.rows import Column, Row, ordered

COLUMNS = (
    Column("id", 6),
    Column("value", 20, name="value"),
    Column("$/h", 8, name="usd", numeric=True),
    Column("place", 10, min_screen=60),
)
HARD = [*"aé漢字👍🏽\u200d🔥\u0301\u202eא\u0627[/x]\x1b\x07\t\n", "e\u0301", "👩\u200d💻", "❤️"]
WORLD = st.lists(st.sampled_from(HARD)).map("".join)


@given(st.lists(st.tuples(st.sampled_from(["keep", "go", "toggle", "range"]), st.permutations("abcdef")), max_size=20))
def test_whatever_happens_the_cursor_is_on_a_row_and_marks_are_of_rows_that_are_there(
    steps: list[tuple[str, list[str]]],
) -> None:
    marks = Marks()
    for step, keys in steps:
        if step == "keep":
            before = marks.cursor
            order = keys[: ord(keys[0]) % 6]
            marks.keep(order)
            assert before not in order or marks.cursor == before
        elif step == "go":
            marks.go(ord(keys[0]) % 9 - 1)
        elif step == "toggle":
            marks.toggle()
        else:
            marks.mark_range()
        assert (marks.cursor in marks.order) if marks.order else marks.cursor is None
        assert marks.marked <= set(marks.order)
        assert set(marks.targets()) <= set(marks.order)


@given(
    st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.text("aбё1", max_size=2)), max_size=12), st.booleans()
)
def test_sorting_loses_nothing_and_puts_the_missing_last(values: list[float | str | None], reverse: bool) -> None:
    given_rows = [Row(str(at), (Text(""),), {"c": value}) for at, value in enumerate(values)]
    found = ordered(given_rows, [Column("c", 5)], 0, reverse=reverse)
    assert sorted(each.key for each in found) == sorted(each.key for each in given_rows)
    missing = [value is None or value == "" or value != value for value in (each.values["c"] for each in found)]
    assert missing == sorted(missing)
    numbers = [v for v in (each.values["c"] for each in found) if isinstance(v, (int, float)) and v == v]
    assert numbers == sorted(numbers, reverse=reverse)


@given(WORLD, st.integers(1, 40), st.booleans())
@settings(max_examples=300)
def test_a_cell_is_exactly_as_wide_as_its_column_and_what_is_cut_says_so(words: str, width: int, right: bool) -> None:
    plain = fit(Text(words), width, right=right)
    assert isinstance(plain, str)
    assert cell_len(plain) == width
    assert plain.isprintable()
    styled = Text(words)
    styled.stylize("red", 0, 1)
    spanned = fit(styled, width, right=right)
    found = spanned if isinstance(spanned, str) else spanned.plain
    assert cell_len(found) == width
    assert found.isprintable()


@given(st.integers(1, 250), st.integers(20, 250))
def test_columns_never_reach_beyond_the_list(width: int, screen: int) -> None:
    places = layout(COLUMNS, width, screen)
    assert 3 + sum(place.gap + place.width for place in places) <= max(width, 4)
    assert [place.index for place in places] == sorted(place.index for place in places)
    if width >= 3 + 4 + 1 + 4 + 1 + 8:
        assert len(places) >= 3, "words are cut before a column is left out"
