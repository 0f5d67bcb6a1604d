"""Whether a requirements file, and what uv exports from the lock now (stdin), give every kind of box the same.

Compared is what they mean: versions of uv write the same marker in different words.

Run: `uv export … | python -m tests.requirements_as_locked FILE`; exit code 1 names a box and what differs there.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from remote.bootstrap.interpreter import markers_of
from remote.bootstrap.pins import on_box, parse_pins

VERSIONS = ("3.11.0", "3.11.9", "3.12.4", "3.13.1", "3.14.0")
MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))


def difference(written: str, exported: str) -> str | None:
    """The first kind of box that would get something else, and what; None when there is none."""
    sides = parse_pins(written), parse_pins(exported)
    for version, (system, machine) in itertools.product(VERSIONS, MACHINES):
        box = markers_of({"implementation": "cpython", "version": version, "machine": machine, "system": system})
        ours, locks = ({(pin.name, pin.version, frozenset(pin.hashes)) for pin in on_box(side, box)} for side in sides)
        if ours != locks:
            names = ", ".join(sorted({f"{name}=={number}" for name, number, _hashes in ours ^ locks}))
            return f"Python {version} on {system} {machine}: {names}"
    return None


if __name__ == "__main__":
    found = difference(Path(sys.argv[1]).read_text("utf-8"), sys.stdin.read())
    if found is not None:
        print(found, file=sys.stderr)
    sys.exit(found is not None)
