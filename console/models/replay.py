"""The fleet as it was at a moment: rebuilt from the ledger's transitions and meters, and the recorder's samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.models.recorder_samples import Sample
from console.models.series import MINUTE_GAP_S

if TYPE_CHECKING:
    from console.models.recorder import RecordedEvent
    from console.models.spend import Rental
    from remote.ledger import TransitionRow


@dataclass(frozen=True, slots=True)
class PastInstance:
    """One instance at the moment."""

    instance_id: int
    gpu: str
    state: str
    usd_per_hour: float
    """What was billed then, by the hour."""
    spent_usd: float
    """Until then."""
    rented_for_s: float
    run_id: str | None
    sample: Sample | None
    """What it did then; None when nothing was recorded about that time."""


@dataclass(frozen=True, slots=True)
class Past:
    """The fleet at one moment."""

    at: float
    """Unix seconds of this machine."""
    instances: tuple[PastInstance, ...]
    burn_usd_per_hour: float
    events: tuple[RecordedEvent, ...] = ()
    """What happened shortly before, newest first."""


def fleet_at(
    rentals: Sequence[Rental],
    histories: Mapping[int, Sequence[TransitionRow]],
    samples: Mapping[int, Sample],
    at: float,
    ahead_s: float = 0.0,
    events: Sequence[RecordedEvent] = (),
) -> Past:
    """The fleet as it was.

    Args:
        rentals: what the ledger counted, of every instance.
        histories: the states that each went through, oldest first.
        samples: the newest sample of each that is not later than the moment.
        at: the moment, Unix seconds of this machine.
        ahead_s: by how much the cloud's time, in which the ledger counts, is ahead of this machine's.
        events: what was recorded shortly before.
    """
    moment = at + ahead_s
    found = []
    for rental in rentals:
        row = rental.instance
        if not row.opened_at <= moment or (row.closed_at is not None and row.closed_at <= moment):
            continue
        states = [each.state for each in histories.get(row.instance_id, ()) if each.at <= moment]
        running = [
            meter
            for meter in rental.meters
            if meter.started_at <= moment and (meter.ended_at is None or moment < meter.ended_at)
        ]
        sample = samples.get(row.instance_id)
        found.append(
            PastInstance(
                row.instance_id,
                row.gpu_name,
                states[-1] if states else "allocated",
                sum(meter.usd_per_hour for meter in running),
                sum(meter.usd(moment) for meter in rental.meters if meter.started_at <= moment),
                moment - row.opened_at,
                row.run_id,
                sample if sample is not None and at - sample.at <= MINUTE_GAP_S else None,
            )
        )
    burn = sum(each.usd_per_hour for each in found)
    return Past(at, tuple(sorted(found, key=lambda each: each.instance_id)), burn, tuple(events))
