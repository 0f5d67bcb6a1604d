"""Debian packages on a box: what is handy, without which the main job still goes, and what a run cannot do without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remote.bootstrap.box import Box
from remote.bootstrap.box_packages import MARK
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.marks import marked
from remote.bootstrap.steps import Step, StepHopeless, StepUnmet
from remote.ssh.stream import Completed

PROVES = {
    "git": "git",
    "rsync": "rsync",
    "tmux": "tmux",
    "jq": "jq",
    "poppler-utils": "pdftoppm",
    "tesseract-ocr": "tesseract",
}
"""Package → the program that shows that it is there, however it came; others are asked of dpkg."""

LANGUAGE = "tesseract-ocr-"
"""How Debian's packages of Tesseract's languages begin; Tesseract itself tells whether one is there."""

MISSING = r"""
mark="$1"; shift
for pair; do
  package="${pair%%=*}" proof="${pair#*=}"
  case "$proof" in
    '') dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ;;
    language:*) tesseract --list-langs 2>&1 | grep -qix "${proof#*:}" ;;
    *) command -v "$proof" >/dev/null 2>&1 ;;
  esac || echo "$mark$package"
done
"""
NO_APT, NO_ROOT = 41, 42
MAY_INSTALL = f"""
command -v apt-get >/dev/null 2>&1 || exit {NO_APT}
[ "$(id -u)" = 0 ] || exit {NO_ROOT}
"""
UNREACHABLE = ("Failed to fetch", "Could not resolve", "Could not connect", "Temporary failure")
"""What apt says when its servers are not to be reached; `update` then ends well all the same."""
APT_INSTALL = r"""
# A server of somebody else's packages may be down or unsigned: what counts is whether the install finds its own.
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 update
exec apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 install --no-install-recommends "$@"
"""


def system_step(packages: Sequence[str], *, may_install: bool = True) -> Step:
    """What of `packages` is missing is installed, unless the box's system is not ours to change."""
    return _step("system-packages", packages, may_install, optional=True)


def run_packages_step(packages: Sequence[str], *, may_install: bool = True) -> Step:
    """The same for packages without which the run that asks for them cannot work: a box that lacks them is not ready.

    Where they cannot be installed, the step fails with one sentence: no root, no apt, no network, or no such package.
    """
    return _step("run-packages", packages, may_install, optional=False)


def _step(name: str, packages: Sequence[str], may_install: bool, *, optional: bool) -> Step:
    names = tuple(packages)
    return Step(
        name,
        hash_of([names, may_install]),
        lambda box: _check(box, names, may_install),
        lambda box: _install(box, names),
        600,
        retries=1,
        optional=optional,
    )


def _proof(package: str) -> str:
    """What shows that a package is there: a program, `language:` and a name that Tesseract lists, or nothing known."""
    if package.startswith(LANGUAGE):
        return "language:" + package.removeprefix(LANGUAGE).replace("-", "_")
    return PROVES.get(package, "")


def _missing(box: Box, packages: Sequence[str]) -> list[str]:
    pairs = [f"{name}={_proof(name)}" for name in packages]
    shown = f"look for {', '.join(packages)}"
    return marked(box.expect(["/bin/sh", "-c", MISSING, "sh", MARK, *pairs], shown=shown))


def _check(box: Box, packages: Sequence[str], may_install: bool) -> Mapping[str, str]:
    missing = _missing(box, packages)
    if not missing:
        return {"there": ", ".join(packages)}
    names = ", ".join(missing)
    if not may_install:
        raise StepHopeless(
            f"{names} cannot be installed: the box is emulated on this machine; "
            f"here `apt-get install {' '.join(missing)}` does it"
        )
    refusal = box.run(["/bin/sh", "-c", MAY_INSTALL], shown=f"apt-get install {' '.join(missing)}").exit_code
    if refusal:
        why = "the image has no apt-get" if refusal == NO_APT else "the login is not root"
        raise StepHopeless(f"{names} cannot be installed: {why}")
    raise StepUnmet(f"{names} is missing")


def _install(box: Box, packages: Sequence[str]) -> None:
    missing = _missing(box, packages)
    done = box.run(["/bin/sh", "-c", APT_INSTALL, "sh", *missing], shown=f"apt-get install {' '.join(missing)}")
    if done.exit_code != 0:
        raise StepUnmet(f"{', '.join(missing)} cannot be installed: {_refusal(done)}")


def _refusal(done: Completed) -> str:
    """Why apt failed, in its own words, on one line."""
    lines = [line.strip() for line in (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()]
    unreached = next((line for line in lines if any(words in line for words in UNREACHABLE)), None)
    if unreached:
        return f"apt does not reach its servers from the box ({unreached})"
    complaints = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    return "; ".join(complaints) or done.last_lines() or f"apt-get ended with exit code {done.exit_code}"
