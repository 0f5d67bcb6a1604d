"""What a re-rent would do, as things stand: the machine, the run on it, and the offers for its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.operations.offers import Wishes
from console.operations.rerent_book import RerentBook, RerentEntry
from console.operations.rerent_book import Step as Stage
from console.operations.rerent_offers import RankedOffer, offers_like, same_terms
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session
from console.words import usd_per_hour

if TYPE_CHECKING:
    from remote.ledger import RentedInstance


class CannotRerent(WrongInput):
    """There is nothing to put in this machine's place; the text says what can be done instead."""


@dataclass(frozen=True, slots=True)
class RerentPlan:
    """What a re-rent would do, as things stand."""

    old: RentedInstance
    run: RunEntry | None
    """The run that moves."""
    driver: int | None
    """The process that follows it now, and is ended."""
    wishes: Wishes
    offers: tuple[RankedOffer, ...]
    """The best first."""
    note: str
    """The market's words, when there is none."""
    named: bool = False
    """Whether the operator chose the offer: then it is that one or none."""

    @property
    def most_usd_per_hour(self) -> float:
        """What another offer may cost when the best is gone: the limit that was given, or else the dearer of the two
        prices that the question names."""
        shown = [self.old.usd_per_hour, *(each.usd_per_hour for each in self.offers[:1])]
        return self.wishes.max_usd_per_hour or max(shown)

    def check_run(self, meant: str | None) -> None:
        """Hold what would move against the run that the operator was asked about; None stands for any.

        Raises:
            CannotRerent: it is another run, or there is none any more.
        """
        on = self.run.run_id if self.run is not None else "no run"
        if meant is not None and meant != on:
            raise CannotRerent(
                f"{on} is on instance {self.old.instance_id} by now, not {meant}: nothing was touched; look again"
            )

    @property
    def words(self) -> str:
        """For the question before it."""
        if not self.offers:
            return f"instance {self.old.instance_id}: go on where it stood"
        best = self.offers[0]
        place = f"{best.offer.gpu_name} in {best.offer.location} (offer {best.offer.id}, {best.history.words})"
        words = f"instance {self.old.instance_id} at {usd_per_hour(self.old.usd_per_hour)} by {place} at "
        words += usd_per_hour(best.usd_per_hour)
        if self.run is not None:
            words += f", and move run {self.run.run_id} there"
        return words + (f" (process {self.driver}, which follows it, is ended)" if self.driver is not None else "")


def plan_rerent(
    session: Session, instance_id: int, *, offer_id: int | None = None, max_usd_per_hour: float | None = None
) -> RerentPlan:
    """What a re-rent of this instance would do; nothing is changed.

    Raises:
        CannotRerent: it was not rented from here, the run on it cannot move, or it is gone and was of no run.
        remote.cloud.CloudError: the cloud does not answer.
    """
    old = old_machine(session, instance_id)
    entry = RerentBook(session).read(instance_id)
    run = run_on(session, old, entry)
    wishes = same_terms(session, old, max_usd_per_hour=max_usd_per_hour)
    rented = entry is not None and entry.step.reached(Stage.RENTED)
    offers, note = ([], "") if rented else offers_like(session, old, run, wishes, offer_id)
    driver = Runbook(session.workspace).holder(run.run_id) if run is not None else None
    return RerentPlan(old, run, driver, wishes, tuple(offers), note, named=offer_id is not None)


def old_machine(session: Session, instance_id: int) -> RentedInstance:
    """The machine whose place is taken, as the ledger knows it.

    Raises:
        CannotRerent: it was not rented from here.
    """
    row = session.ledger.instance(session.cloud_name, instance_id)
    if row is None:
        raise CannotRerent(
            f"instance {instance_id} was not rented from this workspace: its terms are not known here; "
            "`spotter offers` and `spotter rent` take any"
        )
    return row


def run_on(session: Session, old: RentedInstance, begun: RerentEntry | None) -> RunEntry | None:
    """The run that moves.

    Raises:
        CannotRerent: it is spread over several machines, is through with this one, or went on with another; or there
            is none, and the machine is gone.
    """
    runbook, instance_id = Runbook(session.workspace), old.instance_id
    if begun is not None and begun.run_id is not None:
        run = runbook.read(begun.run_id)
        return run if begun.step.reached(Stage.MOVED) else still_movable(run, instance_id)
    for run in runbook.entries():
        if instance_id not in run.machines or run.phase is Phase.DONE:
            continue
        return still_movable(run, instance_id)
    if begun is None and not old.alive:
        raise CannotRerent(f"instance {instance_id} is gone and no run is on it: there is nothing to put in its place")
    return None


def still_movable(run: RunEntry, instance_id: int) -> RunEntry:
    """The run, if it can go on with another machine than this one.

    Raises:
        CannotRerent: it is spread over several machines, is through with this one, or went on with another.
    """
    if run.sharded:
        raise CannotRerent(
            f"run {run.run_id} is spread over several machines, which are replaced by themselves: "
            f"`spotter destroy {instance_id} --force` gives this one up"
        )
    if run.machines and instance_id not in run.machines:
        raise CannotRerent(
            f"run {run.run_id} went on with instance {run.instance_id}: `spotter ps` shows what is still rented"
        )
    if run.phase.reached(Phase.ENDED):
        raise CannotRerent(
            f"run {run.run_id} is through with instance {instance_id}: `spotter run --resume {run.run_id}` "
            "fetches what is there and finishes"
        )
    return run
