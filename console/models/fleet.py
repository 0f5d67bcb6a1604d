"""What the fleet view shows: the cloud's instances joined with the ledger's money, guards, and the runs on them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from console.models.fleet_facts import FleetFacts
    from console.operations.session import Session
    from remote.cloud import Cloud, Instance
    from remote.ledger import RentedInstance
    from remote.money import Money

LISTING_LAG_S = 60.0
"""How long a new instance may be missing from the cloud's list: clouds list what they rent with a delay."""
MOST_ASKED = 5
"""Of instances that an empty list leaves out: one that is known is enough to doubt the list."""
TOLD_HERE = ("run_id", "unpulled_run", "work", "load", "note", "guard", "spent_usd", "freed_at")
"""Fields of an instance that this machine's own files tell, whether the cloud answers or not."""
CREDIT_LIFE_S = 60.0
"""How long a credit that was told is good enough for a screen."""

STOPPED_HERE = "stopped from here; its disk is still billed"
"""What the ledger notes of an instance that the operator stopped."""

Standing = Literal["ours", "orphan", "foreign", "missing"]
"""ours: the ledger knows it. orphan: our label, but the ledger does not hold it for alive. foreign: somebody else's.
missing: the ledger holds it for alive, the cloud does not list it."""


class ListingDoubted(Exception):
    """The cloud's list contradicts what the cloud says of a single instance."""


@dataclass(frozen=True, slots=True)
class GuardView:
    """What the box itself will do about its bill, as it was last told and as it proved."""

    ends_at: float
    """Unix seconds, by the box's clock."""
    action: str
    """destroy | stop."""
    idle_s: float | None
    idle_action: str
    """destroy | stop."""
    proven: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Load:
    """What a box's own figures say; of several GPUs the busiest counts. Shares are 0 to 1."""

    at: float
    """Unix seconds of this machine at which the newest was noted."""
    gpu: tuple[float, ...] = ()
    """How busy the GPU was, the oldest first, the newest last."""
    vram: tuple[float, ...] = ()
    """How full its memory was, likewise."""
    span_s: float = 0.0
    """From the oldest of these figures to the newest."""
    vram_used_mb: float | None = None
    vram_total_mb: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    cpu: tuple[float, ...] = ()
    ram: tuple[float, ...] = ()
    disk: float | None = None
    disk_free_gb: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """The run on an instance, as far as this machine's copy of its files tells. Times are unix seconds, here."""

    run_id: str
    pipeline: str
    state: str
    done: int
    total: int
    driver: int | None
    """The process of this machine that follows it; without one its files here do not grow."""
    progressed_at: float | None
    """When the last item was through, or a stage began."""
    heard_at: float | None
    """When its log or its events last grew here."""
    last_lines: tuple[str, ...] = ()
    problem: str = ""

    @property
    def working(self) -> bool:
        """Whether it should be making progress now."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance, ready to draw."""

    id: int
    gpu: str
    state: str
    usd_per_hour: float
    spent_usd: float
    started_at: float | None
    label: str
    location: str
    endpoints: tuple[str, ...]
    message: str
    run_id: str | None
    standing: Standing = "ours"
    guard: GuardView | None = None
    disk_usd_per_hour: float = 0.0
    """What it costs also while it is stopped; 0 when the ledger does not know it."""
    unpulled_run: str | None = None
    """The run that has results on it that are not here."""
    gpus: int = 1
    since: float | None = None
    """When it entered the state that it is in, in the cloud's time; None when nobody noted it."""
    why: str = ""
    """What the ledger noted when it entered that state."""
    disk_gb: float = 0.0
    image: str = ""
    note: str = ""
    """What the operator wrote on it; nobody else sees it."""
    load: Load | None = None
    work: Work | None = None
    offer_id: int | None = None
    ends_at: float | None = None
    """When the host ends the contract, unix seconds in the cloud's time."""
    unlisted: int = 0
    """How many lists in a row left it out. One alone proves nothing: a cloud that comes back up lists what it has by
    and by."""
    freed_at: float | None = None
    """When the last run was through with it, unix seconds, here."""
    stale: bool = False
    """Whether this is only how it was last known: the newest listing is missing, or cannot be trusted."""

    @property
    def orphan(self) -> bool:
        """Whether it is billed to us and nothing of ours knows why."""
        return self.standing == "orphan"

    @property
    def billed(self) -> bool:
        """Whether it is our money."""
        return self.standing != "foreign"


