"""Re-rent: another machine on the same terms in a machine's place, with the run that works on it.

Pull down, rent, give the old one back, push, resume. Each step is on disk before the next, and the same command goes on
where it stood. The old machine goes only once everything on it is verified to be here, or was given up by name; the new
one is rented before that, unless the day's cap has no room for both.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from console.operations.destroy import StillNeeded, check_may_go, check_nothing_is_lost, destroy
from console.operations.events import OperationEvent, Report, Step, silent
from console.operations.letting_go import take_over
from console.operations.offers import OfferNotThere
from console.operations.prepare import GRACE_S
from console.operations.pull import pull
from console.operations.rent import rent
from console.operations.rerent_book import RerentBook, RerentEntry, where_it_stands
from console.operations.rerent_book import Step as Stage
from console.operations.rerent_offers import RankedOffer, has_room, in_turn, offers_like
from console.operations.rerent_plan import CannotRerent, RerentPlan, old_machine, run_on, still_movable
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import InstanceGone, Session
from console.operations.watch import watch
from remote.states import IN_USE

if TYPE_CHECKING:
    from remote.cloud import Instance
    from remote.ledger import RentedInstance

SWEEP_S = 15.0


@dataclass(frozen=True, slots=True)
class Rerented:
    """What came of it."""

    old_id: int
    new_id: int
    run_id: str | None
    """The run that is to be driven on, on the new machine."""
    old_is_gone: bool


def rerent(session: Session, plan: RerentPlan, report: Report = silent, *, give_up: bool = False) -> Rerented:
    """Put another machine in the place of the old one, and the run on it; the caller drives the run on.

    Args:
        session: the workspace's session.
        plan: what was asked about.
        report: is told of every step.
        give_up: go on without what cannot be fetched from the old machine, and destroy it all the same.

    Raises:
        console.operations.letting_go.NotTheDriver: another command than its driver is at the run; nothing was touched.
        StillNeeded: something on the old machine is not here and cannot be fetched; nothing was rented.
        OfferNotThere: the market has nothing like it; what is done so far stays done.
        remote.provision.ProvisionError: no machine could be had, or the day's cap forbids it.
        remote.cloud.CloudError: the cloud does not answer.
    """
    book, runbook = RerentBook(session), Runbook(session.workspace)
    old_id, run = plan.old.instance_id, plan.run
    with ExitStack() as stack:
        stack.enter_context(book.hold(old_id))
        begun = book.read(old_id)
        if not plan.offers and not (begun is not None and begun.step.reached(Stage.RENTING)):
            raise OfferNotThere(f"nothing like instance {old_id} is on offer, so nothing was touched: {plan.note}")
        # another re-rent may have been through since the plan
        now_on = run_on(session, old_machine(session, old_id), begun)
        if (now_on and now_on.run_id) != (run and run.run_id):
            raise CannotRerent(f"what works on instance {old_id} has changed since: look again")
        if run is not None and not (begun is not None and begun.step.reached(Stage.MOVED)):
            take_over(runbook, run.run_id, lambda words: report(OperationEvent("rerent", "progress", words)))
            stack.enter_context(runbook.hold(run.run_id))
            run = still_movable(runbook.read(run.run_id), old_id)
        entry = book.begin(old_id, run.run_id if run is not None else None)
        try:
            return _Move(session, book, replace(plan, run=run), entry, report, give_up).do()
        except KeyboardInterrupt:
            report(OperationEvent("rerent", "failed", where_it_stands(book.read(old_id) or entry)))
            raise
        except Exception as error:
            error.add_note(where_it_stands(book.read(old_id) or entry))
            raise


class _Move:
    """One pass over what is still to do."""

    def __init__(
        self, session: Session, book: RerentBook, plan: RerentPlan, entry: RerentEntry, report: Report, give_up: bool
    ) -> None:
        self._session = session
        self._book = book
        self._plan = plan
        self._entry = entry
        self._report = report
        self._give_up = give_up
        self._old_id = plan.old.instance_id

    def do(self) -> Rerented:
        """From the step on disk to the last."""
        if not self._entry.step.reached(Stage.MOVED):
            self._bring_home()  # also a second time: the run may have gone on here since
        if not self._entry.step.reached(Stage.RENTED):
            self._rent()
        new_id = self._entry.new_id
        assert new_id is not None
        if not self._entry.step.reached(Stage.MOVED):
            self._move_run(new_id)
        gone = self._give_old_back()
        self._book.forget(self._old_id)
        return Rerented(self._old_id, new_id, self._entry.run_id, gone)

    def _update(self, **changes: object) -> None:
        self._entry = self._book.update(self._entry, **changes)

    def _say(self, message: str) -> None:
        self._report(OperationEvent("rerent", "progress", message))

    def _bring_home(self) -> None:
        """Fetch what the run did and see that nothing on the old machine would be lost."""
        if _seen(self._session, self._old_id) is None:
            self._say(f"instance {self._old_id} is gone: what is here is all there is")
            self._come_home()
            return
        try:
            run = self._plan.run
            if run is not None and run.phase.reached(Phase.LAUNCHED):
                self._end_job_and_pull(run)
            if run is not None:
                check_nothing_is_lost(self._session, self._old_id)
            else:
                check_may_go(self._session, self._old_id)
        except Exception as error:
            if not (self._give_up or self._entry.given_up):
                raise StillNeeded(
                    f"instance {self._old_id} stays as it is, for not everything on it is here ({error}); "
                    f"`spotter rerent {self._old_id} --give-up` goes on without it"
                ) from error
            self._say(f"what is not here is given up: {error}")
            self._update(given_up=True)
        self._come_home()

    def _come_home(self) -> None:
        """From here on the run can go on from this machine: with the old instance, or with any other."""
        if self._entry.run_id is not None:
            Runbook(self._session.workspace).update(
                self._entry.run_id, phase=Phase.RENTED, state="queued", problem=None, exit_code=None, job_id=None
            )
        if not self._entry.step.reached(Stage.HOME):
            self._update(step=Stage.HOME)

    def _end_job_and_pull(self, run: RunEntry) -> None:
        """Let the job finish what is in flight, then fetch all that it listed."""
        from remote.jobs import Agent, NoSuchJob

        session, root = self._session, self._session.settings.cloud.remote_root
        assert run.job_id is not None
        reach = session.reacher(self._old_id)
        with Step("rerent", f"stopping run {run.run_id} on instance {self._old_id}", self._report) as step:
            with reach() as transport, Agent.start(transport, root, reconnect=reach) as agent:
                try:
                    agent.cancel(run.job_id)
                    agent.wait(run.job_id, timeout_s=GRACE_S + SWEEP_S)
                    watch(session, agent, run, self._report)
                except NoSuchJob:
                    step.summary = "its job was never started there"
                    return
            step.summary = "its job has ended in order"
        pull(session, self._old_id, run.run_id, self._report, orderly=False)

    def _rent(self) -> None:
        from remote.provision import NoOffers, OverBudget, ProvisionFailed

        found = self._rented_before()
        if found is not None:
            self._say(f"instance {found} was rented for this already")
            self._update(step=Stage.RENTED, new_id=found)
            return
        run, wishes = self._plan.run, self._plan.wishes
        refused: Exception | None = None
        for each in in_turn(self._plan.offers, self._plan.most_usd_per_hour, self._look_again):
            self._update(step=Stage.RENTING, offer_id=each.offer.id, renting_at=self._session.clock.time())
            try:
                rental = self._rent_making_room(each, run)
            except OverBudget as error:
                if not has_room(self._session, each, run, wishes):
                    raise
                refused = error  # it is dearer than a moment ago
                self._say(f"{error}; trying the next")
            except (NoOffers, ProvisionFailed) as error:
                if isinstance(error, ProvisionFailed) and error.our_fault:
                    raise
                refused = error
                self._refuse_second(error)
                self._say(f"offer {each.offer.id} is not to be had ({error}); trying the next")
            else:
                self._update(step=Stage.RENTED, new_id=rental)
                return
        raise refused or OfferNotThere(f"nothing like instance {self._old_id} is on offer: {self._plan.note}")

    def _look_again(self) -> list[RankedOffer]:
        """What the market has by now; nothing where the operator wants one offer or none."""
        plan = self._plan
        return [] if plan.named else offers_like(self._session, plan.old, plan.run, plan.wishes)[0]

    def _rent_making_room(self, each: RankedOffer, run: RunEntry | None) -> int:
        """Rent it; where the day's cap has room for it alone, the old machine, whose results are here, goes first."""
        from remote.provision import OverBudget

        session, wishes, old = self._session, self._plan.wishes, self._plan.old
        try:
            return self._rent_one(each, run)
        except OverBudget:
            stays = has_room(session, each, run, wishes) or _seen(session, self._old_id) is None
            if stays or not has_room(session, each, run, wishes, without=old):
                raise
        self._say("the day's cap has no room for both: the old machine goes first, its results are here")
        destroy(session, self._old_id, force=self._entry.given_up, report=self._report)
        return self._rent_one(each, run)

    def _refuse_second(self, error: Exception) -> None:
        """Whatever was said of a rental that failed: while the ledger holds its machine for alive, no other is rented.

        Raises:
            Exception: `error`.
        """
        if any(self._is_this_rental(row) for row in self._session.living_rentals()):
            raise error

    def _rent_one(self, each: RankedOffer, run: RunEntry | None) -> int:
        rental = rent(
            self._session,
            run.profile if run is not None else None,
            offer_id=each.offer.id,
            run_id=run.run_id if run is not None else None,
            wishes=self._plan.wishes,
            agreed_usd_per_hour=each.usd_per_hour,
            report=self._report,
        )
        return rental.instance.id

    def _rented_before(self) -> int | None:
        """What a pass that was killed had rented and did not come to write down."""
        if self._entry.step is not Stage.RENTING:
            return None
        living = self._session.living_rentals()
        return next((row.instance_id for row in living if self._is_this_rental(row) and row.state in IN_USE), None)

    def _is_this_rental(self, row: RentedInstance) -> bool:
        entry = self._entry
        return row.instance_id != self._old_id and row.offer_id == entry.offer_id and row.opened_at >= entry.renting_at

    def _move_run(self, new_id: int) -> None:
        """Let the run's book name the new machine: from here on `run --resume`, too, goes on there."""
        if self._entry.run_id is not None:
            Runbook(self._session.workspace).update(self._entry.run_id, instance_id=new_id)
            self._say(f"run {self._entry.run_id} goes on with instance {new_id}")
        self._update(step=Stage.MOVED)

    def _give_old_back(self) -> bool:
        """Destroy the old machine; the run goes on whether it resists or not, but nobody is left to think it gone."""
        try:
            destroy(self._session, self._old_id, force=self._entry.given_up, report=self._report)
        except InstanceGone:
            return True
        except Exception as error:  # noqa: BLE001 - it is told now, and again when the run is through
            self._report(
                OperationEvent(
                    "rerent", "failed",
                    f"STILL BILLED: instance {self._old_id} could not be destroyed ({error}): "
                    f"`spotter destroy {self._old_id} --force` tries again",
                )
            )  # fmt: skip
            return False
        return True


def _seen(session: Session, instance_id: int) -> Instance | None:
    try:
        return session.instance(instance_id)
    except InstanceGone:
        return None
