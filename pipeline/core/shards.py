"""Shards: a manifest cut finely by a stable hash, and the queue of them on one box, whose every step is one rename.

    pending/0007.json → taken/<worker>/0007.json → done/0007.json

Several processes of a box, and the laptop that steals what nobody began, may work on one queue at the same time: a
rename has one winner. A worker that was killed finds what it had taken, and finishes that first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.errors import UsageError
from pipeline.core.files import fsync_folder, write_atomic

MOST_SHARDS = 256
USUAL_SHARDS = 64
ITEMS_PER_SHARD = 16
"""From a thousand items on, until there are MOST_SHARDS."""


def shard_count(items: int) -> int:
    """How many shards so many items make: one an item for a few, 64 for hundreds, up to 256 for thousands."""
    return max(1, min(MOST_SHARDS, max(min(USUAL_SHARDS, items), items // ITEMS_PER_SHARD)))


def shards_of(item_ids: Iterable[str], count: int) -> dict[str, tuple[str, ...]]:
    """Shard name → its items, in the order given; empty shards are left out. An item's shard depends on its id only."""
    found: dict[str, list[str]] = {}
    for item_id in item_ids:
        found.setdefault(f"{int(item_id[:12], 16) % count:04d}", []).append(item_id)
    return {name: tuple(found[name]) for name in sorted(found)}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a queue holds: shard names by where they are."""

    pending: tuple[str, ...]
    taken: tuple[str, ...]
    done: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `Listing.of` reads them back."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Sequence[str]]) -> Listing:
        """From `to_json`."""
        return cls(tuple(values["pending"]), tuple(values["taken"]), tuple(values["done"]))

    @property
    def held(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.pending, *self.taken, *self.done))


class ShardQueue:
    """The shards that one box was given, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending = folder / "pending"
        self._done = folder / "done"

    def add(self, shards: Mapping[str, Sequence[str]]) -> None:
        """Give the box these shards; one that it has already stays where it is."""
        for folder in (self._pending, self._done, self._folder / "taken", self._folder / "stolen"):
            folder.mkdir(parents=True, exist_ok=True)
        held = self.listing().held
        for name, items in shards.items():
            if name not in held:
                write_atomic(self._pending / f"{name}.json", orjson.dumps({"items": list(items)}), sync_folder=False)
        fsync_folder(self._pending)

    def listing(self) -> Listing:
        """What is where now. A shard that moves while this looks may show twice, never not at all."""
        pending = _names(self._pending)
        taken = tuple(name for folder in sorted((self._folder / "taken").glob("*")) for name in _names(folder))
        return Listing(pending, taken, _names(self._done))

    def take(self, worker: str, at_most: int) -> dict[str, tuple[str, ...]]:
        """Make up to so many pending shards this worker's own, the first ones first."""
        mine = self._folder / "taken" / worker
        mine.mkdir(parents=True, exist_ok=True)
        got: dict[str, tuple[str, ...]] = {}
        for name in _names(self._pending):
            if len(got) >= at_most:
                break
            if _move(self._pending / f"{name}.json", mine / f"{name}.json"):
                got[name] = _items(mine / f"{name}.json")
        return got

    def taken_by(self, worker: str) -> dict[str, tuple[str, ...]]:
        """What this worker took and did not finish, in an earlier life."""
        mine = self._folder / "taken" / worker
        return {name: _items(mine / f"{name}.json") for name in _names(mine)}

    def finish(self, worker: str, names: Iterable[str]) -> None:
        """Note that every item of these shards of the worker's came to its end."""
        for name in names:
            _move(self._folder / "taken" / worker / f"{name}.json", self._done / f"{name}.json")
        fsync_folder(self._done)

    def steal(self, at_most: int) -> tuple[str, ...]:
        """Take up to so many shards away that nobody began, the last ones first; they are the caller's now."""
        got: list[str] = []
        for name in reversed(_names(self._pending)):
            if len(got) >= at_most:
                break
            if _move(self._pending / f"{name}.json", self._folder / "stolen" / f"{name}.json"):
                got.append(name)
        return tuple(got)


def round_size(pending: int, workers: int, seconds_per_shard: float | None, round_s: float) -> int:
    """How many shards a worker takes at once.

    A round goes through the stages one after the other, so each stage's set-up is paid once a round: it should last
    about `round_s`. What is taken cannot be stolen any more, so it is never more than a worker's fair half of what is
    left, and only one while nobody knows how long a shard takes.
    """
    if seconds_per_shard is None:
        return 1
    fair = math.ceil(pending / (2 * max(1, workers)))
    return max(1, min(fair, int(round_s / max(seconds_per_shard, 1e-6))))


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("[0-9]*.json")))


def _move(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except FileNotFoundError:
        return False
    return True


def _items(path: Path) -> tuple[str, ...]:
    try:
        return tuple(orjson.loads(path.read_bytes())["items"])
    except (orjson.JSONDecodeError, KeyError) as error:
        raise UsageError(f"{path} is no shard ({error}): add the shard again") from error
