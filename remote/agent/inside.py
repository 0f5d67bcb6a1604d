"""Names that stay inside their folder; light, since an agent that comes back needs it before its first answer."""

from __future__ import annotations

import os


class UnsafePath(ValueError):
    """A name that would leave its folder."""


def check_name(name: str) -> str:
    """`name` itself if it is relative and stays inside: no `..`, no empty or `.` part, no NUL.

    Raises:
        UnsafePath: otherwise.
    """
    parts = name.split("/")
    foreign = os.name == "nt" and any(mark in name for mark in ("\\", ":"))
    if not name or "\0" in name or foreign or any(part in ("", ".", "..") for part in parts):
        raise UnsafePath(f"{name!r} is not a path inside its folder")
    return name


def resolve_inside(root: str, path: str) -> str:
    """The real path of `path` (absolute, or relative to `root`); links may not lead out of `root`.

    Raises:
        UnsafePath: it is outside.
    """
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, path))  # noqa: PTH118 - realpath follows links part by part
    if real != real_root and not real.startswith(real_root.rstrip("/") + "/"):
        raise UnsafePath(f"{path!r} is outside of {root}")
    return real
