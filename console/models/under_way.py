"""What commands of this console are doing to instances right now, read from the command log."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from console.language import N_
from console.models.command_log import Ran

WORDS = {"destroy": N_("destroying…"), "stop": N_("stopping…"), "rerent": N_("replacing…")}
"""What each command is doing to the instance that it names first."""


def under_way(ran: Iterable[Ran], waiting: Iterable[Sequence[str]], heard_at: float | None) -> dict[int, str]:
    """Instances of which a command was agreed to that has not failed, and whose end the cloud has not told yet.

    Args:
        ran: what was run, oldest first.
        waiting: commands that wait for their turn, without `spotter`.
        heard_at: when the cloud was heard last, unix seconds; a command that ended well later still counts.

    Returns:
        A word of `WORDS`, not translated, by instance.
    """
    found: dict[int, str] = {}
    for each in ran:
        instance_id, word = _about(shlex.split(each.line)[1:])
        if instance_id is None:
            continue
        at_it = each.waited_for and each.exit_code is None
        ended_at = each.at + (each.seconds or 0.0)
        if at_it or (each.exit_code == 0 and (heard_at is None or ended_at > heard_at)):
            found[instance_id] = word
        else:
            found.pop(instance_id, None)
    for argv in waiting:
        instance_id, word = _about(argv)
        if instance_id is not None:
            found[instance_id] = word
    return found


def _about(argv: Sequence[str]) -> tuple[int | None, str]:
    if len(argv) < 2 or argv[0] not in WORDS or not argv[1].isdigit():
        return None, ""
    return int(argv[1]), WORDS[argv[0]]
