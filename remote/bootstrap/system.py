"""Debian packages that are handy on a box: installed where apt and root are, never required for the main job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remote.bootstrap.box import Box
from remote.bootstrap.box_packages import MARK
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.marks import marked
from remote.bootstrap.steps import Step, StepHopeless, StepUnmet

PROVES = {
    "git": "git",
    "rsync": "rsync",
    "tmux": "tmux",
    "jq": "jq",
    "poppler-utils": "pdftoppm",
}
"""Package → the program that shows that it is there, however it came; others are asked of dpkg."""

MISSING = r"""
mark="$1"; shift
for pair; do
  package="${pair%%=*}" program="${pair#*=}"
  if [ -n "$program" ]; then command -v "$program" >/dev/null 2>&1
  else dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; fi || echo "$mark$package"
done
"""
NO_APT, NO_ROOT = 41, 42
MAY_INSTALL = f"""
command -v apt-get >/dev/null 2>&1 || exit {NO_APT}
[ "$(id -u)" = 0 ] || exit {NO_ROOT}
"""
APT_INSTALL = r"""
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 update &&
exec apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 install --no-install-recommends "$@"
"""


def system_step(packages: Sequence[str], *, may_install: bool = True) -> Step:
    """What of `packages` is missing is installed, unless the box's system is not ours to change."""
    names = tuple(packages)
    return Step(
        "system-packages",
        hash_of([names, may_install]),
        lambda box: _check(box, names, may_install),
        lambda box: _install(box, names),
        600,
        retries=1,
        optional=True,
    )


def _missing(box: Box, packages: Sequence[str]) -> list[str]:
    pairs = [f"{name}={PROVES.get(name, '')}" for name in packages]
    return marked(box.expect(["/bin/sh", "-c", MISSING, "sh", MARK, *pairs]))


def _check(box: Box, packages: Sequence[str], may_install: bool) -> Mapping[str, str]:
    missing = _missing(box, packages)
    if not missing:
        return {"there": ", ".join(packages)}
    names = ", ".join(missing)
    if not may_install:
        raise StepHopeless(f"{names} cannot be installed: the box is emulated on this machine")
    refusal = box.run(["/bin/sh", "-c", MAY_INSTALL]).exit_code
    if refusal:
        why = "the image has no apt-get" if refusal == NO_APT else "the login is not root"
        raise StepHopeless(f"{names} cannot be installed: {why}")
    raise StepUnmet(f"{names} is missing")


def _install(box: Box, packages: Sequence[str]) -> None:
    missing = _missing(box, packages)
    done = box.run(["/bin/sh", "-c", APT_INSTALL, "sh", *missing], shown=f"apt-get install {' '.join(missing)}")
    if done.exit_code != 0:
        raise StepUnmet(done.last_lines() or f"apt-get ended with exit code {done.exit_code}")
