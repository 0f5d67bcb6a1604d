"""One id for the many ways in which a tag is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tags.canonical import Canonicaliser, base_form
from index.tags.catalog_file import default_catalog
from tests.index.tags.test_tag_catalog import catalog, tag

DEFAULT = Canonicaliser(default_catalog())


@pytest.mark.parametrize(
    ("written", "tag_id", "how"),
    [
        ("Canvas", "Canvas", "id"),
        ("canvas", "Canvas", "folded id"),
        ("Zone=Monetization", "Zone/Monetization", "folded id"),
        ("layer: engagement", "Layer/Engagement", "folded id"),
        ("Pillar / operational excellence", "Pillar/OperationalExcellence", "folded id"),
        ("Надежность", "Pillar/Reliability", "name"),
        ("надёжность", "Pillar/Reliability", "name"),
        ("textbox", "Primitive/TextBox", "name"),
        ("слоями данных", "Layer/Data", "form"),
        ("value propositions", "Strategy/ValueProposition", "form"),
        ("MarketExpansion", "Portfolio/MarketExpansion", "end of id"),
        ("ＮＦＸ", "Zone/NFX", "name"),
    ],
)
def test_a_written_tag_finds_its_id(written: str, tag_id: str, how: str) -> None:
    told = DEFAULT.canonical(written)
    assert (told.tag, told.how) == (tag_id, how)


@pytest.mark.parametrize("written", ["government", "developed", "presently", "", "—", "42"])
def test_what_is_no_form_of_a_name_is_no_tag(written: str) -> None:
    assert DEFAULT.canonical(written).tag is None


def test_what_is_near_by_its_letters_is_only_suggested() -> None:
    told = DEFAULT.canonical("Operational excelence")
    assert told.tag is None
    assert told.suggestions == ("Pillar/OperationalExcellence",)


def test_a_name_of_two_tags_is_neither_but_both_are_suggested() -> None:
    told = Canonicaliser(catalog(tag("A/One", hidden=("twin",)), tag("B/Two", hidden=("twin",)))).canonical("Twin")
    assert told.tag is None
    assert told.suggestions == ("A/One", "B/Two")


def test_a_deprecated_name_stands_for_what_replaced_it() -> None:
    told = Canonicaliser(catalog(tag("A/Old", status="deprecated", replaced_by="A/New"), tag("A/New")))
    assert told.canonical("old").tag == told.canonical("A/Old").tag == "A/New"


def test_a_records_tags_are_sorted_out_and_what_is_none_is_kept_as_it_was_written() -> None:
    told = DEFAULT.canonical_all(["diagram", "Nobody's", "Diagram", "канвас", "Nobody's"])
    assert told.tags == ("Diagram", "Canvas")
    assert told.raw_tags == ("Nobody's",)


@pytest.mark.parametrize(
    ("folded", "base"),
    [("policies", "policy"), ("boxes", "box"), ("access", "access"), ("status", "status"), ("layers", "layer"),
     ("analysis", "analysis"), ("api", "api"), ("слоями", "сло"), ("l1", "l1")],
)  # fmt: skip
def test_english_words_lose_their_plural_and_russian_ones_their_ending(folded: str, base: str) -> None:
    assert base_form(folded) == base


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(default_catalog().active), st.integers(0, 2**32))
def test_every_name_finds_its_tag_however_its_letters_are_cased(one, cased) -> None:  # type: ignore[no-untyped-def]
    for name in (*one.names, one.id):
        written = "".join(c.upper() if cased >> at % 32 & 1 else c for at, c in enumerate(name))
        assert DEFAULT.canonical(f" {written}! ").tag == one.id
