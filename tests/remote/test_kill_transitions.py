"""`kill -9` of a console at every state and around every call that costs or saves money, then another console."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from remote.states import NEXT, State
from tests.remote.cloud_fixtures import until
from tests.remote.killed import PRELOADED, console
from tests.remote.stepped import REQUEST, Bench, destroy_all, stepped_market

WRONG = {"wrong_container_id": True}
POINTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{
        state: ("state", state, {})
        for state in (
            "planned", "searched", "claiming", "allocated", "booting", "reachable", "authed", "verified",
        )
    },
    "pulling": ("state", "pulling", {"load_s": 60}),
    "reconciling": ("state", "reconciling", {"lose_answer": True}),
    "discard": ("state", "discard", WRONG),
    "destroying": ("state", "destroying", WRONG),
    "gone": ("state", "gone", WRONG),
    "intent written, create not sent": ("before", "cloud.create", {}),
    "create answered, not written down": ("after", "cloud.create", {}),
    "instance written down, intent open": ("after", "ledger.open_instance", {}),
    "answer lost, found by its label, not written down": ("before", "ledger.open_instance", {"lose_answer": True}),
    "key attached": ("after", "cloud.attach_key", {}),
    "reboot not sent": ("before", "cloud.reboot", {"direct": "refused", "proxy": "refused"}),
    "reboot sent": ("after", "cloud.reboot", {"direct": "refused", "proxy": "refused"}),
    "recycle not sent": ("before", "cloud.recycle", {"key_never": True}),
    "recycle sent": ("after", "cloud.recycle", {"key_never": True}),
    "destroy not sent": ("before", "cloud.destroy", WRONG),
    "destroy sent": ("after", "cloud.destroy", WRONG),
    "destroy confirmed, row open": ("before", "ledger.close_instance", WRONG),
    "row closed, intent open": ("after", "ledger.close_instance", WRONG),
}  # fmt: skip
"""Where a console that rents dies, and what must be wrong with the first machine for it to get there."""
NEVER_ENTERED_WHILE_RENTING = {"bootstrapped", "ready", "draining", "stopped", "lost", "failed"}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with stepped_market(tmp_path_factory.mktemp("kills")) as made:
        yield made


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that fork from a small one that has imported everything: each starts in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@pytest.fixture
def bench(market: Bench, tmp_path: Path) -> Iterator[Bench]:
    yield market.fresh(tmp_path)
    market.behave()


def arguments(bench: Bench, work: str, when: str, what: str) -> tuple[str, ...]:
    return (str(bench.directory), str(bench.base), str(bench.key.private_path.parent), work, when, what)


def run_until_killed(processes: ForkServerContext, bench: Bench, work: str, when: str, what: str) -> None:
    process = processes.Process(target=console, args=arguments(bench, work, when, what))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"it was to die at {what}, and ended with {process.exitcode}"


def first_machine(bench: Bench, **do: Any) -> None:
    if do:
        bench.control("POST", "scenario", {"match": {"op": "create", "nth": 1}, "do": do})


def settle(bench: Bench, *, kept: int = 0) -> None:
    """What the next console finds is adopted or destroyed, at once or when a late answer cannot come any more."""
    provisioner = bench.provisioner()
    assert len(provisioner.reconcile(bench.told.append)) == kept
    assert bench.alive == bench.known
    bench.clock.sleep(61)
    assert len(provisioner.reconcile(bench.told.append)) == kept
    assert bench.alive == bench.known
    assert len(bench.alive) == kept
    assert bench.ledger.intents(unsettled_only=True) == []


def end(bench: Bench) -> None:
    provisioner = bench.provisioner()
    destroy_all(bench, provisioner)
    bench.assert_counted_to_the_cent()
    provisioner.reconcile()
    bench.assert_settled()
    assert bench.alive == set()


@pytest.mark.parametrize("point", POINTS)
def test_a_console_killed_while_it_rents_leaves_nothing_or_one_box_to_adopt(
    processes: ForkServerContext, bench: Bench, point: str
) -> None:
    when, what, do = POINTS[point]
    first_machine(bench, **do)
    run_until_killed(processes, bench, "provision", when, what)
    assert len(bench.alive) <= 1
    kept = 1 if point == "verified" else 0
    settle(bench, kept=kept)
    (request,) = bench.ledger.requests()
    if kept:
        (box,) = bench.alive
        rental = bench.provisioner().adopt(box)
        assert rental.instance.id == box
        assert bench.alive == {box}
    else:
        assert request.state in ("failed", "gone")
    end(bench)


def test_a_console_killed_while_its_create_is_in_flight_leaves_nothing(
    processes: ForkServerContext, bench: Bench
) -> None:
    first_machine(bench, delay_s=600)
    process = processes.Process(target=console, args=arguments(bench, "provision", "never", "nothing"))
    process.start()
    until(lambda: bench.alive, "the instance exists")
    process.kill()
    process.join()
    assert bench.known == set()
    assert [each.outcome for each in bench.ledger.intents()] == [None]
    settle(bench)
    end(bench)


@pytest.mark.parametrize(
    ("when", "what"),
    [
        ("state", "destroying"),
        ("before", "cloud.destroy"),
        ("after", "cloud.destroy"),
        ("before", "ledger.close_instance"),
    ],
)
def test_a_console_killed_while_it_settles_what_another_left_is_settled_by_the_third(
    processes: ForkServerContext, bench: Bench, when: str, what: str
) -> None:
    run_until_killed(processes, bench, "provision", "state", "booting")
    run_until_killed(processes, bench, "reconcile", when, what)
    settle(bench)
    end(bench)


@pytest.mark.parametrize("state", ["allocated", "booting", "authed"])
def test_a_console_killed_while_it_adopts_leaves_the_box_as_it_was(
    processes: ForkServerContext, bench: Bench, state: str
) -> None:
    rental = bench.provisioner().provision(REQUEST)
    box = rental.instance.id
    bench.ledger.transition(rental.request_id, "ready", cloud="local", instance_id=box)
    run_until_killed(processes, bench, f"adopt:{box}", "state", state)
    settle(bench, kept=1)
    row = bench.ledger.instance("local", box)
    assert row is not None
    assert (row.alive, row.state) == (True, "ready")
    end(bench)


def test_every_state_that_renting_enters_is_a_point_of_death() -> None:
    killed_at = {what for when, what, _do in POINTS.values() if when == "state"}
    assert killed_at == {state.value for state in State} - NEVER_ENTERED_WHILE_RENTING
    assert {each.value for following in NEXT.values() for each in following} <= killed_at | NEVER_ENTERED_WHILE_RENTING
