from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from console.models.filter import FilterError, folded, quoted, tokens
from console.models.rows import Column, Row, filter_of, names_of

COLUMNS = (
    Column("id", 8),
    Column("GPU", 16),
    Column("$/h", 8, name="usd", numeric=True),
    Column("up", 7, name="age"),
    Column("регион", 10, name="region"),
)


def row(key: str, gpu: str, usd: float | None, age_s: float | None, region: str, **values: str | float) -> Row:
    price = "–" if usd is None else f"${usd:.3f}/h"
    cells = (Text(key), Text(gpu), Text(price), Text("–" if age_s is None else f"{age_s / 3600:.0f}h"), Text(region))
    return Row(key, cells, {"usd": usd, "age": age_s, **values})


ROWS = (
    row("101", "RTX 4090", 0.41, 7200.0, "Исландия", state="idle"),
    row("102", "2× RTX 4090", 0.8, 60.0, "US, Texas", state="running"),
    row("103", "RTX 5090", None, None, "Орёл", state="running"),
    row("104", "A100 SXM4", 1.2, 90_000.0, 'a "quoted" place', state="idle", usd_30=864.0),
)


def found(text: str) -> str:
    return " ".join(each.key for each in filter_of(text, COLUMNS, names_of(ROWS)).kept(ROWS))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", "101 102 103 104"),
        ("4090", "101 102"),
        ("rtx 90", "101 102 103"),
        ("rtx !4090", "103"),
        ("!!4090", "101 102"),
        ('"RTX 4090"', "101 102"),
        ('"rtx 5090" исландия', ""),
        ("ИСЛАНДИЯ", "101"),
        ("орел", "103"),
        ("ОРЁЛ", "103"),
        ("~rx49", "101 102"),
        ("~94xr", ""),
        ("~tsdr", ""),
        ("!~rx49", "103 104"),
        ("gpu:4090", "101 102"),
        ("GPU=4090", "101 102"),
        ('gpu:"rtx 5"', "103"),
        ("gpu:~a0x", "104"),
        ("gpu:/^rtx/", "101 103"),
        ("gpu:=a100", ""),
        ('gpu:="a100 sxm4"', "104"),
        ("регион:тех", ""),
        ("region:texas", "102"),
        ("state:idle", "101 104"),
        ("state:=running usd<1", "102"),
        ("usd<0.6", "101"),
        ("usd<=.41", "101"),
        ("usd>$1", "104"),
        ("$/h>1", "104"),
        ("!usd>1", "101 102 103"),
        ("usd:=0.8", "102"),
        ("usd_30>800", "104"),
        ("id>=103", "103 104"),
        ("age>1h", "101 104"),
        ("age<5m", "102"),
        ("age>1d", "104"),
        ("/(40|50)90/", "101 102 103"),
        ("/ rtx/", "102"),
        ("/^2×.*90$/ us", "102"),
        ("/4090", "101 102"),
        ("!/rtx/", "104"),
        ('"\\"quoted\\""', "104"),
        ("!", "101 102 103 104"),
        ("~", "101 102 103 104"),
        ("/", "101 102 103 104"),
        ("gpu:", "101 102 103 104"),
        ("usd<", "101 102 103 104"),
        ("usd<$", "101 102 103 104"),
        ('"', "101 102 103 104"),
        ('"4090', "101 102"),
        ("12:30", ""),
    ],
)
def test_what_a_filter_keeps(text: str, keys: str) -> None:
    assert found(text) == keys


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpo:4090", "do you mean gpu?"),
        ("zzzzzz:1", "there are id, gpu, usd"),
        ("usd<cheap", "cheap is not a number"),
        ("/(/", "is not a regular expression"),
        ("gpu:/[/", "is not a regular expression"),
        ("<0.6", "needs a column before it"),
    ],
)
def test_what_cannot_be_understood_is_said_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(FilterError, match=words.replace("?", r"\?")) as caught:
        found(text)
    assert "\n" not in str(caught.value)


TYPED = st.text(st.sampled_from('ab4ё!~/:=<>"\\ $%.(|)[*gpuusd0-'), max_size=14)


@given(TYPED)
@settings(max_examples=500)
def test_whatever_is_typed_is_a_filter_or_one_sentence(text: str) -> None:
    try:
        kept = filter_of(text, COLUMNS, names_of(ROWS)).kept(ROWS)
    except FilterError as error:
        kept, reason = [], str(error)
    else:
        reason = "none"
    assert reason
    assert [each for each in ROWS if each in kept] == kept


@given(TYPED)
@settings(max_examples=300)
def test_every_term_and_its_inverse_share_the_rows_out(text: str) -> None:
    if len(tokens(text)) != 1 or text.strip().startswith("!"):
        return
    try:
        kept = {each.key for each in filter_of(text, COLUMNS).kept(ROWS)}
        left = {each.key for each in filter_of("!" + text.strip(), COLUMNS).kept(ROWS)}
    except FilterError:
        return
    everything = {each.key for each in ROWS}
    assert kept | left == everything
    assert not kept & left or (kept == left == everything), "a term that is not finished keeps everything, both ways"


@given(st.lists(st.sampled_from(["4090", "!us", "usd<1", "~rx", "gpu:/90/", '"rtx "']), max_size=5), st.randoms())
def test_the_order_of_terms_makes_no_difference_and_each_narrows(terms: list[str], chance: object) -> None:
    kept = set(found(" ".join(terms)).split())
    mixed = list(terms)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert set(found(" ".join(mixed)).split()) == kept
    for term in terms:
        assert kept <= set(found(term).split())


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_a_quoted_word_finds_itself_whatever_characters_it_has(word: str) -> None:
    here = Row("k", (Text("before " + word + " behind"),))
    asked = filter_of(quoted(word), [Column("c", 5)])
    assert asked.matches(here) or not folded(word).strip()
    assert len(tokens(quoted(word))) == 1


@given(st.text("abcё漢", max_size=8), st.text("abcё漢", max_size=12))
def test_fuzzy_is_letters_in_their_order(letters: str, words: str) -> None:
    def in_order() -> bool:
        rest = iter(folded(words))
        return all(letter in rest for letter in folded(letters))

    here = Row("k", (Text(words),))
    assert filter_of("~" + letters, [Column("c", 5)]).matches(here) == in_order()


def test_a_fuzzy_search_that_fails_takes_no_longer_than_one_that_succeeds() -> None:
    """Letters that come again and again must not be tried in every combination: this would never end."""
    here = Row("k", (Text("a" * 3_000),))
    assert not filter_of("~" + "a" * 40 + "b", [Column("c", 5)]).matches(here)
