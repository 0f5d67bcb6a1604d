"""A re-rent that is cut off, refused or out of room: what stays rented, what is destroyed, and how it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.operations import rerent as operation
from console.operations import rerent_plan
from console.operations.destroy import StillNeeded
from console.operations.events import OperationEvent
from console.operations.offers import NO_WISHES, OfferNotThere
from console.operations.rerent import rerent
from console.operations.rerent_book import RerentBook, RerentBusy, Step
from console.operations.rerent_offers import MachineHistory, RankedOffer, histories, ranked, same_terms
from console.operations.rerent_plan import CannotRerent, RerentPlan, plan_rerent
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import InstanceGone, Session, open_session
from console.workspace import create_workspace
from remote.cloud import Offer, OfferQuery
from remote.provision import NoOffers, OverBudget, ProvisionFailed
from remote.transport import SshSilent

RUN = "01jtestrun00000000abcdefgh"
OLD = 7
OFFER = Offer(
    id=100, machine_id=5, host_id=1, gpu_name="RTX 4090", gpu_count=1, gpu_ram_mb=24576, compute_capability=890,
    cuda_max=13.0, cpu_name="EPYC", cpu_cores=8, ram_mb=32000, disk_gb=200, disk_name="nvme", gpu_usd_per_hour=0.3,
    storage_usd_per_gb_month=0.1, download_usd_per_gb=0.0, upload_usd_per_gb=0.0, download_mbps=1000, upload_mbps=1000,
    location="PL", reliability=0.99, verified=True, rentable=True, open_ports=10, max_duration_s=1e6,
)  # fmt: skip
RANKED = RankedOffer(OFFER, 0.41, 1.0, MachineHistory())


class World:
    """The cloud and the boxes as far as a re-rent sees them."""

    def __init__(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session = session
        self.did: list[str] = []
        self.gone: set[int] = set()
        self.reached = True
        self.resists: set[int] = set()
        self.refusals: list[Exception] = []
        self.next_id = 70
        monkeypatch.setattr(Session, "instance", lambda _session, number: self._instance(number))
        for name in ("check_nothing_is_lost", "check_may_go"):
            monkeypatch.setattr(operation, name, self._check)
        monkeypatch.setattr(operation._Move, "_end_job_and_pull", lambda _move, run: self._pull(run))
        monkeypatch.setattr(operation, "rent", self._rent)
        monkeypatch.setattr(operation, "destroy", self._destroy)

    def _instance(self, instance_id: int) -> SimpleNamespace:
        if instance_id in self.gone:
            raise InstanceGone(f"instance {instance_id} is gone")
        return SimpleNamespace(id=instance_id)

    def _check(self, _session: Session, instance_id: int) -> None:
        if not self.reached:
            raise StillNeeded(f"instance {instance_id} could not be asked what it holds")
        self.did.append(f"checked {instance_id}")

    def _pull(self, run: RunEntry) -> None:
        if not self.reached:
            raise SshSilent("no endpoint answers")
        self.did.append(f"pulled {run.run_id[-8:]}")

    def _rent(self, session: Session, _profile: str | None, **wanted: Any) -> SimpleNamespace:
        if self.refusals:
            raise self.refusals.pop(0)
        self.next_id += 1
        session.ledger.open_instance(
            "local", self.next_id, label="y", gpu_name="RTX 4090", gpu_usd_per_hour=0.4, disk_usd_per_hour=0.01,
            offer_id=wanted["offer_id"], state="verified", run_id=wanted["run_id"],
        )  # fmt: skip
        self.did.append(f"rented {self.next_id}")
        return SimpleNamespace(instance=SimpleNamespace(id=self.next_id))

    def _destroy(self, session: Session, instance_id: int, *, force: bool, report: object) -> None:
        if instance_id in self.resists:
            raise RuntimeError(f"instance {instance_id} is still there")
        assert force is not self.reached
        session.ledger.close_instance("local", instance_id)
        self.gone.add(instance_id)
        self.did.append(f"destroyed {instance_id}")

    def living(self) -> list[int]:
        return [row.instance_id for row in self.session.living_rentals()]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return open_session(create_workspace(tmp_path / "workspace")[0])


@pytest.fixture
def world(session: Session, monkeypatch: pytest.MonkeyPatch) -> World:
    session.ledger.open_instance(
        "local", OLD, label="x", gpu_name="RTX 4090", gpu_usd_per_hour=0.4, disk_usd_per_hour=0.01, state="ready",
        run_id=RUN, machine_id=3, opened_at=time.time() - 100,
    )  # fmt: skip
    return World(session, monkeypatch)


@pytest.fixture
def run(session: Session) -> RunEntry:
    session.workspace.run_folder(RUN).mkdir(parents=True)
    entry = RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.LAUNCHED, instance_id=OLD, job_id="j")
    return Runbook(session.workspace).write(entry)


Planned = Callable[..., RerentPlan]


@pytest.fixture
def planned(session: Session, world: World, monkeypatch: pytest.MonkeyPatch) -> Planned:
    def made(*offers: RankedOffer) -> RerentPlan:
        for module in (operation, rerent_plan):
            monkeypatch.setattr(module, "offers_like", lambda *_: (list(offers), "the market is empty"))
        return plan_rerent(session, OLD)

    return made


def moved(session: Session) -> tuple[int | None, Phase, str | None]:
    entry = Runbook(session.workspace).read(RUN)
    return entry.instance_id, entry.phase, entry.job_id


def test_only_the_run_that_was_asked_about_moves(session: Session, run: RunEntry, planned: Planned) -> None:
    plan = planned(RANKED)
    plan.check_run(RUN)
    plan.check_run(None)
    with pytest.raises(CannotRerent, match=f"{RUN} is on instance {OLD} by now, not another"):
        plan.check_run("another")
    with pytest.raises(CannotRerent, match=f"no run is on instance {OLD} by now, not {RUN}"):
        replace(plan, run=None).check_run(RUN)


def test_a_run_is_home_before_anything_is_rented_and_has_moved_before_the_old_machine_goes(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    done = rerent(session, planned(RANKED))
    assert world.did == ["pulled abcdefgh", "checked 7", "rented 71", "destroyed 7"]
    assert (done.new_id, done.run_id, done.old_is_gone) == (71, RUN, True)
    assert moved(session) == (71, Phase.RENTED, None)
    assert RerentBook(session).read(OLD) is None


def test_what_cannot_be_fetched_stops_it_before_anything_is_rented_and_says_how_to_go_on(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.reached = False
    with pytest.raises(StillNeeded, match="no endpoint answers") as refused:
        rerent(session, planned(RANKED))
    assert "`spotter rerent 7 --give-up` goes on without it" in str(refused.value)
    assert f"nothing was rented; instance 7 is billed on, and nobody follows run {RUN}" in refused.value.__notes__[0]
    assert f"`spotter run --resume {RUN}` goes on with the old one" in refused.value.__notes__[0]
    assert (world.did, world.living(), moved(session)[0]) == ([], [OLD], OLD)
    done = rerent(session, planned(RANKED), give_up=True)
    assert world.did == ["rented 71", "destroyed 7"]
    assert done.old_is_gone


def test_a_market_without_its_like_leaves_run_and_machine_untouched(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    with pytest.raises(OfferNotThere, match="so nothing was touched: the market is empty"):
        rerent(session, planned())
    assert (world.did, world.living()) == ([], [OLD])
    assert Runbook(session.workspace).read(RUN) == run
    assert RerentBook(session).read(OLD) is None


def test_a_refusal_after_the_run_is_home_leaves_it_ready_to_go_on_with_either_machine(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.refusals = [RuntimeError("the marketplace is closed")]
    with pytest.raises(RuntimeError, match="closed") as refused:
        rerent(session, planned(RANKED))
    assert "what it did is here; no other machine was rented; instance 7 is still billed" in refused.value.__notes__[0]
    assert "goes on with the old one" in refused.value.__notes__[0]
    assert (world.living(), moved(session)) == ([OLD], (OLD, Phase.RENTED, None))
    Runbook(session.workspace).update(RUN, phase=Phase.LAUNCHED, job_id="j2")  # it did go on there
    rerent(session, planned(RANKED))
    assert world.did.count("pulled abcdefgh") == 2  # and so it is fetched again before the machine goes
    assert (world.living(), moved(session)) == ([71], (71, Phase.RENTED, None))


def test_the_next_best_offer_is_tried_when_the_best_has_gone(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.refusals = [NoOffers("gone"), NoOffers("gone")]
    others = [replace(RANKED, offer=replace(OFFER, id=number)) for number in (100, 101, 102, 103)]
    assert rerent(session, planned(*others)).new_id == 71
    world.refusals = []


def test_three_offers_that_went_are_enough(session: Session, world: World, run: RunEntry, planned: Planned) -> None:
    world.refusals = [NoOffers(f"offer {number} is gone") for number in range(4)]
    others = [replace(RANKED, offer=replace(OFFER, id=number)) for number in (100, 101, 102, 103)]
    with pytest.raises(NoOffers, match="offer 2 is gone"):
        rerent(session, planned(*others))
    assert world.living() == [OLD]


@pytest.mark.parametrize("failed", [NoOffers("gone"), ProvisionFailed("no machine was had: no offer is left")])
def test_an_offer_that_is_gone_leads_to_what_the_market_has_then_and_to_nothing_dearer(
    session: Session,
    world: World,
    run: RunEntry,
    planned: Planned,
    monkeypatch: pytest.MonkeyPatch,
    failed: Exception,
) -> None:
    plan = planned(RANKED)
    market = [
        replace(RANKED, offer=replace(OFFER, id=101), usd_per_hour=0.42),  # dearer than both that were named
        replace(RANKED, offer=replace(OFFER, id=102), usd_per_hour=0.41),
    ]
    monkeypatch.setattr(operation, "offers_like", lambda *_: (market, ""))
    world.refusals = [failed]
    assert rerent(session, plan).new_id == 71
    (row,) = session.living_rentals()
    assert (row.instance_id, row.offer_id) == (71, 102)


def test_no_second_machine_is_rented_while_one_of_a_rental_that_failed_may_live(
    session: Session, world: World, run: RunEntry, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(session: Session, _profile: str | None, **wanted: Any) -> None:
        session.ledger.open_instance(
            "local", 80, label="y", gpu_name="X", gpu_usd_per_hour=0.4, disk_usd_per_hour=0.0,
            offer_id=wanted["offer_id"], state="booting",
        )  # fmt: skip
        raise ProvisionFailed("no machine was had")

    monkeypatch.setattr(operation, "rent", half)
    with pytest.raises(ProvisionFailed):
        rerent(session, planned(RANKED, replace(RANKED, offer=replace(OFFER, id=101))))
    assert world.living() == [OLD, 80]


def test_an_offer_that_was_chosen_is_that_one_or_none(
    session: Session, world: World, run: RunEntry, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(planned(RANKED), named=True)
    monkeypatch.setattr(operation, "offers_like", lambda *_: pytest.fail("nobody asked for another"))
    world.refusals = [NoOffers("gone")]
    with pytest.raises(NoOffers):
        rerent(session, plan)
    world.refusals = [ProvisionFailed("every machine would fail alike", our_fault=True)]
    with pytest.raises(ProvisionFailed, match="alike"):
        rerent(session, replace(planned(RANKED, RANKED), named=False))
    assert world.living() == [OLD]


def test_an_offer_that_became_dearer_is_passed_over_and_costs_the_old_machine_nothing(
    session: Session, world: World, run: RunEntry, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "has_room", lambda *_, **__: True)
    world.refusals = [OverBudget("offer 100 costs $0.9/h by now")]
    rerent(session, planned(RANKED, replace(RANKED, offer=replace(OFFER, id=101))))
    assert world.did == ["pulled abcdefgh", "checked 7", "rented 71", "destroyed 7"]


def test_a_cap_without_room_for_both_lets_the_old_machine_go_first_for_its_results_are_here(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.refusals = [OverBudget("above the cap")]
    done = rerent(session, planned(RANKED))
    assert world.did == ["pulled abcdefgh", "checked 7", "destroyed 7", "rented 71", "destroyed 7"]
    assert (done.old_is_gone, world.living()) == (True, [71])


def test_a_cap_without_room_even_for_the_new_one_alone_destroys_nothing(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    session.ledger.open_instance(
        "local", 9, label="z", gpu_name="X", gpu_usd_per_hour=0.1, disk_usd_per_hour=0.0, state="ready"
    )  # with it and the new one $0.42 an hour would burn, and the cap is $10 a day
    world.refusals = [OverBudget("above the cap")]
    with pytest.raises(OverBudget, match="above the cap"):
        rerent(session, planned(RANKED))
    assert world.living() == [OLD, 9]


def test_a_machine_whose_host_is_away_is_not_billed_so_its_end_makes_no_room_under_the_cap(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    session.ledger.open_instance(
        "local", 9, label="z", gpu_name="X", gpu_usd_per_hour=0.4, disk_usd_per_hour=0.0, state="ready"
    )
    session.ledger.instance_running("local", OLD)
    session.ledger.note_billed("local", OLD, ())
    world.refusals = [OverBudget("above the cap")]
    with pytest.raises(OverBudget, match="above the cap"):
        rerent(session, planned(RANKED))
    assert world.living() == [OLD, 9]  # what is on it may come back with its host


def test_a_process_that_dies_right_after_renting_rents_no_second_machine_when_it_goes_on(
    session: Session, world: World, run: RunEntry, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = RerentBook.update

    def dies(self: RerentBook, entry: Any, **changes: object) -> Any:
        if changes.get("step") is Step.RENTED:
            raise MemoryError
        return book(self, entry, **changes)

    monkeypatch.setattr(RerentBook, "update", dies)
    with pytest.raises(MemoryError):
        rerent(session, planned(RANKED))
    assert world.living() == [OLD, 71]
    monkeypatch.setattr(RerentBook, "update", book)
    done = rerent(session, planned(RANKED))
    assert (done.new_id, world.living()) == (71, [71])
    assert world.did.count("rented 71") == 1


@pytest.mark.parametrize("step", [Step.RENTED, Step.MOVED])
def test_it_goes_on_at_every_later_step(
    session: Session, world: World, run: RunEntry, planned: Planned, step: Step
) -> None:
    session.ledger.open_instance(
        "local", 71, label="y", gpu_name="X", gpu_usd_per_hour=0.1, disk_usd_per_hour=0.0, state="verified"
    )
    book = RerentBook(session)
    book.update(book.begin(OLD, RUN), step=step, new_id=71)
    if step is Step.MOVED:
        Runbook(session.workspace).update(RUN, instance_id=71, phase=Phase.RENTED, job_id=None)
    done = rerent(session, planned())
    assert world.did == (["destroyed 7"] if step is Step.MOVED else ["pulled abcdefgh", "checked 7", "destroyed 7"])
    assert (done.new_id, moved(session)) == (71, (71, Phase.RENTED, None))


def test_an_old_machine_that_resists_keeps_no_run_waiting_and_is_told_to_be_billed(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.resists = {OLD}
    said: list[OperationEvent] = []
    done = rerent(session, planned(RANKED), said.append)
    assert not done.old_is_gone
    assert moved(session)[0] == 71
    assert any("STILL BILLED: instance 7" in event.message for event in said)


def test_a_machine_that_is_gone_is_replaced_from_what_is_here(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.gone.add(OLD)
    session.ledger.close_instance("local", OLD)
    assert rerent(session, planned(RANKED)).new_id == 71
    assert "pulled abcdefgh" not in world.did


def test_two_consoles_that_replace_one_machine_at_once_rent_one(
    session: Session, world: World, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, second = planned(RANKED), planned(RANKED)
    rent_one = operation._Move._rent

    def meanwhile(move: operation._Move) -> None:
        with pytest.raises(RerentBusy, match="in place of instance 7 already"):
            rerent(open_session(session.workspace), second)
        rent_one(move)

    monkeypatch.setattr(operation._Move, "_rent", meanwhile)
    assert rerent(session, plan).new_id == 71
    with pytest.raises(CannotRerent, match="gone and no run is on it"):
        rerent(session, second)  # agreed to while the first was under way
    with pytest.raises(CannotRerent, match="gone and no run is on it"):
        planned(RANKED)
    assert world.living() == [71]


def test_a_re_rent_agreed_to_twice_leaves_the_run_alone_where_the_first_brought_it(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    plan, second = planned(RANKED), planned(RANKED)
    rerent(session, plan)
    Runbook(session.workspace).update(RUN, phase=Phase.LAUNCHED, job_id="j2")
    with pytest.raises(CannotRerent):
        rerent(session, second)
    assert (world.living(), moved(session)) == ([71], (71, Phase.LAUNCHED, "j2"))


def test_a_re_rent_cut_off_long_ago_takes_no_run_from_the_machine_that_it_went_on_with(
    session: Session, world: World, run: RunEntry, planned: Planned
) -> None:
    world.refusals = [RuntimeError("the marketplace is closed")]
    with pytest.raises(RuntimeError, match="closed"):
        rerent(session, planned(RANKED))
    session.ledger.close_instance("local", OLD)
    world.gone.add(OLD)
    Runbook(session.workspace).update(RUN, instance_id=90, phase=Phase.LAUNCHED, job_id="j2")
    with pytest.raises(CannotRerent, match="went on with instance 90"):
        planned(RANKED)
    assert moved(session) == (90, Phase.LAUNCHED, "j2")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sharded": True, "boxes": (OLD,)}, "replaced by themselves"),
        ({"phase": Phase.ENDED}, "fetches what is there and finishes"),
        ({"phase": Phase.PULLED}, "fetches what is there and finishes"),
    ],
)
def test_a_run_that_need_not_or_cannot_move_says_what_to_do(
    session: Session, world: World, run: RunEntry, planned: Planned, change: dict[str, Any], says: str
) -> None:
    Runbook(session.workspace).update(RUN, **change)
    with pytest.raises(CannotRerent, match=says):
        planned(RANKED)
    with pytest.raises(CannotRerent, match="not rented from this workspace"):
        plan_rerent(session, 999)


def test_the_same_terms_are_what_was_asked_for_when_it_was_rented(session: Session, world: World) -> None:
    wanted = {"gpu_names": ["RTX 4090", "RTX 3090"], "gpu_count": 2, "disk_gb": 55.0, "image": "a:b"}
    request = session.ledger.open_request("local", wanted)
    session.ledger.hand_over("local", OLD, request)
    row = session.ledger.instance("local", OLD)
    assert row is not None
    wishes = same_terms(session, row, max_usd_per_hour=0.5)
    assert (wishes.gpu, wishes.gpu_count, wishes.disk_gb, wishes.image) == (("RTX 4090", "RTX 3090"), 2, 55.0, "a:b")
    assert wishes.max_usd_per_hour == 0.5
    session.ledger.hand_over("local", OLD, session.ledger.open_request("local", {"adopt": OLD}))
    row = session.ledger.instance("local", OLD)
    assert row is not None
    assert same_terms(session, row) == replace(NO_WISHES, gpu=("RTX 4090",))


def test_a_host_that_served_us_is_worth_a_little_and_one_that_failed_costs_a_lot(
    session: Session, world: World
) -> None:
    ledger, now = session.ledger, time.time()
    for number, machine, hours in ((21, 50, 2.0), (22, 51, 0.1)):
        ledger.open_instance("local", number, label="z", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0,
                             machine_id=machine, opened_at=now - 9000)  # fmt: skip
        ledger.instance_running("local", number, at=now - 9000)
        ledger.close_instance("local", number, at=now - 9000 + hours * 3600)
    ledger.note_bad_machine("local", 51, "it was slow")
    known = histories(session)
    assert (known[50].rentals, known[50].factor) == (1, pytest.approx(0.95))
    assert (known[51].failures, known[51].factor) == (1, pytest.approx(1.25))
    assert "rented 1×, 2.0 h at most" in known[50].words
    market = ((1, 60, 0.400), (2, 50, 0.405), (3, 51, 0.390), (4, 3, 0.001))
    offers = [replace(OFFER, id=offer, machine_id=machine, gpu_usd_per_hour=usd) for offer, machine, usd in market]
    assert [each.offer.id for each in ranked(offers, OfferQuery(disk_gb=40), known, without=3)] == [2, 1, 3]
