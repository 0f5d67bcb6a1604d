"""Checkpoints by name: their verified files on this machine, and what stands for their content in cache keys.

Nothing that is missing is ever replaced by something else: whatever is wrong is one sentence with the command that
mends it. Fetching is `spotter weights fetch`; on a rented box the bootstrap does it, by the same program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.files import digest as digest_of
from pipeline.models.registry import CheckpointEntry, CheckpointFile, registry
from pipeline.models.store import Pin, default_root, forget, is_right, read_pins

__all__ = [
    "CheckpointDamaged",
    "CheckpointEntry",
    "CheckpointFile",
    "CheckpointFiles",
    "CheckpointMissing",
    "digest",
    "entry",
    "locate",
    "registry",
]


class CheckpointMissing(UsageError):
    """A checkpoint is not on this machine, or is none that anybody knows."""


class CheckpointDamaged(UsageError):
    """A file of a checkpoint is not what it must be."""


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """A checkpoint on this machine, every file of which was verified."""

    name: str
    folder: Path
    files: Mapping[str, Pin]
    """Path below the folder → size and sha256."""

    def path(self, name: str) -> Path:
        """Where one of its files lies."""
        return self.folder / name


def entry(name: str, root: Path | None = None) -> CheckpointEntry:
    """The registry's entry, or one made of what was fetched here under that name.

    A box knows entries of a user's own registry only by what its bootstrap fetched.

    Raises:
        CheckpointMissing: nobody knows it.
    """
    known = registry()
    if name in known:
        return known[name]
    fetched = {
        pinned.removeprefix(f"{name}/"): pin
        for pinned, pin in read_pins(root or default_root()).items()
        if pinned.startswith(f"{name}/")
    }
    if not fetched:
        raise CheckpointMissing(
            f"there is no checkpoint {name!r}; `spotter weights list` shows those that there are: "
            f"{', '.join(sorted(known))}"
        )
    files = tuple(
        CheckpointFile(path=path, bytes=pin.bytes, sha256=pin.sha256, hub=name) for path, pin in fetched.items()
    )
    return CheckpointEntry(name=name, files=files)


def pins_of(checkpoint: CheckpointEntry, root: Path) -> dict[str, Pin | None]:
    """What each file must be, by its path: the registry's word, else what was recorded when it was first fetched."""
    recorded = read_pins(root)
    pins: dict[str, Pin | None] = {}
    for file in checkpoint.files:
        known = recorded.get(f"{checkpoint.name}/{file.path}")
        size = file.bytes or (known and known.bytes)
        sha256 = file.sha256 or (known and known.sha256)
        pins[file.path] = Pin(size, sha256) if size and sha256 else None
    return pins


def locate(name: str, root: Path | None = None, *, again: bool = False) -> CheckpointFiles:
    """The verified files of a checkpoint. A file is hashed once, and when it changed; `again`: hashed now.

    Raises:
        CheckpointMissing: it is not here, or not whole.
        CheckpointDamaged: a file is not what it must be.
    """
    root = root or default_root()
    checkpoint = entry(name, root)
    folder = root / name
    pins = pins_of(checkpoint, root)
    mend = f"spotter weights fetch {name}"
    missing = [path for path, pin in pins.items() if not (folder / path).is_file() or pin is None]
    if missing:
        what = "none of it is there" if len(missing) == len(pins) else _listed(missing)
        raise CheckpointMissing(f"checkpoint {name} is not in {folder} ({what}); fetch it: {mend}")
    for path, pin in pins.items():
        assert pin is not None
        if again:
            forget(folder / path)
        if not is_right(folder / path, pin):
            size = (folder / path).stat().st_size
            why = f"has {size} bytes instead of {pin.bytes}" if size != pin.bytes else "has another sha256"
            raise CheckpointDamaged(f"checkpoint {name} is damaged: {folder / path} {why}; fetch it again: {mend}")
    return CheckpointFiles(name, folder, {path: pin for path, pin in pins.items() if pin is not None})


def digest(name: str, root: Path | None = None) -> str:
    """What stands for a checkpoint in cache keys: the same for the same files, wherever they lie.

    It is told by what the files must be, so it is known also on a machine that has none of them: a laptop that goes on
    from what a box found. That they are here, and right, is `locate`'s to say.

    Raises:
        CheckpointMissing: nobody knows the checkpoint, or what one of its files must be.
    """
    root = root or default_root()
    pins = pins_of(entry(name, root), root)
    unknown = [path for path, pin in pins.items() if pin is None]
    if unknown:
        raise CheckpointMissing(
            f"what {', '.join(unknown)} of checkpoint {name} must be is recorded when it is first fetched, and it was "
            f"not yet: spotter weights fetch {name}"
        )
    return digest_of(sorted([path, pin.sha256] for path, pin in pins.items() if pin is not None))


def _listed(paths: Iterable[str]) -> str:
    named = list(paths)
    return f"{', '.join(named)} {'is' if len(named) == 1 else 'are'} missing"
