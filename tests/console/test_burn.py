"""Money in the top line and the sentences of leaving: tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.models.burn import burn_words, leaving
from console.models.fleet import FleetView, GuardView, InstanceView
from remote.money import Money

HOUR = 3600.0
NOW = 1_000_000.0
GUARD = GuardView(NOW + 2 * HOUR, "destroy", 1800.0, "stop", proven=True, problem="")
OURS = InstanceView(
    id=31245, gpu="RTX 4090", state="ready", usd_per_hour=0.4, spent_usd=1.0, started_at=0.0, label="x", location="",
    endpoints=(), message="", run_id="01jrun00aaaabbbb", guard=GUARD, disk_usd_per_hour=0.02,
)  # fmt: skip
MONEY = Money("vast", 1, 0.4, 1.2, 3.4, 10.0, 24.0, 24.0 / 0.4 * HOUR)


def fleet(*instances: InstanceView, money: Money | None = MONEY, **more: object) -> FleetView:
    return FleetView(instances, money=money, heard_at=NOW, now=NOW, **more)  # type: ignore[arg-type]


def test_the_line_names_what_burns_what_today_cost_and_how_long_the_credit_lasts() -> None:
    words = burn_words(fleet(OURS), NOW)
    assert (words.burn, words.today, words.runway, words.alarms) == ("$0.400/h", "today $1.20", "runway 2d 12h", "")
    assert (words.level, words.emulated) == ("ok", False)


@pytest.mark.parametrize(
    ("money", "level", "sign"),
    [
        (replace(MONEY, credit_usd=2.5), "ok", ""),
        (replace(MONEY, credit_usd=2.3), "warning", "▼"),
        (replace(MONEY, credit_usd=0.3), "error", "▼"),
        (replace(MONEY, projected_midnight_usd=10.01), "warning", "▲"),
        (replace(MONEY, cap_usd=9.0, projected_midnight_usd=3.0), "warning", "▲"),
        (replace(MONEY, today_usd=10.0, projected_midnight_usd=11.0), "error", "▲"),
        (replace(MONEY, cap_usd=None, projected_midnight_usd=100.0), "ok", ""),
    ],
)
def test_a_short_runway_and_a_burn_above_the_cap_show_by_word_sign_and_colour(
    money: Money, level: str, sign: str
) -> None:
    words = burn_words(fleet(OURS, money=money), NOW)
    assert words.level == level
    assert (sign in words.burn + words.runway) if sign else not {"▲", "▼"} & set(words.burn + words.runway)


def test_the_burn_counts_orphans_which_no_ledger_does_and_the_runway_with_them() -> None:
    words = burn_words(fleet(OURS, replace(OURS, id=2, standing="orphan", usd_per_hour=3.6)), NOW)
    assert words.burn.startswith("$4.000/h")
    assert words.runway == "runway 6h 00m"
    assert words.alarms == "1 orphan ⚠"


@pytest.mark.parametrize(
    ("view", "alarms"),
    [
        (fleet(replace(OURS, run_id=None)), "1 idle ⚠"),
        (fleet(replace(OURS, run_id=None, since=NOW - 10)), ""),  # it was just rented
        (fleet(replace(OURS, run_id=None, since=NOW - 400)), "1 idle ⚠"),
        (fleet(replace(OURS, run_id=None, since=NOW - 9e3, freed_at=NOW - 60)), ""),  # its run just ended
        (fleet(replace(OURS, run_id=None, since=NOW - 9e3, freed_at=NOW - 400)), "1 idle ⚠"),
        (fleet(replace(OURS, guard=None)), "1 unguarded ⚠"),
        (fleet(replace(OURS, guard=replace(GUARD, proven=False))), "1 unguarded ⚠"),
        (fleet(replace(OURS, standing="foreign", run_id=None, guard=None)), ""),
        (fleet(replace(OURS, state="stopped", run_id=None, guard=None)), ""),
        (fleet(replace(OURS, state="loading", since=NOW - 2 * HOUR)), "1 stuck ⚠"),
        (replace(fleet(OURS), error="no answer", heard_at=NOW - 65), "stale 1m 05s ⚠"),
        (FleetView(error="no answer"), "stale ⚠"),
    ],
)
def test_alarms_are_counted_in_words(view: FleetView, alarms: str) -> None:
    assert burn_words(view, NOW).alarms == alarms


def test_unknown_money_is_no_zero() -> None:
    words = burn_words(FleetView(error="no answer"), NOW)
    assert (words.burn, words.today, words.runway, words.level) == ("", "", "", "warning")
    nothing_burns = replace(MONEY, burn_usd_per_hour=0.0, runway_s=None)
    assert burn_words(fleet(money=nothing_burns), NOW).runway == "credit $24.00"


def test_leaving_names_every_machine_its_price_its_end_and_what_it_will_have_cost_by_then() -> None:
    (sentence,) = leaving(fleet(OURS), NOW)
    assert sentence.startswith("31245 (RTX 4090) at $0.400/h: run aaaabbbb works on it; it destroys itself ")
    assert "in 2h 00m, at $1.80 in all, or after 30m 00s of idleness" in sentence


@pytest.mark.parametrize(
    ("instance", "says"),
    [
        (replace(OURS, guard=None), "NOTHING ends its bill"),
        (replace(OURS, guard=replace(GUARD, proven=False)), "NOTHING ends its bill"),
        (replace(OURS, state="stopped"), "at $0.020/h: stopped, and its disk costs on without end"),
        (replace(OURS, standing="orphan"), "an orphan, and nothing ends its bill"),
        (replace(OURS, run_id=None, guard=replace(GUARD, action="stop", idle_s=None)), "no run; it stops itself"),
    ],
)
def test_leaving_says_so_when_nothing_ends_a_bill(instance: InstanceView, says: str) -> None:
    assert says in leaving(fleet(instance), NOW)[0]


def test_leaving_is_silent_only_when_it_is_known_that_nothing_costs_money() -> None:
    assert leaving(fleet(), NOW) == []
    assert leaving(fleet(replace(OURS, standing="foreign")), NOW) == []
    assert "nobody here knows" in leaving(FleetView(error="no answer"), NOW)[0]
    assert "as it was last known" in leaving(replace(fleet(OURS), error="no answer"), NOW)[-1]
