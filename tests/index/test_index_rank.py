from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from index import words
from index.lexical import nearest_spellings, parse, significant, similarities, typing_errors
from index.rank import is_text, with_text_quota
from index.snippet import snippet
from index.words import fold, folded_words, occurrences, stem


def test_two_of_the_first_five_are_text_even_when_facts_score_higher():
    assert with_text_quota([1, 2, 3, 4, 5, 6, 10, 11], {10, 11})[:5] == [1, 2, 3, 10, 11]


def test_the_quota_leaves_a_list_alone_that_has_enough_text():
    assert with_text_quota([10, 1, 11, 2, 3, 4], {10, 11}) == [10, 1, 11, 2, 3, 4]


def test_the_quota_gives_what_there_is():
    assert with_text_quota([1, 2, 3, 4, 5, 10], {10})[:5] == [1, 2, 3, 4, 10]
    assert with_text_quota([1, 2], set()) == [1, 2]
    assert with_text_quota([], set()) == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), unique=True), st.sets(st.integers(0, 40)))
def test_the_quota_only_moves_rows_and_keeps_the_order_of_each_kind(ranking, text):
    placed = with_text_quota(ranking, text)
    assert sorted(placed) == sorted(ranking)
    for kind in (True, False):
        assert [r for r in placed if (r in text) is kind] == [r for r in ranking if (r in text) is kind]
    present = sum(row in text for row in ranking)
    assert sum(row in text for row in placed[:5]) >= min(2, present)


def test_facts_and_captions_are_visual_and_everything_else_is_text():
    assert [is_text(t) for t in ("NarrativeText", "Table", "Image", "VisualFact", "VisualCaption", "ImageVec")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_words_are_folded_over_case_yo_width_accents_and_soft_hyphens():
    assert fold("ЁЛКА") == fold("елка") == "елка"
    assert fold("и\u0306") == "й"
    assert folded_words("архи\u00adтектура Ｐｌａｔｆｏｒｍ café") == ["архитектура", "platform", "cafe"]
    assert stem("слоев") == stem("слои") == stem("слоями")
    assert stem("layers") == stem("layer")


def test_the_last_word_is_a_prefix_until_something_follows_it():
    assert [term.prefix for term in parse("value sta")] == [None, "sta"]
    assert [term.prefix for term in parse("value stack ")] == [None, None]
    assert [term.prefix for term in parse("value stack?")] == [None, None]
    assert [term.prefix for term in parse("sta value sta")] == ["sta", None]
    assert [term.prefix for term in parse("s")] == ["s"]
    assert [term.prefix for term in parse("value s")] == [None, None]
    assert parse(' "*^ -—') == ()


def test_typing_errors_count_what_fingers_do():
    assert typing_errors("stack", "stack", 2) == 0
    assert typing_errors("stcak", "stack", 2) == 1
    assert typing_errors("stak", "stack", 2) == 1
    assert typing_errors("архетиктура", "архитектура", 2) == 2
    assert typing_errors("abcdef", "uvwxyz", 2) == 3


def test_the_nearest_spelling_wins_and_short_words_allow_one_error():
    def corrected(word, *known, open_end=False):
        return nearest_spellings(word, stem(word), [(stem(one), one) for one in known], open_end=open_end)

    assert corrected("platfrom", "platform", "plateau", "platforms") == ["platform", "platform"]
    assert corrected("custmoers", "customer") == ["custom"]
    assert corrected("архетиктура", "архитектурой") == ["архитектур"]
    assert corrected("stok", "stack") == []
    assert corrected("архет", "архитектура") == []
    assert corrected("архет", "архитектура", open_end=True) == ["архитектур"]


def test_a_snippet_shows_the_stretch_with_most_words_and_marks_them():
    text = "layers " + "x " * 300 + "the value\nstack has four layers " + "y " * 300
    shown = snippet(text, {stem("value"), stem("stack"), stem("layers")})
    marked = [shown.text[start:end] for start, end in shown.matches]
    assert marked == ["value", "stack", "layers"]
    assert shown.text.startswith("…")
    assert shown.text.endswith("…")
    assert "\n" not in shown.text
    assert len(shown.text) <= 242


def test_a_snippet_marks_inflections_and_prefixes_in_the_text_as_written():
    shown = snippet("Слоёв четыре;\x1b[31m СЛОИ и слоение", {stem("слои")}, "слое")
    assert [shown.text[start:end] for start, end in shown.matches] == ["Слоёв", "СЛОИ", "слоение"]
    assert "\x1b" not in shown.text


@settings(deadline=None)
@given(st.text(max_size=400), st.text(max_size=20))
def test_any_text_has_a_snippet_with_ranges_inside_it(text, query):
    terms = parse(query)
    shown = snippet(text, {term.stems[0] for term in terms}, terms[-1].prefix if terms else None, width=60)
    end = 0
    for first, last in shown.matches:
        assert end <= first < last <= len(shown.text)
        end = last


def test_function_words_ask_for_nothing_unless_there_are_no_others():
    assert [term.word for term in significant(parse("Какой была платформа в городе?"))] == ["платформа", "городе"]
    assert [term.word for term in significant(parse("what is the value of it?"))] == ["value"]
    assert [term.word for term in significant(parse("to be or not to be?"))] == ["not"]
    assert [term.word for term in significant(parse("который был где?"))] == ["который", "был", "где"]
    assert [term.word for term in significant(parse("platform wh"))] == ["platform", "wh"]
    assert [term.word for term in significant(parse("platform is"))] == ["platform", "is"], "it may become “island”"


def test_words_count_as_another_by_the_4_grams_that_they_share():
    def weights(word, *known):
        return similarities(word, stem(word), [(stem(one), one) for one in known])

    near = weights("неповиновение", "повиновение", "повиноваться", "платформа")
    assert list(near) == [stem("повиновение"), stem("повиноваться")]
    assert 1 > near[stem("повиновение")] > near[stem("повиноваться")] > 0.08
    assert weights("liqudity", "liquidity")[stem("liquidity")] > 0.2


@settings(deadline=None)
@given(
    st.text(alphabet="еёЕЁaAàÀ\u0301\u00adbж ·—ﬁ1", max_size=40) | st.text(max_size=40),
    st.lists(st.text(alphabet="еёaàbж1f", min_size=1, max_size=4), max_size=3),
    st.none() | st.text(alphabet="еaбfi1", min_size=1, max_size=2),
)
def test_looking_only_at_words_that_begin_right_misses_no_occurrence(text, asked, prefix):
    stems = {stem(one) for word in asked for one in folded_words(word)}
    every = [
        (match.start(), match.end())
        for match in words._WORD.finditer(text)
        if any(
            stem(one) in stems or (prefix is not None and one.startswith(prefix)) for one in folded_words(match.group())
        )
    ]
    assert [(word.start, word.end) for word in occurrences(text, stems, prefix)] == every