@dataclass(frozen=True, slots=True)
class FleetView:
    """All instances at one moment; `error` says why they are older than that."""

    instances: tuple[InstanceView, ...] = ()
    spent_today_usd: float = 0.0
    credit_usd: float | None = None
    emulated: bool = False
    heard_at: float | None = None
    error: str | None = None
    money: Money | None = None
    credit_at: float = 0.0
    """Monotonic seconds at which the credit was told."""
    now: float = 0.0
    """Unix seconds in the cloud's time, in which ages are counted."""

    @property
    def trusted(self) -> bool:
        """Whether the cloud listed what it has, and the list can be believed: without that nothing more is rented."""
        return self.error is None and self.heard_at is not None

    @property
    def orphans(self) -> tuple[InstanceView, ...]:
        """Instances under our label that the ledger does not hold for alive."""
        return tuple(each for each in self.instances if each.orphan)


def read_fleet(session: Session, previous: FleetView | None = None, facts: FleetFacts | None = None) -> FleetView:
    """Ask the cloud, and join what it lists with what is known here.

    When it does not answer, or answers what cannot be, the last known rows stay, marked stale, and `error` says why: an
    error never reads as "nothing is rented".

    Args:
        session: the workspace's session.
        previous: the view before, for what stays when nobody answers.
        facts: kept by the caller between two looks, so that each reads only what is new.
    """
    from console.models.fleet_facts import FleetFacts
    from remote.cloud import CloudError
    from remote.money import midnight_before, money_now

    ledger, clock, name = session.ledger, session.clock, session.cloud_name
    now = clock.time()
    seen = (facts or FleetFacts(session)).look()
    known = {row.instance_id: row for row in session.living_rentals()}

    def more(instance_id: int) -> dict[str, Any]:
        return {
            **seen.of(instance_id),
            "spent_usd": ledger.spent_usd(cloud=name, instance_id=instance_id),
            "guard": _guard(session, instance_id),
            **_state_since(session, instance_id),
        }

    try:
        cloud = session.living_cloud()
        instances = cloud.instances() if cloud else []
        if cloud is not None and not instances:
            refuse_empty(cloud, list(known.values()), now)
        if cloud is not None:
            session.provisioner.look_after(listed=instances)
        credit, credit_at = _credit(cloud, previous)
    except (CloudError, ListingDoubted) as error:
        held = [_unlisted_view(row, more(row.instance_id), stale=True) for row in known.values()]
        return last_known(previous or FleetView(emulated=session.emulated), held, str(error), now)
    now = clock.time()
    known = {row.instance_id: row for row in session.living_rentals()}  # looking after them may have moved some
    listed = {instance.id for instance in instances}
    views = []
    for each in instances:
        row = known.get(each.id)
        views.append(_listed_view(each, row, _standing(each, row, ledger.mark), more(each.id)))
    before = {each.id: each for each in previous.instances if not each.stale} if previous is not None else {}
    views += [
        _unlisted_view(row, more(row.instance_id), lists=1 + (was.unlisted if was is not None else 0))
        for row in known.values()
        if row.instance_id not in listed
        and ((was := before.get(row.instance_id)) is not None or now - row.opened_at > LISTING_LAG_S)
    ]
    return FleetView(
        tuple(sorted(views, key=lambda view: (view.standing == "foreign", view.id))),
        ledger.spent_usd(midnight_before(now), cloud=name),
        credit,
        session.emulated,
        time.time(),
        None,
        money_now(ledger, name, credit, clock, cap_usd=session.settings.money.max_usd_per_day),
        credit_at,
        now,
    )


def refuse_empty(cloud: Cloud, known: Sequence[RentedInstance], now: float) -> None:
    """See that a list without any instance can be believed: those of the ledger are asked for one by one.

    Raises:
        ListingDoubted: the cloud lists nothing, and knows one of them all the same.
        remote.cloud.CloudError: it does not answer.
    """
    for row in [row for row in known if now - row.opened_at > LISTING_LAG_S][:MOST_ASKED]:
        if cloud.instance(row.instance_id) is not None:
            raise ListingDoubted(
                f"the cloud lists no instance at all, but knows {row.instance_id}: its list cannot be believed"
            )


def last_known(view: FleetView, held: Sequence[InstanceView], reason: str, now: float) -> FleetView:
    """The view as it was before nobody answered, with what the ledger holds for alive and that view did not know.

    What is told here, money and runs, is as new as ever; an instance that the ledger closed meanwhile is gone.
    """
    fresh = {each.id: each for each in held}
    kept = [
        replace(each, stale=True, unlisted=0, **{name: getattr(fresh[each.id], name) for name in TOLD_HERE})
        if each.id in fresh
        else replace(each, stale=True)
        for each in view.instances
        if each.id in fresh or each.standing in ("orphan", "foreign")
    ]
    known = {each.id for each in kept}
    kept += [each for each in held if each.id not in known]
    return replace(view, instances=tuple(kept), error=reason, now=now)


