"""Rent a machine and see it verified, or leave nothing behind: the state machine between an offer and a usable box."""

from __future__ import annotations

from pathlib import Path

from remote.arrival import Arrival
from remote.budget import Budget
from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import Cloud, Instance, Price
from remote.desk import Desk
from remote.ending import Ending
from remote.keys import KeyPair
from remote.labels import is_foreign, is_ours
from remote.ledger import Ledger
from remote.owner import owner_here
from remote.progress import Report, silent
from remote.reconcile import Reconciler
from remote.rental import (
    Attempt,
    NoOffers,
    NotDestroyed,
    OverBudget,
    ProvisionError,
    ProvisionFailed,
    Rental,
    RentRequest,
    Unusable,
    WrongCloud,
)
from remote.renting import Renting
from remote.states import LOOPBACK_LIMITS, Limits, State
from remote.track import Track

__all__ = [
    "Attempt",
    "NoOffers",
    "NotDestroyed",
    "OverBudget",
    "ProvisionError",
    "ProvisionFailed",
    "Provisioner",
    "RentRequest",
    "Rental",
    "WrongCloud",
]


class Provisioner:
    """Rents, verifies, adopts, watches and destroys instances of one cloud, with every step on the ledger first."""

    def __init__(
        self,
        cloud: Cloud,
        ledger: Ledger,
        key: KeyPair,
        pins: Path,
        *,
        ssh_user: str = "root",
        limits: Limits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        claims: Path | None = None,
    ) -> None:
        """`claims`: lock file of the account, shared by all workspaces that use it; beside the ledger without one."""
        self._desk = Desk(
            cloud,
            ledger,
            key,
            pins,
            ssh_user,
            limits or (LOOPBACK_LIMITS if cloud.emulated else Limits()),
            clock,
            claims or ledger.path.with_name(f"create-{cloud.name}.lock"),
        )
        self._ending = Ending(self._desk)
        self._reconciler = Reconciler(self._desk, self._ending)

    def provision(self, request: RentRequest, report: Report = silent) -> Rental:
        """Search, rent, wait until it lets us in, verify. Interrupted anywhere, it leaves no instance.

        Raises:
            NoOffers, OverBudget: nothing was rented.
            ProvisionFailed: every rental failed and was destroyed.
            NotDestroyed: one that failed could not be destroyed.
            CloudError: the cloud refuses us or does not answer.
        """
        wanted = _wanted(request)
        request_id = self._desk.ledger.open_request(self._desk.cloud_name, wanted, run_id=request.run_id)
        track = Track(self._desk.ledger, self._desk.cloud_name, request_id, report)
        try:
            Budget(self._desk, request).refuse_spent()
            return Renting(self._desk, self._ending, request, track).rent()
        except BaseException as error:
            if track.state in (State.PLANNED, State.SEARCHED, State.CLAIMING, State.RECONCILING, State.GONE):
                self._desk.ledger.transition(request_id, State.FAILED.value, message=str(error) or type(error).__name__)
            raise

    def adopt(self, instance_id: int, report: Report = silent) -> Rental:
        """Take over a living instance (of an earlier session, or an orphan): wait, attach our key, verify.

        One that will not do is left as it was, alive and on the ledger: it is not destroyed, rebooted or made anew.

        Raises:
            ProvisionFailed: it is gone or unusable.
            WrongCloud: it is rented on another cloud.
        """
        ledger, cloud_name = self._desk.ledger, self._desk.cloud_name
        self._ending.refuse_other_cloud(instance_id)
        instance = self._desk.cloud.instance(instance_id)
        if instance is None:
            raise ProvisionFailed(f"instance {instance_id} is gone: the {cloud_name} cloud does not know it")
        before = ledger.instance(cloud_name, instance_id)
        request_id = ledger.open_request(cloud_name, {"adopt": instance_id, "owner": owner_here()})
        self._ending.remember(instance, request_id=request_id)
        ledger.hand_over(cloud_name, instance_id, request_id)
        track = Track(ledger, cloud_name, request_id, report)
        try:
            track.enter(State.ALLOCATED, f"taking over instance {instance_id}", instance_id=instance_id)
            arrived = Arrival(self._desk, may_mend=False).wait(track, instance_id, image_gb=0)
        except BaseException as error:
            ledger.transition(request_id, State.FAILED.value, message=str(error) or type(error).__name__)
            ledger.hand_over(cloud_name, instance_id, before.request_id if before else None)
            state = State(before.state) if before and before.alive else State.LOST
            ledger.transition(
                None, state.value, cloud=cloud_name, instance_id=instance_id, message=f"not taken over: {error}"
            )
            if isinstance(error, Unusable):
                raise ProvisionFailed(f"instance {instance_id} cannot be taken over: {error}") from error
            raise
        row = ledger.instance(cloud_name, instance_id)
        assert row is not None
        price = Price(row.gpu_usd_per_hour, row.disk_usd_per_hour, 0.0)
        return Rental(request_id, arrived.instance, None, price, arrived.endpoint, instance.label)

    def reconcile(self, report: Report = silent) -> list[Instance]:
        """Settle what earlier sessions left: finish half-done destroys, close rows of instances that are gone,
        destroy what an unanswered create or a half-way rental left under our label.

        Returns the instances that are still alive and known.

        Raises:
            NotDestroyed: one of them could not be destroyed; everything else was settled.
            CloudError: the cloud refuses us or does not answer.
        """
        return self._reconciler.reconcile(report)

    def look_after(self, report: Report = silent, listed: list[Instance] | None = None) -> list[Instance]:
        """Follow every box in use with one list call (or with `listed`, just asked for): its bill, and whether it was
        stopped (outbid, no credit), is lost (its host away for five minutes), or is back.

        Returns what the cloud lists.
        """
        return self._reconciler.look_after(report, listed)

    def destroy(self, instance_id: int, report: Report = silent) -> None:
        """Destroy and see the cloud confirm it, then close the ledger's row. Works for an orphan; twice is no error.

        Raises:
            NotDestroyed: the cloud still shows it after the limit.
            WrongCloud: it is rented on another cloud, which must be configured first.
        """
        self._ending.destroy(instance_id, report)

    def orphans(self, listed: list[Instance] | None = None) -> list[Instance]:
        """Instances that this workspace rented and its ledger does not know to be alive; each costs `usd_per_hour`."""
        mark = self._desk.ledger.mark
        return [each for each in self._unknown(listed) if is_ours(each.label, mark)]

    def foreign(self, listed: list[Instance] | None = None) -> list[Instance]:
        """Instances that another workspace of this account rented: to be shown, and left alone."""
        mark = self._desk.ledger.mark
        return [each for each in self._unknown(listed) if is_foreign(each.label, mark)]

    def _unknown(self, listed: list[Instance] | None) -> list[Instance]:
        alive = self._desk.ledger.instances(alive_only=True, cloud=self._desk.cloud_name)
        known = {row.instance_id for row in alive}
        found = self._desk.cloud.instances() if listed is None else listed
        return [each for each in found if each.id not in known]


def _wanted(request: RentRequest) -> dict[str, object]:
    return {
        "gpu_names": list(request.query.gpu_names),
        "gpu_count": request.query.gpu_count,
        "disk_gb": request.ordered_disk_gb,
        "image": request.image,
        "offer_id": request.offer_id,
        "max_usd_per_hour": request.max_usd_per_hour,
        "max_usd_per_day": request.max_usd_per_day,
        "owner": owner_here(),
    }
