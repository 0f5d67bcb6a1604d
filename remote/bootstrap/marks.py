"""Lines of our own in the output of a box: a login shell may print others around them."""

from __future__ import annotations

from remote.bootstrap.box_packages import MARK


def marked(output: str) -> list[str]:
    """What follows the mark, in lines that begin with it."""
    return [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
