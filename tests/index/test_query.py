from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.query import KEYS, Token, completed, pages_of, parse_query, token_at


def kinds(text):
    return [("-" if token.negated else "") + f"{token.kind}={token.value}" for token in parse_query(text).tokens]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value stack", ["word=value", "word=stack"]),
        ('"four layers" below', ["phrase=four layers", "word=below"]),
        ("“четыре слоя” ниже", ["phrase=четыре слоя", "word=ниже"]),
        ("stack -canvas", ["word=stack", "-word=canvas"]),
        ('stack -"value stack"', ["word=stack", "-phrase=value stack"]),
        ("value-stack o'brien", ["word=value-stack", "word=o'brien"]),
        ("tag:Layer/* type:VisualFact", ["tag=Layer/*", "type=VisualFact"]),
        ("тег:Слой тип:Table док:карта.pdf стр:3-7 прогон:01k9", [
            "tag=Слой", "type=Table", "doc=карта.pdf", "page=3-7", "run=01k9",
        ]),
        ("-type:Table", ["-type=Table"]),
        ('doc:"two words.pdf" x', ["doc=two words.pdf", "word=x"]),
        ("tag:Canvas:ValueProposition", ["tag=Canvas:ValueProposition"]),
        ("http://x.y words: 12:30", ["word=http://x.y", "word=words:", "word=12:30"]),
        ('colour:"red sky"', ["word=colour:", "phrase=red sky"]),
        ("- -- -", ["word=-", "-word=-", "word=-"]),
    ],
)  # fmt: skip
def test_a_query_is_taken_apart(text, expected):
    assert kinds(text) == expected


def test_what_is_still_being_typed_is_open():
    assert [token.open for token in parse_query("value sta").tokens] == [False, True]
    assert [token.open for token in parse_query("value sta ").tokens] == [False, False]
    assert parse_query('"four lay').tokens[-1].open
    assert not parse_query('"four lay"').tokens[-1].open
    assert parse_query('doc:"two wor').tokens[-1].open
    assert not parse_query('doc:"two words"').tokens[-1].open
    assert parse_query("type:Vis").tokens[-1].open


def test_words_are_what_ranks_and_end_in_a_letter_only_while_the_last_one_is_typed():
    assert parse_query("value sta").words == "value sta"
    assert parse_query("value stack ").words == "value stack "
    assert parse_query("value stack type:Table").words == "value stack "
    assert parse_query('value "four layers" -canvas').words == "value four layers "
    assert parse_query('value "four lay').words == "value four lay"
    assert parse_query("-canvas type:Table").words.strip() == ""


def test_pages_are_numbers_or_ranges_and_anything_else_is_told():
    assert pages_of(parse_query("page:3").tokens[0]) == range(3, 4)
    assert pages_of(parse_query("стр:3-7").tokens[0]) == range(3, 8)
    assert pages_of(parse_query("page:3-").tokens[0]) == range(3, 4)
    assert parse_query("page:3-7").note == ""
    assert parse_query("page:").note == ""
    for wrong in ("page:three", "page:7-3", "page:-1"):
        assert "page:3-7" in parse_query(wrong).note
        assert pages_of(parse_query(wrong).tokens[0]) is None


def test_completion_knows_the_token_under_the_cursor():
    query = parse_query("value tag:Lay")
    assert token_at(query, 0) is None
    assert token_at(query, 3) == query.tokens[0]
    assert token_at(query, len(query.text)) == query.tokens[1]
    assert completed(query, query.tokens[1], "Layer/Engagement") == "value tag:Layer/Engagement"
    assert completed(query, query.tokens[1], "two words") == 'value tag:"two words"'
    assert completed(query, query.tokens[0], "worth") == "worth tag:Lay"


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='abслой"“” -:*tagpage:3', max_size=60))
def test_any_text_is_a_query_whose_tokens_cover_all_but_white_space(text):
    query = parse_query(text)
    covered = [at for token in query.tokens for at in range(token.start, token.end)]
    assert len(covered) == len(set(covered))
    assert all(text[at].isspace() for at in set(range(len(text))) - set(covered))
    assert all(not token.open or token.end == len(text) for token in query.tokens)


@settings(deadline=None)
@given(
    before=st.sampled_from(["", "value ", 'x "a b" ', "-y "]),
    after=st.sampled_from(["", " z", " type:Table"]),
    sign=st.sampled_from(["", "-"]),
    key=st.sampled_from(sorted(KEYS)),
    value=st.text(alphabet="abслой -:/*“.3", min_size=1, max_size=12),
)
def test_a_completed_filter_parses_back_to_its_value(before, after, sign, key, value):
    query = parse_query(f"{before}{sign}{key}:q{after}")
    token = token_at(query, len(before) + 2)
    assert token is not None
    again = parse_query(completed(query, token, value))
    same = token_at(again, token.start + 1)
    assert same is not None
    assert (same.kind, same.value, same.negated) == (KEYS[key], value, bool(sign))
    assert len(again.tokens) == len(query.tokens)


def test_a_token_is_what_was_typed():
    assert parse_query(' -тег:"a b" c').tokens[0] == Token("tag", 1, 11, "a b", "тег", negated=True)
