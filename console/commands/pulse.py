"""The command `pulse`: the health of everything on one screen."""

from __future__ import annotations

import time

from console.commands.frame import Json, print_json, session


def pulse(as_json: Json = False) -> int:
    """Show how everything does: instances, runs, checks. The exit code is 1 when something is wrong."""
    from console.models.pulse import level_of, pulse_json
    from console.operations.pulse import read_pulse

    here = session()
    news = read_pulse(here)
    now, wall_now = (news.fleet.now if news.fleet is not None else here.clock.time()), time.time()
    if as_json:
        print_json(pulse_json(news, now, wall_now))
    else:
        from console.models.pulse_words import pulse_lines

        print("\n".join(pulse_lines(news, now, wall_now)))
    return 1 if level_of(news, now, wall_now) in ("error", "stale") else 0
