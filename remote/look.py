"""Looking at one instance: patient with the cloud's API, impatient with what cannot be mended by waiting."""

from __future__ import annotations

from remote.cloud import CloudError, CloudUnreachable, Instance, InstanceStatus, RateLimited
from remote.desk import Desk
from remote.ledger_rows import MeterKind
from remote.rental import Unusable
from remote.states import Limits
from remote.track import Track

BROKEN_IMAGE_WORDS = ("manifest unknown", "unauthorized", "repository does not exist")
"""In a status message: the image cannot be had by anybody."""
BROKEN_MACHINE_WORDS = (
    "error response from daemon",
    "failed to pull image",
    "no space left on device",
    "unexpected eof",
    "oci runtime create failed",
    "failed to create task",
)
"""In a status message: this machine will not do, although its status goes on to say `loading`."""
OUT_OF_CREDIT = "the account ran out of credit"
SOMEBODY_ELSE = "somebody outbid us, or stopped it"


def look(desk: Desk, track: Track, instance_id: int) -> Instance | None:
    """The instance now; an API that is out of reach, or asks for fewer calls, is waited for a while."""
    deadline = desk.clock.monotonic() + desk.limits.unanswered_s
    while True:
        try:
            instance = desk.cloud.instance(instance_id)
        except (CloudUnreachable, RateLimited) as error:
            if desk.clock.monotonic() > deadline:
                raise
            track.tell(f"{error}; asking again")
            desk.clock.sleep(_pause_s(error, desk.limits.poll_s))
        else:
            if instance is not None:
                note_billed(desk, instance)
            return instance


def note_billed(desk: Desk, instance: Instance) -> None:
    """Let the ledger's meters run as the cloud bills: the GPU only while it runs, nothing while the host is away."""
    match instance.status:
        case InstanceStatus.RUNNING | InstanceStatus.FROZEN | InstanceStatus.UNKNOWN:
            billed: tuple[MeterKind, ...] = ("gpu", "disk")
        case InstanceStatus.OFFLINE:
            billed = ()
        case _:
            billed = ("disk",)
    desk.ledger.note_billed(desk.cloud_name, instance.id, billed)


def is_another_price(instance: Instance, known_usd_per_hour: float, limits: Limits) -> bool:
    """Whether the cloud's row names a price that is not the known one.

    Until it runs, a row may name only a part of it, as that of the disk: then a lower one says nothing.
    """
    now = instance.usd_per_hour
    if now <= 0 or (now < known_usd_per_hour and instance.status is not InstanceStatus.RUNNING):
        return False
    return abs(now - known_usd_per_hour) > limits.price_tolerance * known_usd_per_hour


def _pause_s(error: CloudError, poll_s: float) -> float:
    asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
    return max(asked_s or 0.0, poll_s)


def refuse_broken(desk: Desk, instance: Instance) -> None:
    """Raise Unusable for what waiting does not mend."""
    said = instance.status_message.lower()
    if any(words in said for words in BROKEN_IMAGE_WORDS):
        raise Unusable(f"the image cannot be pulled: {instance.status_message}", our_fault=True)
    if any(words in said for words in BROKEN_MACHINE_WORDS):
        raise Unusable(instance.status_message)
    if instance.status is InstanceStatus.EXITED:
        raise Unusable(f"the container ended: {_last_log_line(desk, instance) or instance.status_message}")
    if was_stopped(instance):
        why = why_stopped(desk)
        raise Unusable(f"the cloud stopped it: {why}", our_fault=why == OUT_OF_CREDIT, machine_is_bad=False)


def was_stopped(instance: Instance) -> bool:
    """Whether it was stopped, by whomever, instead of ending by itself."""
    stopped = instance.status in (InstanceStatus.STOPPED, InstanceStatus.FROZEN)
    return stopped or instance.intended_status == "stopped"


def why_stopped(desk: Desk) -> str:
    """The likeliest reason for a stop that we did not ask for: an empty account stops everything at once."""
    try:
        credit_usd = desk.cloud.account().credit_usd
    except CloudError as error:
        return f"{SOMEBODY_ELSE} (the credit is unknown: {error})"
    return OUT_OF_CREDIT if credit_usd <= 0 else SOMEBODY_ELSE


def _last_log_line(desk: Desk, instance: Instance) -> str:
    try:
        lines = desk.cloud.logs(instance.id, tail=20).strip().splitlines()
    except CloudError as error:
        return f"its log cannot be read: {error}"
    return lines[-1] if lines else ""
