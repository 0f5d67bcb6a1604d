"""The market on screen: terms, prices, history, comparison, the watch, and the question before a deal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Input, Static

from console.actions.action import Question
from console.actions.registry import action_called, actions_of
from console.app import SpotterApp
from console.models.fleet import FleetView
from console.models.offer_news import Change, HostHistory, OfferNews, PricedOffer, changes_since, good_news, warnings_of
from console.models.offer_terms import (
    Terms,
)
from console.operations.offer_look import host_histories, look_at_market
from console.operations.session import Session, open_session
from console.screens.catalog import make_view
from console.screens.offer_rows import COLUMNS, comparison, offer_details, offer_row, offers_note, rent_detail
from console.screens.offers import Offers
from console.widgets.confirm import Confirm
from console.workspace import Workspace, create_workspace
from remote.cloud import Offer, OfferQuery
from remote.offers import expected_cost
from tests.console.piloting import said, shown, until

OFFER = Offer(
    id=7, machine_id=70, host_id=1, gpu_name="RTX 4090", gpu_count=1, gpu_ram_mb=24564, compute_capability=890,
    cuda_max=12.8, cpu_name="EPYC", cpu_cores=16, ram_mb=64_000, disk_gb=500, disk_name="nvme", gpu_usd_per_hour=0.40,
    storage_usd_per_gb_month=0.2, download_usd_per_gb=0.01, upload_usd_per_gb=0.01, download_mbps=900, upload_mbps=500,
    location="Sweden, SE", reliability=0.999, verified=True, rentable=True, open_ports=4, max_duration_s=1e6,
    dlperf=100.0,
)  # fmt: skip
QUERY = OfferQuery(disk_gb=150, traffic_gb=15, upload_gb=1, hours=4, image_cuda=12.8)
NOW = 1_800_000_000.0


def priced(offer: Offer = OFFER, history: HostHistory = HostHistory()) -> PricedOffer:  # noqa: B008 - it is frozen
    return PricedOffer(offer, expected_cost(offer, QUERY), history, QUERY.hours)


def news(*offers: PricedOffer, terms: Terms = Terms(), **more: Any) -> OfferNews:  # noqa: B008 - it is frozen
    return OfferNews(offers or (priced(),), QUERY, "A", terms, "no offer passes every filter", 600.0, **more)


def at(offer_id: int, usd: float) -> PricedOffer:
    return priced(replace(OFFER, id=offer_id, machine_id=10 * offer_id, gpu_usd_per_hour=usd))


def cells(row: Any) -> dict[str, str]:
    return {column.called: cell.plain for column, cell in zip(COLUMNS, row.cells, strict=True)}


# ---- rows ----


def test_a_rows_prices_hold_the_disk_and_all_that_the_work_costs() -> None:
    row = offer_row(priced(replace(OFFER, gpu_count=2)), news())
    said_of = cells(row)
    assert said_of["gpu"] == "2× RTX 4090"
    assert said_of["usd"] == "0.442"  # $0.40 and $0.0417 for 150 GB
    cost = expected_cost(OFFER, QUERY)
    assert said_of["work"] == f"${cost.expected_usd:.2f}"
    assert float(said_of["total"]) == pytest.approx(cost.expected_usd / 4, abs=5e-4)
    assert float(said_of["total"]) > float(said_of["usd"]), "waiting for the image and traffic are in it"
    assert said_of["dlp"] == f"{100 / (0.40 + 150 * 0.2 / 720):.0f}"
    assert row.values["net"] == 900
    assert not row.problem


def test_a_host_that_failed_us_and_one_that_served_are_told_apart() -> None:
    assert cells(offer_row(priced(), news()))["ours"] == "–"
    served = priced(history=HostHistory(3, 7200.0, route="direct"))
    assert cells(offer_row(served, news()))["ours"] == "3× 2h 00m"
    failed = offer_row(priced(history=HostHistory(1, 0.0, 2, "its image never came")), news())
    assert "failed 2×" in cells(failed)["ours"]
    assert failed.problem


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"verified": False}, {}, "not verified"),
        ({"reliability": 0.9}, {}, "reliability 90.0%"),
        ({"open_ports": 0}, {}, "only the proxy"),
        ({"download_mbps": 40.0}, {}, "slow line: 40 Mbit/s"),
        ({"cuda_max": 12.4}, {}, "takes CUDA 12.4, the image wants 12.8"),
        ({"max_duration_s": 3600.0}, {}, "takes it back in 1h 00m"),
        ({"download_usd_per_gb": 0.2}, {}, "dear traffic"),
        ({}, {"cap_usd_per_day": 12.0, "burn_usd_per_hour": 0.1}, "$13.00 a day: above the cap of $12.00"),
        ({}, {"cap_usd_per_day": 14.0, "burn_usd_per_hour": 0.1}, ""),
    ],
)
def test_what_is_to_be_minded_is_said(change: dict[str, Any], more: dict[str, Any], words: str) -> None:
    each = priced(replace(OFFER, **change))
    found = " / ".join(warnings_of(each, news(each, **more)))
    assert (words in found) if words else found == ""
    assert offer_row(each, news(each, **more)).problem == bool(found)
    if words:
        assert words in offer_details(each, news(each, **more)).plain
        assert words in rent_detail(each, news(each, **more), 1.0)


def test_words_from_hosts_are_text_and_no_escape_gets_through() -> None:
    evil = replace(OFFER, location="\x1b[31m[/x]\u202e", cpu_name="\x07cpu", disk_name="a\nb", gpu_name="[red]RTX")
    each = priced(evil, HostHistory(1, 1.0, 1, "\x1b[2Jgone"))
    for text in (
        offer_details(each, news(each)).plain,
        comparison([each, each], news(each), 50).plain,
        rent_detail(each, news(each), 1.0),
        offers_note(news(each), 1, 0.0, stale="\x1b[31m"),
        *(cell.plain for cell in offer_row(each, news(each)).cells),
    ):
        assert text.replace("\n", "").isprintable(), repr(text)
        assert "\\n" not in text.replace("a\\nb", ""), "our own line ends are line ends"


def test_marked_offers_stand_beside_each_other_and_the_better_figure_has_a_sign() -> None:
    cheap, sound = at(1, 0.30), priced(replace(OFFER, id=2, reliability=0.9999))
    text = comparison([cheap, sound], news(cheap, sound), 50).plain
    lines = {line[:10].strip(): line for line in text.splitlines()}
    assert "›$0.342" in lines["$/h"]
    assert "›99.99%" in lines["reliable"]
    assert "›" not in lines["VRAM"], "where all are alike none is better"
    assert all(cell_len(line) <= 50 for line in text.splitlines())
    many = [at(number, 0.3) for number in range(1, 9)]
    assert "and 3 more" in comparison(many, news(*many), 60).plain


# ---- the watch ----


def test_the_watch_flags_what_came_and_what_costs_otherwise_and_forgets_what_left() -> None:
    before = news(at(1, 0.5), at(2, 0.5), at(3, 0.5))
    now = news(at(1, 0.4), at(2, 0.6), at(4, 0.2))
    flags, good = changes_since(before, now, {"3": Change("new", 0.5)})
    assert {key: change.fate for key, change in flags.items()} == {"1": "cheaper", "2": "dearer", "4": "new"}
    assert good == ["1", "4"]
    again, nothing = changes_since(now, now, flags)
    assert (again, nothing) == (flags, [])
    assert good_news([at(4, 0.2), at(1, 0.4)], flags) == (
        "1 new offer, 1 is cheaper, best: RTX 4090 for $0.242/h (offer 4)"
    )
    row = offer_row(at(1, 0.4), replace(now, changes=flags))
    assert cells(row)["news"] == "↓18%"


# ---- the view ----


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path)[0]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(workspace: Workspace, clock: Clock) -> SpotterApp:
    return SpotterApp(workspace, "offers", live=False, clock=clock)


def view_of(app: SpotterApp) -> Offers:
    view = app.view_called("offers")
    assert isinstance(view, Offers)
    return view


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_list_stands_at_every_size(app: SpotterApp, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        view_of(app).show(news(at(1, 0.5), at(2, 0.3), emulated=True))
        await pilot.pause()
        screen = shown(app)
        assert "0.542" in screen
        assert "EMULATED · 2 offers · A · 150 GB disk · age" in screen
        assert "Work of 4 h" in screen
        columns = view_of(app).market.shown_columns
        assert columns[:4] == ("offer", "gpu", "usd", "total")
        assert {"rel", "vram", "dlp", "ours"} <= set(columns)
        assert size[0] < 200 or "place" in columns


async def test_the_side_pane_follows_the_cursor_and_compares_what_is_marked(app: SpotterApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        view_of(app).show(news(at(1, 0.5), at(2, 0.3)))
        await pilot.pause()
        assert "machine   10" in said(app, "#offers-side")
        await pilot.press("j")
        await until(pilot, lambda: "machine   20" in said(app, "#offers-side"), "the second machine")
        await pilot.press("space", "k", "space")
        await until(pilot, lambda: "2 offers compared" in said(app, "#offers-side"), "the comparison")
        await pilot.press("escape")
        await until(pilot, lambda: "compared" not in said(app, "#offers-side"), "one offer again")


async def test_the_question_names_the_price_on_screen_and_a_dearer_one_is_refused(app: SpotterApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        view = view_of(app)
        view.show(news(at(1, 0.5), at(2, 0.3), terms=Terms(gpu_count=1, disk_gb=150)))
        await pilot.press("j", "R")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        view.show(news(at(2, 0.9), at(1, 0.5)))
        assert isinstance(app.screen, Confirm)
        question = app.screen.question
        assert "$0.342/h with 150 GB of disk" in question.detail
        assert question.commands == (
            ("rent", "2", "--profile", "A", "--count", "1", "--disk", "150", "--max-usd-per-hour", "0.3417", "--yes"),
        )
        await pilot.press("escape")


async def test_a_question_that_makes_no_sense_is_answered_by_a_sentence(app: SpotterApp) -> None:
    async with app.run_test() as pilot:
        view = view_of(app)
        assert "has not answered" in view.refusal(action_called("offers.rent"))
        view.show(replace(news(), offers=()))
        assert "no offer to rent" in str(view.question_offers_rent(()))
        assert "no offer to rent" in view.refusal(action_called("offers.rent"))
        view.show(news(at(1, 0.5), at(2, 0.3)))
        assert "marked to be compared" in str(view.question_offers_rent(("1", "2")))
        assert "not on the market any more" in str(view.question_offers_rent(("99",)))
        await pilot.pause()


async def test_old_prices_and_a_fleet_that_nobody_sees_are_named_in_the_question(app: SpotterApp, clock: Clock) -> None:
    async with app.run_test() as pilot:
        view = view_of(app)
        view.show(news(at(1, 0.5)))
        view.heard_at = NOW
        clock.now += 3600
        fleet = app.view_called("fleet")
        await until(pilot, lambda: fleet.is_attached, "the fleet")
        fleet.news = FleetView(error="the cloud is \x1b away", heard_at=NOW)  # type: ignore[attr-defined]
        question = view.question_offers_rent(("1",))
        assert isinstance(question, Question)
        assert "60 minutes old" in question.detail
        assert "cannot be seen" in question.detail
        assert "\x1b" not in question.detail


async def test_a_price_cap_hides_at_once_and_is_part_of_the_terms(app: SpotterApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        view = view_of(app)
        view.show(news(at(1, 0.5), at(2, 0.3)))
        await pilot.press("equals_sign")
        await until(pilot, lambda: app.focused is view.query_one("#offers-cap", Input), "the field")
        await pilot.press(*"dear", "enter")
        assert view.query_one("#offers-cap").display, "what is no price is said, and the field stays"
        view.query_one("#offers-cap", Input).value = ""
        await pilot.press(*"0.4", "enter")
        await until(pilot, lambda: [row.key for row in view.market.rows] == ["2"], "one offer")
        assert view.argument == "<0.4"
        await pilot.press("equals_sign", "escape")
        assert not view.query_one("#offers-cap").display
        await pilot.press("equals_sign", "delete", "backspace", "backspace", "backspace", "enter")
        await until(pilot, lambda: len(view.market.rows) == 2, "both offers")


async def test_the_watch_rings_for_good_news_and_never_rents(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(app, "ring", lambda _title, text, *_more: rung.append(text))
    monkeypatch.setattr(app, "run_command", lambda *_a: pytest.fail("a watch rents nothing"))
    async with app.run_test(size=(160, 40)) as pilot:
        view = view_of(app)
        view.show(news(at(1, 0.5)))
        view.show(news(at(1, 0.4), at(2, 0.1)))
        assert rung == [], "nobody watches yet"
        await pilot.press("w")
        assert "watching, next look in 10m 00s" in view.market.note
        view.show(news(at(1, 0.4), at(2, 0.1), at(3, 0.2)))
        assert rung == ["1 new offer, best: RTX 4090 for $0.242/h (offer 3)"]
        assert cells(next(row for row in view.market.rows if row.key == "3"))["news"] == "new"
        assert "news" in view.market.shown_columns
        view.show(news(at(1, 0.4), terms=Terms(gpu=("RTX 3090",), every_s=1800.0)))
        assert "next look in 30m 00s" in view.market.note
        assert len(rung) == 1, "other terms are no news"
        await pilot.press("w")
        assert "watching" not in view.market.note


async def test_no_answer_keeps_the_rows_dim_under_the_reason(app: SpotterApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        view = view_of(app)
        view._heard((None, "the cloud is away"))
        await until(pilot, lambda: "NO ANSWER: the cloud is away" in shown(app), "the reason, where the rows would be")
        view._heard((news(at(1, 0.5)), ""))
        view._heard((None, "the cloud is away"))
        await pilot.pause()
        assert [row.stale for row in view.market.rows] == [True]
        assert view.market.note.startswith("NO ANSWER: the cloud is away · 1 offer")
        assert view.copies()[2].text == "spotter rent 1 --profile A --max-usd-per-hour 0.5417"


async def test_an_empty_market_says_why(app: SpotterApp) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        view_of(app).show(replace(news(), offers=()))
        await pilot.pause()
        assert "no offer passes every filter" in str(app.screen.query_one("#offers-side", Static).render())


async def test_coming_back_costs_no_search_until_the_answer_is_old(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read(self: Offers) -> OfferNews:
        asked.append(self._answered or "")
        return news(at(1, 0.5))

    monkeypatch.setattr(Offers, "read", read)
    app = SpotterApp(workspace, "offers", clock=clock)
    async with app.run_test() as pilot:
        view = view_of(app)
        await until(pilot, lambda: view.shown is not None, "the first answer")
        view.poll()
        view.on_show()
        assert asked == [""]
        await pilot.press("r")
        await until(pilot, lambda: len(asked) == 2, "the answer that was asked for")
        await until(pilot, lambda: not view._asking, "its end")
        view.open("B <0.6")
        await until(pilot, lambda: len(asked) == 3, "the answer on other terms")
        assert asked[-1] == "B <0.6"
        await until(pilot, lambda: not view._asking, "its end")
        clock.now += 601
        view.on_show()
        await until(pilot, lambda: len(asked) == 4, "a new answer in place of an old one")


@pytest.mark.parametrize("name", ["offers", "pulse"])
async def test_a_view_can_be_asked_before_it_stands_on_screen(app: SpotterApp, name: str) -> None:
    """The line of keys asks every second, also while a view that was just called for is being made."""
    async with app.run_test():
        view = make_view(name)
        assert all(isinstance(view.refusal(action), str) for action in actions_of(name))
        assert (view.targets(), tuple(view.copies()), view.crumbs, view.problem_count) == ((), (), (), 0)
        assert not view.step_out()
        view.focus_main()
        view.listing()


# ---- over an emulated market ----


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = open_session(create_workspace(tmp_path_factory.mktemp("market"))[0])
    yield session
    session.stop_local_cloud()


def test_a_look_prices_every_offer_and_knows_our_hosts(here: Session) -> None:
    first = look_at_market(here, Terms())
    assert first.emulated
    assert first.offers
    assert all(each.dlperf_per_usd for each in first.offers)
    assert all(each.history == HostHistory() for each in first.offers)
    known, other = first.offers[0].offer, first.offers[1].offer
    for number, hours in ((501, 1.0), (502, 3.0)):
        here.ledger.open_instance(
            "local",
            number,
            label="x",
            gpu_name=known.gpu_name,
            gpu_usd_per_hour=0.0,
            disk_usd_per_hour=0.0,
            machine_id=known.machine_id,
            opened_at=NOW,
        )
        here.ledger.instance_running("local", number, at=NOW)
        here.ledger.close_instance("local", number, at=NOW + 3600 * hours)
    here.ledger.note_route("local", known.machine_id, "proxy")
    here.ledger.note_bad_machine("local", other.machine_id, "its image never came")
    histories = host_histories(here, [known, other])
    assert histories[known.machine_id] == HostHistory(2, 3 * 3600.0, route="proxy")
    assert histories[other.machine_id].failures == 1
    capped = look_at_market(here, Terms(max_usd_per_hour=first.offers[-1].usd_per_hour, gpu=(known.gpu_name,)))
    assert all(each.offer.gpu_name == known.gpu_name for each in capped.offers)
    assert other.machine_id not in {each.offer.machine_id for each in capped.offers}