def guard_view(evidence: Mapping[str, Any]) -> GuardView | None:
    """What the ledger's step "deadman" says of a box; None when it was never told anything."""
    order = evidence.get("order")
    if not isinstance(order, Mapping):
        return None
    proof = evidence.get("proof") or {}
    proven = bool(proof.get("ok")) and bool(evidence.get("alive"))
    problem = "" if proven else str(proof.get("message") or "its dead-man does not run")
    action = str(order["action"])
    idle_action = str(order.get("idle_action") or action)
    return GuardView(float(order["deadline_at"]), action, order.get("idle_s"), idle_action, proven, problem)


def _guard(session: Session, instance_id: int) -> GuardView | None:
    for step in session.ledger.steps(session.cloud_name, instance_id):
        if step.step_id == "deadman":
            return guard_view(step.evidence)
    return None


def _credit(cloud: Cloud | None, previous: FleetView | None) -> tuple[float | None, float]:
    """The credit, asked for once a minute: a real cloud counts such questions."""
    now = time.monotonic()
    if previous is not None and previous.credit_usd is not None and now - previous.credit_at < CREDIT_LIFE_S:
        return previous.credit_usd, previous.credit_at
    return (cloud.account().credit_usd if cloud else None), now


def _state_since(session: Session, instance_id: int) -> dict[str, Any]:
    """When, and with which words, an instance entered the state that the ledger has it in."""
    history = session.ledger.history(session.cloud_name, instance_id)
    if not history:
        return {}
    since = history[-1].at
    for each in reversed(history):
        if each.state != history[-1].state:
            break
        since = each.at
    offline = session.ledger.offline_since(session.cloud_name, instance_id)
    return {"since": since if offline is None else max(since, offline), "why": history[-1].message}


def _standing(instance: Instance, row: RentedInstance | None, mark: str) -> Standing:
    from remote.labels import is_ours

    if row is not None:
        return "ours"
    return "orphan" if is_ours(instance.label, mark) else "foreign"


def _state(instance: Instance, row: RentedInstance | None) -> str:
    """The ledger knows better than the cloud what a running instance is ready for, and what was asked to end."""
    if row is not None and (row.state == "destroying" or instance.status == "running"):
        return row.state
    return instance.status.value


def _listed_view(
    instance: Instance, row: RentedInstance | None, standing: Standing, more: Mapping[str, Any]
) -> InstanceView:
    """An instance that the cloud lists."""
    return InstanceView(
        id=instance.id,
        gpu=instance.gpu_name if instance.gpu_count == 1 else f"{instance.gpu_count}× {instance.gpu_name}",
        state=_state(instance, row),
        usd_per_hour=instance.usd_per_hour,
        started_at=instance.started_at if row is None else row.opened_at,
        label=instance.label,
        location=instance.location,
        endpoints=tuple(map(str, sorted(instance.endpoints, key=lambda each: each.kind != "direct"))),
        message=instance.status_message.strip(),
        disk_usd_per_hour=row.disk_usd_per_hour if row is not None else 0.0,
        gpus=instance.gpu_count,
        disk_gb=instance.disk_gb,
        image=instance.image,
        offer_id=row.offer_id if row is not None else None,
        ends_at=instance.ends_at,
        standing=standing,
        **more,
    )


def _unlisted_view(
    row: RentedInstance, more: Mapping[str, Any], *, stale: bool = False, lists: int = 0
) -> InstanceView:
    """An instance that was rented, whose end nobody confirmed, and that the cloud does not list.

    `stale`: the cloud was not heard, so that nothing is known of its being listed. `lists`: how many in a row left it
    out.
    """
    return InstanceView(
        id=row.instance_id,
        gpu=row.gpu_name,
        state=row.state,
        usd_per_hour=row.usd_per_hour,
        started_at=row.opened_at,
        label=row.label,
        location="–",
        endpoints=(),
        message="" if stale else "the cloud does not list it; destroying it settles the ledger",
        disk_usd_per_hour=row.disk_usd_per_hour,
        offer_id=row.offer_id,
        standing="ours" if stale else "missing",
        unlisted=lists,
        stale=stale,
        **more,
    )
