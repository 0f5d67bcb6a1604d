"""Which files make Spotter's worker: its own packages, exactly as they are installed beside this one."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

WORKER_PACKAGES = ("pipeline",)


class ReleaseUnavailable(Exception):
    """A package that must be pushed is not installed here as plain files."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release: its name there (relative, `/`), where it is here, and its permission bits."""

    name: str
    source: Path
    mode: int = 0o644


def worker_files(packages: tuple[str, ...] = WORKER_PACKAGES) -> list[ReleaseFile]:
    """Every file of the worker's packages as installed, data files too, found without importing them.

    Permission bits are reduced to 0644 or 0755, so that the tree hash does not depend on this machine's umask.

    Raises:
        ReleaseUnavailable: a package is not installed beside this one, or not as plain files.
    """
    files = []
    for package in packages:
        found = importlib.util.find_spec(package)
        folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
        if not folders or not all(folder.is_dir() for folder in folders):
            raise ReleaseUnavailable(f"the package {package!r} is not installed here as plain files; reinstall Spotter")
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                relative = path.relative_to(folder)
                if path.is_file() and _belongs(relative):
                    executable = bool(path.stat().st_mode & 0o100)
                    name = f"{package}/{relative.as_posix()}"
                    files.append(ReleaseFile(name, path, 0o755 if executable else 0o644))
    return files


def _belongs(relative: Path) -> bool:
    return (
        not any(part == "__pycache__" or part.startswith(".") for part in relative.parts) and relative.suffix != ".pyc"
    )
