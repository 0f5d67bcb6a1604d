"""Chunks cover a page's text, overlap a little, and end where the text does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.docparse.chunks import chunks, flow, spans_inside
from pipeline.docparse.words import PageText, Word

WORDS = st.lists(st.tuples(st.text("абвxyz.", min_size=1, max_size=40), st.booleans()), min_size=1, max_size=300)


def page(words: list[tuple[str, bool]]) -> PageText:
    block = 0
    made = []
    for text, begins_block in words:
        block += begins_block
        made.append(Word(text, (0, 0, 1, 1), block, 0))
    return PageText(100, 100, 150, made)


@given(WORDS, st.integers(60, 400))
def test_chunks_cover_the_text_without_gap_and_within_bounds(words: list[tuple[str, bool]], size: int) -> None:
    text = flow(page(words))
    made = list(chunks(text, size, size // 8))
    assert made[0].start == 0
    assert made[-1].end == len(text.text)
    for chunk in made:
        assert chunk.text == text.text[chunk.start : chunk.end].rstrip()
        assert chunk.end - chunk.start <= size
    for before, after in pairwise(made):
        assert before.start < after.start <= before.end
        assert before.end - after.start <= size // 8


def test_a_chunk_ends_with_a_paragraph_rather_than_in_one() -> None:
    words = [("слово", index % 20 == 0) for index in range(100)]
    text = flow(page(words))
    for chunk in list(chunks(text, 300, 40))[:-1]:
        assert chunk.end in text.blocks


def test_a_page_without_words_has_no_chunks() -> None:
    assert list(chunks(flow(PageText(10, 10, None, [])))) == []


def sections(*lengths: int) -> tuple[PageText, list[int]]:
    """Paragraphs of so many words, each behind a heading, and the headings' offsets."""
    words = []
    for number, length in enumerate(lengths):
        words += [("Heading", True), (f"{number}", False)]
        words += [("body", at % 30 == 0) for at in range(length)]
    made = page(words)
    text = flow(made)
    return made, [text.starts[at] for at, (word, _) in enumerate(words) if word == "Heading"]


def test_a_chunk_ends_before_a_heading_and_what_begins_with_one_repeats_nothing() -> None:
    made, begins = sections(60, 70, 50, 90)
    text = flow(made)
    found = list(chunks(text, 600, 120, headings=begins))
    for before, after in pairwise(found):
        assert after.start in begins or before.end in text.blocks
        if any(before.start + 300 < begin <= before.start + 600 for begin in begins):
            assert before.end == after.start
            assert after.text.startswith("Heading")


@given(st.lists(st.integers(1, 90), min_size=1, max_size=12), st.integers(120, 700))
def test_no_chunk_ends_right_behind_a_heading(lengths: list[int], size: int) -> None:
    made, begins = sections(*lengths)
    found = list(chunks(flow(made), size, size // 8, headings=begins))
    assert found[-1].end == len(flow(made).text)
    for chunk in found[:-1]:
        assert not chunk.text.splitlines()[-1].startswith("Heading"), chunk.text


def test_a_table_is_left_out_and_no_chunk_or_overlap_crosses_it() -> None:
    cells = [Word(f"cell{at}", (0, 50, 10, 60), 1, 0) for at in range(6)]
    body = [Word(f"word{at}", (0, 0, 10, 10), 0, 0) for at in range(20)]
    rest = [Word(f"more{at}", (0, 90, 10, 99), 2, 0) for at in range(20)]
    made = PageText(100, 100, 150, [*body, *cells, *rest])
    text = flow(made)
    apart = spans_inside(made, text, [(0, 40, 100, 70)])
    assert [text.text[start:end] for start, end in apart] == ["cell0 cell1 cell2 cell3 cell4 cell5"]
    found = list(chunks(text, 80, 20, apart=apart))
    assert not any("cell" in chunk.text for chunk in found)
    assert not any("word" in chunk.text and "more" in chunk.text for chunk in found)
    said = " ".join(chunk.text for chunk in found)
    assert all(f"{name}{at}" in said for name in ("word", "more") for at in range(20))
    assert [text.text[chunk.start : chunk.end].rstrip() for chunk in found] == [chunk.text for chunk in found]


def test_a_page_of_nothing_but_a_table_has_no_running_text() -> None:
    made = PageText(100, 100, 150, [Word("cell", (0, 0, 10, 10), at, 0) for at in range(4)])
    text = flow(made)
    assert list(chunks(text, apart=spans_inside(made, text, [(0, 0, 100, 100)]))) == []
