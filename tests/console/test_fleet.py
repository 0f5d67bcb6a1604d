"""The fleet as cells, lines and sentences: tables of cases, no screen and no cloud needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.terminal_theme import TerminalTheme

from console.models.fleet import FleetView, GuardView, InstanceView, Load, Work, guard_view
from console.models.fleet_words import (
    fleet_note,
    guard_sentence,
    guard_word,
    loss_of,
    rent_refusal,
    spent_word,
    state_word,
    stopped_sentence,
)
from console.screens.fleet_rows import COLUMNS, fleet_row, instance_card, money_lines
from console.theme import DARK_NAMES, LIGHT_NAMES
from remote.money import Money

HOUR, DAY = 3600.0, 86400.0
GUARD = GuardView(ends_at=1000.0 + 2 * DAY, action="destroy", idle_s=HOUR, idle_action="stop", proven=True, problem="")
OURS = InstanceView(
    id=1795235194, gpu="RTX 3090", state="ready", usd_per_hour=0.149, spent_usd=0.0123, started_at=100.0,
    label="spotter-op-x", location="Poland, PL", endpoints=("direct 127.0.0.1:22", "proxy 127.0.0.1:23"), message="",
    run_id=None, guard=GUARD,
)  # fmt: skip
MONEY = Money("vast", 1, 0.149, 1.2, 3.4, 10.0, 24.0, 24.0 / 0.149 * HOUR)


WORK = Work("01jtestrun00000000abcdefgh", "docparse", "running", 3, 12, 77, 990.0, 995.0, ("one", "two\x1b[31m[/x]"))
LOAD = Load(995.0, gpu=(0.1, 0.97), vram=(0.5, 0.6), span_s=60.0, vram_used_mb=12288, vram_total_mb=24576,
            temperature_c=71.0, power_w=350.0, cpu=(0.4,), ram=(0.2,), disk=0.5, disk_free_gb=20.0)  # fmt: skip


def cells_of(view: InstanceView, now: float = 160.0, wall_now: float = 1000.0) -> dict[str, str]:
    cells = fleet_row(view, now, wall_now).cells
    return {column.called: cell.plain for column, cell in zip(COLUMNS, cells, strict=True)}


@pytest.mark.parametrize(
    ("standing", "word"), [("ours", "ready"), ("orphan", "orphan"), ("foreign", "foreign"), ("missing", "not listed")]
)
def test_whose_an_instance_is_comes_before_how_it_does(standing: str, word: str) -> None:
    view = replace(OURS, standing=standing)  # type: ignore[arg-type]
    assert state_word(view) == word
    assert cells_of(view)["state"] == word


def test_an_instance_shows_its_whole_id_price_time_and_guard() -> None:
    cells = cells_of(OURS)
    assert [cells[name] for name in ("id", "gpu", "state", "usd", "spent", "guard", "age", "run")] == [
        "1795235194", "RTX 3090", "ready", "0.149", "$0.0123", "2d 0h", "1m 00s", "–",
    ]  # fmt: skip
    assert [cells[name] for name in ("util", "vram", "temp", "for", "label")] == ["–"] * 5


def test_figures_of_a_box_are_shown_while_they_are_of_now() -> None:
    cells = cells_of(replace(OURS, load=LOAD, since=100.0, note="the big one"))
    assert [cells[name] for name in ("util", "vram", "temp", "for", "label")] == [
        "▂▂▂██ 97%", "60%", "71°", "1m 00s", "the big one",
    ]  # fmt: skip
    assert cells_of(replace(OURS, load=LOAD), wall_now=1100.0)["util"] == "–"


def test_a_row_says_why_its_machine_gets_nowhere_or_how_far_its_run_is() -> None:
    stuck = replace(OURS, state="loading", since=-9000.0)
    assert cells_of(stuck)["state"] == "slow load ⚠"
    assert fleet_row(stuck, 160.0, 1000.0).problem
    assert cells_of(replace(OURS, work=WORK, run_id=WORK.run_id))["state"] == "works 25%"
    assert not fleet_row(OURS, 160.0, 1000.0).problem
    assert fleet_row(replace(OURS, guard=replace(GUARD, proven=False)), 160.0, 1000.0).problem


def test_the_filter_knows_what_the_columns_round_or_leave_out() -> None:
    values = fleet_row(replace(OURS, load=LOAD, since=100.0), 460.0, 1000.0).values
    assert (values["usd"], values["gpu"], values["whose"], values["for"]) == (0.149, "RTX 3090", "ours", 360.0)
    assert (values["guard"], values["idle"], values["stuck"]) == (2 * DAY, "idle", None)
    assert values["util"] == pytest.approx(97.0)


def test_a_stale_row_is_marked_so_and_a_stopped_one_shows_the_price_of_its_disk() -> None:
    assert fleet_row(replace(OURS, stale=True), 160.0, 1000.0).stale
    assert cells_of(replace(OURS, state="stopped", disk_usd_per_hour=0.012))["usd"] == "0.012"


def test_somebody_elses_instance_shows_nothing_that_only_its_owner_knows() -> None:
    cells = cells_of(replace(OURS, standing="foreign", guard=None))
    assert (cells["spent"], cells["guard"]) == ("–", "–")


def test_what_the_world_says_cannot_move_the_cursor_or_be_taken_for_markup() -> None:
    nasty = "[/x]\x1b[2J\u202e"
    view = replace(OURS, gpu=nasty, location=nasty, label=nasty, note=nasty, message=nasty, image=nasty,
                   endpoints=(nasty,), work=replace(WORK, problem=nasty))  # fmt: skip
    row, card = fleet_row(view, 160.0, 1000.0), instance_card(view, 160.0, 1000.0)
    text = "".join(cell.plain for cell in row.cells) + card.plain
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[/x]" in text


@pytest.mark.parametrize(
    ("guard", "cell", "sentence"),
    [
        (None, "none", "if this machine dies, the bill goes on"),
        (replace(GUARD, proven=False, problem="HTTP 401"), "unproven", "NOT PROVEN: HTTP 401 · destroys"),
        (GUARD, "2d 0h", "in 2d 0h · stops after 1h 00m idle"),
        (replace(GUARD, idle_s=None), "2d 0h", "in 2d 0h"),
        (replace(GUARD, ends_at=900.0), "due", "proven · due since"),
    ],
)
def test_a_dead_man_says_what_it_will_do_and_whether_it_can(guard: GuardView, cell: str, sentence: str) -> None:
    assert guard_word(guard, 1000.0)[0] == cell
    assert sentence in guard_sentence(guard, 1000.0)[0]


@pytest.mark.parametrize(
    ("evidence", "proven", "problem"),
    [
        ({"proof": {"ok": True}, "alive": True}, True, ""),
        ({"proof": {"ok": True}, "alive": False}, False, "its dead-man does not run"),
        ({"proof": {"ok": False, "message": "HTTP 403"}, "alive": True}, False, "HTTP 403"),
        ({"proof": None, "alive": False}, False, "its dead-man does not run"),
    ],
)
def test_only_a_living_dead_man_with_a_proven_key_counts(
    evidence: dict[str, object], proven: bool, problem: str
) -> None:
    order = {"deadline_at": 5.0, "action": "destroy", "idle_s": 60.0, "idle_action": None}
    view = guard_view({"order": order, **evidence})
    assert view is not None
    assert (view.proven, view.problem, view.idle_action) == (proven, problem, "destroy")
    assert guard_view({}) is None


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (FleetView(error="cannot reach the cloud"), "STALE, by the ledger only: cannot reach the cloud"),
        (FleetView(error="no answer", heard_at=935.0), "STALE, as of 1m 05s ago: no answer"),
        (FleetView(emulated=True), "EMULATED · no instance is rented"),
        (FleetView((OURS, OURS)), "2 rented"),
        (FleetView((OURS, replace(OURS, standing="orphan"))), "1 rented · 1 orphan billed to nobody's use: D destroys"),
        (FleetView((OURS, replace(OURS, standing="foreign"))), "1 rented · 1 foreign"),
    ],
)
def test_the_note_never_says_nothing_here_when_nobody_answered(view: FleetView, says: str) -> None:
    assert fleet_note(view, 1000.0).startswith(says)


def test_nothing_is_rented_before_what_is_rented_is_known() -> None:
    assert "not heard yet" in rent_refusal(None)
    assert "no answer" in rent_refusal(FleetView(error="no answer", heard_at=1.0))
    assert rent_refusal(FleetView(heard_at=1.0)) == ""


def test_the_money_is_burn_credit_today_cap_and_midnight() -> None:
    lines = money_lines(FleetView(money=MONEY), 120).plain.splitlines()
    assert lines[0] == "burn $0.149/h  1 instance   credit $24.00, lasts 6d 17h"
    assert lines[1] == "today $1.20 █▌·········· of $10.00   by midnight $3.40"


def test_money_that_will_pass_the_cap_says_so_in_words() -> None:
    above = replace(MONEY, projected_midnight_usd=12.0)
    assert "by midnight $12.00  ▲ above the cap" in money_lines(FleetView(money=above), 80).plain
    assert "nothing more is rented" in money_lines(FleetView(money=above), 160).plain


def test_what_orphans_burn_is_shown_beside_what_the_ledger_knows() -> None:
    orphan = replace(OURS, standing="orphan", spent_usd=0.0, usd_per_hour=0.3, started_at=100.0)
    view = FleetView((OURS, orphan), money=MONEY)
    assert "burn $0.449/h  1 instance + 1 orphan   credit" in money_lines(view, 80).plain
    assert spent_word(orphan, 100.0 + 2 * HOUR) == "~$0.60"
    assert spent_word(OURS, 1e9) == "$0.0123"


def test_unknown_money_is_no_zero() -> None:
    assert "$" not in money_lines(FleetView(error="no answer"), 80).plain
    without = money_lines(FleetView(money=replace(MONEY, credit_usd=None, runway_s=None)), 80).plain
    assert "credit" not in without


@pytest.mark.parametrize("width", [80, 200])
def test_the_money_fits_its_screen(width: int) -> None:
    most = Money("vast", 12, 123.456, 999.99, 99999.99, 1000.0, 12345.67, 29 * DAY)
    assert max(map(len, money_lines(FleetView(money=most), width).plain.splitlines())) <= width - 2


def test_a_destroy_that_loses_work_wants_the_id_typed() -> None:
    run = "01jtestrun00000000abcdefgh"
    text, typed = loss_of(replace(OURS, run_id=run, unpulled_run=run), 160.0)
    assert typed == "1795235194"
    assert "Run abcdefgh has results on it that are not here" in text


def test_a_destroy_that_loses_nothing_asks_once() -> None:
    text, typed = loss_of(OURS, 160.0)
    assert typed is None
    assert text.startswith("RTX 3090, $0.149/h, $0.0123 so far: the bill ends.")
    assert "a rental that went wrong" in loss_of(replace(OURS, standing="orphan"), 160.0)[0]


@pytest.mark.parametrize("change", [{"standing": "foreign"}, {"state": "stopped"}, {"state": "offline"}])
def test_a_destroy_of_what_is_not_ours_or_cannot_be_asked_wants_the_id_typed(change: dict[str, str]) -> None:
    text, typed = loss_of(replace(OURS, **change), 160.0)  # type: ignore[arg-type]
    assert typed == "1795235194"
    assert "NOT this workspace's" in text or "cannot be asked" in text


def test_a_stopped_box_says_what_it_still_costs_and_how_to_end_that() -> None:
    view = replace(OURS, state="stopped", disk_usd_per_hour=0.01)
    sentence = stopped_sentence(view) or ""
    assert "its disk costs $0.24 a day without end" in sentence
    assert "`spotter destroy 1795235194` ends that" in sentence
    assert sentence in instance_card(view, 160.0, 1000.0).plain
    assert "--resume r1" in (stopped_sentence(replace(view, run_id="r1")) or "")
    assert stopped_sentence(OURS) is None
    assert stopped_sentence(replace(view, standing="foreign")) is None


def test_the_marked_instance_is_told_what_is_wrong_first() -> None:
    view = replace(OURS, work=replace(WORK, heard_at=100.0), run_id=WORK.run_id, unpulled_run=WORK.run_id, load=LOAD)
    stuck = replace(view, load=None)
    lines = instance_card(stuck, 160.0, 1000.0).plain.splitlines()
    assert lines[0] == "1795235194 spotter-op-x"
    assert lines[1] == "⚠ its run works, the GPU rests, and nothing was logged for 15m 00s"
    assert lines[2] == "  l shows its log"
    card = instance_card(view, 160.0, 1000.0).plain
    for words in (
        "guard    proven · destroys", "run      abcdefgh docparse: running, 3/12", "results on it are not all here",
        "heard    15m 00s ago", "  one\n  two", "ssh      direct 127.0.0.1:22", "         proxy 127.0.0.1:23",
        "97%", "71 °C · 350 W · 12.0 GiB / 24.0 GiB", "50% full, 20 GB free", "price    $0.149/h",
    ):  # fmt: skip
        assert words in card
    assert "billed for nothing" in instance_card(OURS, 160.0, 1000.0).plain


def test_words_are_wrapped_beside_their_name() -> None:
    lines = instance_card(replace(OURS, message="a long sentence of the cloud about it"), 160.0, 1000.0, 32).plain
    assert "\ncloud    a long sentence of the\n         cloud about it" in lines
    assert max(map(len, lines.splitlines()[1:])) <= 32


def _luminance(rgb: Sequence[int]) -> float:
    parts = [(part / 255 / 12.92) if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("names", [DARK_NAMES, LIGHT_NAMES], ids=["dark", "light"])
@pytest.mark.parametrize("number", range(1, 7), ids=["red", "green", "yellow", "blue", "magenta", "cyan"])
def test_a_named_colour_can_be_read_on_its_theme_and_so_without_colour(names: TerminalTheme, number: int) -> None:
    text, ground = _luminance(names.ansi_colors[number]), _luminance(names.background_color)
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5
