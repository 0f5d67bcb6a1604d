"""What differs between this workspace and a box, by pair: own code, data, results. Pure; asking is done elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from console.operations.transfers import Transfer
    from remote.sync.compare import Difference

Kind = Literal["code", "data", "results"]
KINDS: tuple[Kind, ...] = ("code", "data", "results")
TO_PUSH = frozenset({"only here", "changed here"})
TO_FETCH = frozenset({"only there", "changed there"})
CONFLICT = "changed on both"


@dataclass(frozen=True, slots=True)
class RunOnBox:
    """One run whose results a box lists."""

    run_id: str
    missing: tuple[str, ...]
    """Files that the box lists and that are not here, verified."""
    driven: bool = False
    """Whether a process of ours works on it: that one fetches by itself."""


@dataclass(frozen=True, slots=True)
class BoxPlan:
    """What one comparison with a box found."""

    instance_id: int
    planned_at: float
    """Unix seconds."""
    differences: tuple[Difference, ...] = ()
    runs: tuple[RunOnBox, ...] = ()
    error: str = ""
    """Why there is none; the lists are empty then."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box that is rented, as it is known without asking it."""

    instance_id: int
    gpu: str
    transfer: Transfer | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One kind of files on both sides of one box."""

    box: Box
    kind: Kind
    plan: BoxPlan | None
    """None before the first comparison."""
    planning: bool
    to_push: tuple[Difference, ...] = ()
    to_fetch: tuple[Difference, ...] = ()
    conflicts: tuple[Difference, ...] = ()
    runs: tuple[RunOnBox, ...] = ()

    @property
    def key(self) -> str:
        """`31245/code`."""
        return f"{self.box.instance_id}/{self.kind}"

    @property
    def files_left(self) -> int | None:
        """Files that are not the same on both sides; None before a comparison."""
        if self.plan is None or self.plan.error:
            return None
        listed = len(self.to_push) + len(self.to_fetch) + len(self.conflicts)
        return listed + sum(len(run.missing) for run in self.runs)

    @property
    def bytes_left(self) -> int | None:
        """Bytes that would travel; None where a list tells no sizes or nothing was compared."""
        if self.files_left is None or (self.runs and any(run.missing for run in self.runs)):
            return None
        sent = sum(each.here.size for each in self.to_push if each.here is not None)
        return sent + sum(each.there.size for each in self.to_fetch if each.there is not None)

    @property
    def moving(self) -> bool:
        """Whether files of this pair travel now: a push sends code and data."""
        return self.kind != "results" and self.box.transfer is not None and self.box.transfer.state == "running"

    @property
    def problem(self) -> bool:
        """Whether it wants an eye."""
        broken = self.kind != "results" and self.box.transfer is not None
        broken = broken and self.box.transfer is not None and self.box.transfer.state in ("failed", "broken off")
        return bool(self.conflicts) or broken or bool(self.plan is not None and self.plan.error)


def pairs_of(
    boxes: Sequence[Box], plans: Mapping[int, BoxPlan], planning: frozenset[int], data: str = "data"
) -> list[Pair]:
    """Three pairs a box, in order; `data` is the data folder's name in the workspace."""
    found = []
    for box in boxes:
        plan = plans.get(box.instance_id)
        differences = plan.differences if plan is not None else ()
        for kind in KINDS:
            mine = [each for each in differences if _kind_of(each.name, data) == kind]
            found.append(
                Pair(
                    box,
                    kind,
                    plan,
                    box.instance_id in planning,
                    tuple(each for each in mine if each.kind in TO_PUSH),
                    tuple(each for each in mine if each.kind in TO_FETCH),
                    tuple(each for each in mine if each.kind == CONFLICT),
                    plan.runs if plan is not None and kind == "results" else (),
                )
            )
    return found


def _kind_of(name: str, data: str) -> Kind:
    """To which pair a file of the working copy belongs."""
    return "data" if name == data or name.startswith(f"{data}/") else "code"
