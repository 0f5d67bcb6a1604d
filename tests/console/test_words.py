import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import language, spoken
from console.models.outcome_words import outcome_words
from console.words import bar, count, duration, size, usd, usd_per_hour


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4s"), (41, "41s"), (59.6, "1m 00s"), (125, "2m 05s"), (7500, "2h 05m"), (273600, "3d 4h")],
)
def test_durations_name_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("amount", "text"), [(0, "$0.00"), (0.0123, "$0.0123"), (1234.5, "$1,234.50")])
def test_money(amount: float, text: str) -> None:
    assert usd(amount) == text


def test_prices_by_the_hour_keep_a_tenth_of_a_cent() -> None:
    assert usd_per_hour(0.2129) == "$0.213/h"


@pytest.mark.parametrize(("bytes_", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")])
def test_sizes(bytes_: int, text: str) -> None:
    assert size(bytes_) == text


def test_counts_agree_with_their_noun() -> None:
    assert count(1, "page") == "1 page"
    assert count(2, "page") == "2 pages"
    assert count(2, "box", "boxes") == "2 boxes"


@given(st.floats(allow_nan=False), st.integers(1, 60))
def test_a_bar_is_always_as_wide_as_asked(fraction: float, width: int) -> None:
    assert len(bar(fraction, width)) == width


@pytest.mark.parametrize(
    ("seconds", "words", "cell"),
    [
        (0.42, "0.4 с", "0.4с"),
        (41, "41 с", "41с"),
        (125, "2 мин 05 с", "2м 05с"),
        (7500, "2 ч 05 мин", "2ч 05м"),
        (273600, "3 д 4 ч", "3д 4ч"),
    ],
)
def test_screens_tell_figures_in_the_language_that_is_spoken(
    seconds: float, words: str, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (spoken.duration(seconds), spoken.brief(seconds)) == (duration(seconds), duration(seconds))
    monkeypatch.setattr(language, "_current", "ru")
    assert (spoken.duration(seconds), spoken.brief(seconds)) == (words, cell)
    assert len(cell) == len(duration(seconds)), "columns are as wide as English needs them"
    assert duration(7500) == "2h 05m", "what programs read stays"


def test_prices_sizes_and_days_are_spoken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    saturday = time.mktime((2026, 11, 21, 14, 4, 0, 0, 0, -1))

    def figures() -> tuple[str, ...]:
        sizes = (spoken.size(1536), spoken.per_second("0.8"), spoken.gigabytes(41.2))
        return (spoken.usd_per_hour(0.2129), *sizes, spoken.weekday_clock(saturday))

    assert figures() == ("$0.213/h", "1.5 KiB", "0.8/s", "41 GB", "Sat 14:04")
    monkeypatch.setattr(language, "_current", "ru")
    assert figures() == ("$0.213/ч", "1.5 КиБ", "0.8/с", "41 ГБ", "сб 14:04")


def test_how_a_run_ended_is_spoken_too_and_what_nobody_of_ours_writes_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = (
        "all 12 pages ok", "all 12 pages ok, 3 rejected", "all 12 pages of shard 1/4 ok",
        "2 of 12 pages failed; the report names each with its reason",
        "stopped with 2 of 12 pages still open; resume goes on from there",
        "limited to the first 5 of 12 pages, all of them ok",
    )  # fmt: skip
    for sentence in (*sentences, "out of memory {n}", ""):
        assert outcome_words(sentence) == sentence
    monkeypatch.setattr(language, "_current", "ru")
    assert outcome_words(sentences[0]) == "все 12 стр. готовы"
    assert all("стр." in outcome_words(sentence) for sentence in sentences)
    assert outcome_words("all 12 pages ok [/x]") == "all 12 pages ok [/x]"
