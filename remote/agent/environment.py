"""What our processes on a box pass on to those that they start. The box's own API key is never part of it."""

from __future__ import annotations

import os

KEPT_ENVIRONMENT = ("HOME", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CONTAINER_ID")


def clean_environment() -> dict[str, str]:
    """The part of this process's environment that jobs and helpers may know."""
    return {"LANG": "C.UTF-8", **{name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}}
