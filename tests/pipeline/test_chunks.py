"""Chunks cover a page's text, overlap a little, and end where the text does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.docparse.chunks import chunks, flow
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
