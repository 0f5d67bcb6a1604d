"""The one Python of a box: found where images keep it, recorded, and from then on named by its absolute path."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from remote.bootstrap.box import Box
from remote.bootstrap.box_packages import MARK
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.install import NO_INTERPRETER, find_interpreter
from remote.bootstrap.marks import marked
from remote.bootstrap.steps import Step, StepUnmet

INTERPRETER = "interpreter"
WORKER_MINIMUM = (3, 11)
TELL_PYTHON = f"""
import os, platform, sys
for name, value in (
    ("path", sys.executable),
    ("version", platform.python_version()),
    ("implementation", sys.implementation.name),
    ("system", sys.platform),
    ("machine", platform.machine()),
):
    print({MARK!r} + name + "=" + value)
"""


def interpreter_step() -> Step:
    """Find it once; a recorded one is only looked at again."""
    return Step(INTERPRETER, hash_of([WORKER_MINIMUM, TELL_PYTHON]), _check, None, 60)


def markers_of(evidence: Mapping[str, str]) -> dict[str, str]:
    """The PEP 508 variables of the interpreter that the step found."""
    system = evidence["system"]
    python = {"cpython": "CPython", "pypy": "PyPy"}
    return {
        "implementation_name": evidence["implementation"],
        "implementation_version": evidence["version"],
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": evidence["machine"],
        "platform_python_implementation": python.get(evidence["implementation"], evidence["implementation"]),
        "platform_release": "",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}.get(system, system),
        "platform_version": "",
        "python_full_version": evidence["version"],
        "python_version": ".".join(evidence["version"].split(".")[:2]),
        "sys_platform": system,
    }


def _check(box: Box) -> Mapping[str, str]:
    """The path that was recorded once if it still is the same Python, else the first that is new enough."""
    if box.recorded:
        done = box.run([box.recorded["path"], "-S", "-c", TELL_PYTHON])
        if done.exit_code == 0 and _told(done.stdout) == dict(box.recorded):
            return box.recorded
    done = box.run(f"{find_interpreter(WORKER_MINIMUM)} {shlex.join(['-S', '-c', TELL_PYTHON])}")
    if done.exit_code == NO_INTERPRETER:
        wanted = ".".join(map(str, WORKER_MINIMUM))
        raise StepUnmet(f"the box has no Python {wanted} or newer; choose an image that has one")
    told = _told(done.stdout)
    if "machine" not in told:
        raise StepUnmet(done.last_lines())
    return told


def _told(output: bytes) -> dict[str, str]:
    lines = marked(output.decode("utf-8", "replace"))
    return dict(line.split("=", 1) for line in lines)
