"""Runs on the box, in the interpreter that it judges: does it hold exactly the wanted packages, and do they load?

Standard library only, Python 3.9 or newer. Its argument is JSON: `wanted` (name → version), `of_torch` (which of these
are torch or its CUDA libraries), `imports` (modules that must load), `cuda` (torch must find a GPU).
It ends with the reason as its message, or prints one marked line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

MARK = "spotter-evidence "
LEFT_OUT = ("pymupdf.layout", "pymupdf4llm")
"""PyMuPDF imports these when it can and bears their absence, so its import proves nothing of them: that takes a second
of a machine that is paid for, and the worker leaves them out too until a run wants the layout model."""


def public(version: str) -> str:
    """Without the local part: `2.13.0+cu128` is a build of 2.13.0."""
    return version.partition("+")[0]


def main() -> None:
    """Judge, and tell."""
    asked = json.loads(sys.argv[1])
    wanted: dict[str, str] = asked["wanted"]
    of_torch = set(asked["of_torch"])
    found: dict[str, str] = {}
    places: dict[str, list[str]] = {}
    for name in wanted:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = distribution.version
        places.setdefault(str(distribution.locate_file("")), []).append(name)
    wrong = [name for name in wanted if found.get(name) != wanted[name]]
    if wrong and of_torch.issuperset(wrong) and same_torch(wanted, found):
        wrong = []
    if wrong:
        words = [f"{name} {found.get(name, 'is missing')}, {wanted[name]} is wanted" for name in wrong]
        sys.exit("; ".join(words[:5]) + (f"; and {len(words) - 5} more" if len(words) > 5 else ""))
    told: dict[str, Any] = {"found": found, "places": places, "made": made_by()}
    if asked["cuda"]:
        told["torch"] = cuda()  # before all else is loaded: without a GPU nothing else matters
    for name in set(LEFT_OUT).difference(asked["imports"]):
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's word for "there is no such module"
    for name in asked["imports"]:
        importlib.import_module(name)
    print("\n" + MARK + json.dumps(told))


def same_torch(wanted: dict[str, str], found: dict[str, str]) -> bool:
    """Whether torch and torchvision are other CUDA builds, both the same, of the wanted versions."""
    pair = [(wanted.get(name, ""), found.get(name, "")) for name in ("torch", "torchvision")]
    builds = {version.partition("+")[2] for _wanted, version in pair}
    return all(asked and public(version) == asked for asked, version in pair) and len(builds) == 1


def made_by() -> dict[str, Any]:
    """What is written in an environment that the bootstrap made; empty for the image's own."""
    mark = Path(sys.prefix) / "spotter-ready.json"
    made: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else {}
    return made


def cuda() -> str:
    """Torch, its CUDA and the GPU that it finds; ends the program when it finds none, or has no code for it."""
    torch: Any = importlib.import_module("torch")
    build = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
    if not torch.cuda.is_available():
        sys.exit(f"{build} finds no GPU: the driver is older than that CUDA needs, or the box has none")
    major, minor = torch.cuda.get_device_capability(0)
    if not has_code_for(torch.cuda.get_arch_list(), major, minor):
        sys.exit(f"{build} has no code for sm_{major}{minor}, only {' '.join(torch.cuda.get_arch_list())}")
    return f"{build} on {torch.cuda.get_device_name(0)}, sm_{major}{minor}"


def has_code_for(architectures: list[str], major: int, minor: int) -> bool:
    """Whether a build runs on a GPU: code of its generation not newer than it, or PTX that it can translate."""
    for architecture in architectures:
        kind, _, number = architecture.partition("_")
        digits = number.rstrip("af")
        if not digits.isdigit():
            continue
        built = (int(digits[:-1]), int(digits[-1]))
        if kind == "sm" and built[0] == major and built[1] <= minor:
            return True
        if kind == "compute" and built <= (major, minor):
            return True
    return False


if __name__ == "__main__":
    main()
