"""Why an instance gets nowhere: a reason in words, and the key that helps. Pure functions of values.

Thresholds are all here. Each is what it takes for patience to be wrong: below it healthy machines look the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from console.language import N_, _
from console.models.fleet import InstanceView, Load
from console.spoken import duration

Kind = Literal["orphan", "not-gone", "loading", "ssh", "away", "silent", "flat", "disk", "vram", "unfollowed"]

LOADING_S = 20 * 60.0
"""An image of 10 GB over 100 Mb/s takes under 14 minutes and shows nothing meanwhile."""
BOOTING_S = 6 * 60.0
"""SSH of a healthy container answers within two minutes; renting itself gives up after about six."""
DESTROYING_S = 3 * 60.0
"""The cloud confirms within seconds; asking for it gives up after two minutes."""
AWAY_S = 5 * 60.0
"""From here on renting, too, counts a box whose host is away as lost."""
SILENT_S = 10 * 60.0
"""The slowest stage that writes nothing, a checkpoint that is loaded, takes under five."""
FLAT_S = 20 * 60.0
"""A page takes seconds, the largest drawing in tiles under ten minutes."""
UNFOLLOWED_S = 2 * 60.0
"""A run that is resumed has a driver again within this."""
DISK_FULL = 0.95
"""Runs keep 4 MB by to say that the disk is full; a pulled artifact or a checkpoint wants more."""
IDLE_GPU = 0.01
"""nvidia-smi rounds to whole percents."""
VRAM_NEAR = 0.90
VRAM_GREW = 0.20
VRAM_SPAN_S = 10 * 60.0
VRAM_RISING = 0.8
"""A leak: over ten minutes memory grew by a fifth of the card, nearly every sample above the one before, and it is
nearly full. Caches of a loading model rise as fast, and then stay."""
IDLE_SPAN_S = 5 * 60.0
"""So long must the GPU have been at rest: between two pages it always is."""

LOADING = frozenset({"provisioning", "created", "loading", "allocated", "pulling", "recycling"})
KNOCKING = frozenset({"booting", "reachable", "authed", "rebooting"})


@dataclass(frozen=True, slots=True)
class Stuck:
    """Why an instance gets nowhere."""

    kind: Kind
    for_s: float
    """How long it has been so; 0 when that says nothing."""
    detail: str = ""
    key: str = ""
    """What helps, as it is typed on the Fleet view."""
    advice: str = ""
    """What that key does, in English; translated by `words_of`."""


WORDS: dict[Kind, str] = {
    "orphan": N_("billed to nobody's use"),
    "not-gone": N_("still billed: the cloud has not confirmed its end for {time}"),
    "loading": N_("still loading its image after {time}"),
    "ssh": N_("runs, but SSH does not let us in for {time}"),
    "away": N_("its host is away for {time}"),
    "silent": N_("its run works, the GPU rests, and nothing was logged for {time}"),
    "flat": N_("its run works, and no item was finished for {time}"),
    "disk": N_("its disk is {detail} full"),
    "vram": N_("its GPU's memory grows and is {detail} full: a leak ends in an error"),
    "unfollowed": N_("its run works, but no process here follows it for {time}"),
}
SHORT: dict[Kind, str] = {
    "orphan": N_("orphan"),
    "not-gone": N_("not gone"),
    "loading": N_("slow load"),
    "ssh": N_("no ssh"),
    "away": N_("host away"),
    "silent": N_("no sign"),
    "flat": N_("no progress"),
    "disk": N_("disk full"),
    "vram": N_("VRAM leak"),
    "unfollowed": N_("unfollowed"),
}
ADVICE: dict[Kind, tuple[str, str]] = {
    "orphan": ("D", N_("destroys it")),
    "not-gone": ("D", N_("asks the cloud again")),
    "loading": ("R", N_("rents another in its place")),
    "ssh": ("R", N_("rents another in its place")),
    "away": ("R", N_("moves its run to another")),
    "silent": ("l", N_("shows its log")),
    "flat": ("l", N_("shows its log")),
    "disk": ("s", N_("opens a shell: make room")),
    "vram": ("t", N_("shows its run: smaller batches help")),
    "unfollowed": ("t", N_("shows its run: R there goes on with it")),
}


def stuck_of(view: InstanceView, now: float, wall_now: float) -> Stuck | None:
    """The gravest reason why an instance gets nowhere; None while it may well be healthy.

    Args:
        view: the instance.
        now: unix seconds in the cloud's time, in which its states are noted.
        wall_now: unix seconds of this machine, in which its run and its figures are noted.
    """
    if not view.billed or view.stale:
        return None
    if view.orphan:
        return _made("orphan", 0.0)
    in_state_s = 0.0 if view.since is None else max(0.0, now - view.since)
    by_state: tuple[tuple[Kind, bool, float], ...] = (
        ("not-gone", view.state == "destroying", DESTROYING_S),
        ("loading", view.state in LOADING, LOADING_S),
        ("ssh", view.state in KNOCKING, BOOTING_S),
        ("away", view.state in ("offline", "lost"), AWAY_S),
    )
    for kind, holds, limit_s in by_state:
        if holds:
            return _made(kind, in_state_s) if in_state_s > limit_s else None
    return _by_figures(view, wall_now) or _by_work(view, wall_now)


def _by_figures(view: InstanceView, now: float) -> Stuck | None:
    load = view.load
    if load is None or now - load.at > SILENT_S:
        return None  # figures so old tell of another time
    if load.disk is not None and load.disk >= DISK_FULL:
        return _made("disk", 0.0, f"{load.disk:.0%}")
    if leaks(load):
        return _made("vram", 0.0, f"{load.vram[-1]:.0%}")
    return None


def _by_work(view: InstanceView, now: float) -> Stuck | None:
    work = view.work
    if work is None or not work.working or work.heard_at is None:
        return None
    quiet_s = now - work.heard_at
    if work.driver is None:  # then silence is ours: nobody copies its files here
        return _made("unfollowed", quiet_s) if quiet_s > UNFOLLOWED_S else None
    if quiet_s > SILENT_S and rests(view.load, now):
        return _made("silent", quiet_s)
    flat_s = 0.0 if work.progressed_at is None else now - work.progressed_at
    return _made("flat", flat_s) if flat_s > FLAT_S else None


def rests(load: Load | None, now: float) -> bool:
    """Whether the GPU did nothing of late. Without figures a run that logs nothing gets no benefit of the doubt."""
    if load is None or not load.gpu or now - load.at > SILENT_S:
        return True
    return load.span_s >= IDLE_SPAN_S and max(load.gpu) <= IDLE_GPU


def leaks(load: Load) -> bool:
    """Whether the GPU's memory rises, and has nearly arrived at its end."""
    used: Sequence[float] = load.vram
    if len(used) < 3 or load.span_s < VRAM_SPAN_S:
        return False
    rising = sum(later > earlier for earlier, later in pairwise(used)) / (len(used) - 1)
    return used[-1] >= VRAM_NEAR and used[-1] - used[0] >= VRAM_GREW and rising >= VRAM_RISING


def words_of(stuck: Stuck) -> str:
    """The reason, in one clause."""
    return _(WORDS[stuck.kind]).format(time=duration(stuck.for_s), detail=stuck.detail)


def advice_of(stuck: Stuck) -> str:
    """`l shows its log`."""
    return f"{stuck.key} {_(stuck.advice)}"


def short_of(stuck: Stuck) -> str:
    """One or two words, for a cell."""
    return _(SHORT[stuck.kind])


def _made(kind: Kind, for_s: float, detail: str = "") -> Stuck:
    key, advice = ADVICE[kind]
    return Stuck(kind, for_s, detail, key, advice)
