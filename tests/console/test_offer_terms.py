"""What is typed behind `:offers`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.models.offer_terms import Terms, TermsError, card_name, parse_terms, price_in, price_typed, with_price


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", Terms()),
        ("B", Terms(profile="B")),
        ("b <0.6", Terms(profile="B", max_usd_per_hour=0.6)),
        ("gpu=4090 n=1 <$.6/h", Terms(gpu=("RTX 4090",), gpu_count=1, max_usd_per_hour=0.6)),
        ("gpu=rtx_3090ti,a100_sxm4", Terms(gpu=("RTX 3090 Ti", "A100 SXM4"))),
        ("every=15m", Terms(every_s=900)),
        ("vram=24 disk=80 hours=2.5 unverified", Terms(gpu_ram_gb=24, disk_gb=80, hours=2.5, unverified=True)),
    ],
)
def test_what_is_typed_behind_offers(text: str, terms: Terms) -> None:
    assert parse_terms(text, ["A", "B"]) == terms


@pytest.mark.parametrize(
    "text", ["Z", "gpu=", "n=0", "n=two", "disk=-5", "<0", "hours=nan", "every=m", "every=-1h", "what=ever"]
)
def test_what_cannot_be_understood_is_named(text: str) -> None:
    with pytest.raises(TermsError, match=text.replace("<", "<")):
        parse_terms(text, ["A", "B"])


@given(st.text("aAB gpuevryn=490,<$.%xхsm", max_size=12))
def test_terms_are_understood_or_refused_and_said_again_they_are_the_same(text: str) -> None:
    try:
        terms = parse_terms(text, ["A", "B"])
    except TermsError as error:
        reason = str(error)
    else:
        reason = "none"
        again = parse_terms(" ".join((terms.profile or "A", *terms.words)), ["A", "B"])
        assert replace(again, profile=terms.profile) == terms
    assert reason


def test_cards_are_called_as_the_market_calls_them() -> None:
    assert [card_name(each) for each in ("4090", "rtx4090", "RTX_4080s", "4070 ti", "H100 SXM", "4090d")] == [
        "RTX 4090", "RTX 4090", "RTX 4080S", "RTX 4070 Ti", "H100 SXM", "RTX 4090D",
    ]  # fmt: skip


def test_the_price_cap_can_be_taken_out_of_the_terms_and_put_in() -> None:
    assert with_price("B <0.6 gpu=4090", 0.5) == "B gpu=4090 <0.5"
    assert with_price("B <0.6", None) == "B"
    assert (price_in("B <0.6"), price_in("B")) == (0.6, None)
    assert (price_typed(" $0.5/h "), price_typed("")) == (0.5, None)
    with pytest.raises(TermsError, match="cheap"):
        price_typed("cheap")
