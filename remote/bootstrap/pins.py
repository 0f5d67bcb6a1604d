"""The exact packages of a worker environment, with their hashes, as they were exported from the lock file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from remote.bootstrap.needs import BoxNeeds

IMPORTS = {
    "cpu": ("pymupdf", "cv2", "numpy", "pydantic", "orjson", "PIL", "yaml", "ulid"),
    "gpu": ("torch", "torchvision", "transformers", "pycocotools"),
    "original": ("groundingdino", "sam2", "hydra"),
    "jupyter": ("jupyterlab", "ipykernel"),
}
"""The modules that prove that an environment loads, by the group of requirements that brings them."""

SOURCES_ONLY = frozenset({"groundingdino-py", "sam2", "antlr4-python3-runtime", "iopath"})
"""Published without wheels: built on the box, from the hashed source, with the environment's own setuptools."""

_TORCH_STACK = re.compile(r"torch|torchvision|triton|cuda-\w+|nvidia-.+")


class PinsUnreadable(Exception):
    """A requirements file of this installation is missing or not what `uv export` writes."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package at one version; `marker` says on which boxes (PEP 508, empty for all)."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def of_torch(self) -> bool:
        """Whether it is torch or one of the CUDA libraries that come with it."""
        return _TORCH_STACK.fullmatch(self.name) is not None

    def line(self) -> str:
        """As a line of a requirements file."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={each}" for each in self.hashes)])


def parse_pins(text: str) -> tuple[Pin, ...]:
    """Read what `uv export` wrote.

    Raises:
        PinsUnreadable: a line is not one exact version with hashes.
    """
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)(?:\s*;\s*(.*?))?((?:\s+--hash=\S+)+)\s*", line)
        if found is None:
            raise PinsUnreadable(f"{line[:80]!r} is not a pinned package with hashes: run  make requirements")
        name, version, marker, hashes = found.groups()
        pins.append(Pin(name, version, marker or "", tuple(each[len("--hash=") :] for each in hashes.split())))
    return tuple(pins)


def groups_of(needs: BoxNeeds) -> tuple[str, ...]:
    """The groups of the lock that a box gets; each stack's own group holds those below it."""
    return (needs.stack, "jupyter") if needs.jupyter else (needs.stack,)


def imports_of(needs: BoxNeeds) -> tuple[str, ...]:
    """The modules that must load on a box."""
    stacks = ("cpu", "gpu", "original")
    wanted = [*stacks[: stacks.index(needs.stack) + 1], *groups_of(needs)[1:]]
    return tuple(module for group in wanted for module in IMPORTS[group])


def worker_pins(needs: BoxNeeds) -> tuple[Pin, ...]:
    """Everything that a box gets, for boxes of every kind; `on_box` chooses for one."""
    merged = {(pin.name, pin.version, pin.marker): pin for group in groups_of(needs) for pin in _group(group)}
    return tuple(merged[key] for key in sorted(merged))


def on_box(pins: Iterable[Pin], markers: Mapping[str, str]) -> tuple[Pin, ...]:
    """Those of `pins` that apply to a box, told by its interpreter's PEP 508 variables, each package once."""
    from packaging.markers import Marker

    chosen: dict[str, Pin] = {}
    for pin in pins:
        if not pin.marker or Marker(pin.marker).evaluate({**markers, "extra": ""}):
            known = chosen.setdefault(pin.name, pin)
            if known.version != pin.version:
                raise PinsUnreadable(f"{pin.name} is pinned to both {known.version} and {pin.version} for one box")
    return tuple(chosen.values())


@cache
def _group(group: str) -> tuple[Pin, ...]:
    path = resources.files("remote.bootstrap").joinpath("requirements", f"worker-{group}.txt")
    try:
        return parse_pins(path.read_text("utf-8"))
    except OSError as error:
        raise PinsUnreadable(f"{path} is missing: reinstall Spotter, or run  make requirements") from error
