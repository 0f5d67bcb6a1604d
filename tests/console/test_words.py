import pytest
from hypothesis import given
from hypothesis import strategies as st

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
