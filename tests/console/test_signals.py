"""A Ctrl-C that falls into a finalizer, where Python forgets exceptions, still stops the command."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

PROGRAM = """
    import os, signal, sys, time, weakref
    from console.operations.signals import deaf_to_signals, stop_on_signals

    class Held: ...

    def finalizer():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)

    stop_on_signals()
    try:
        {body}
        print("went on")
    except KeyboardInterrupt:
        print("stopped")
"""


def said_by(body: str) -> tuple[str, str]:
    program = dedent(PROGRAM).format(body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip(), done.stderr


def test_ctrl_c_in_a_finalizer_stops_the_command_and_prints_no_traceback() -> None:
    body = "held = Held(); weakref.finalize(held, finalizer); del held; time.sleep(20)"
    assert said_by(body) == ("stopped", "")


def test_ctrl_c_in_a_destructor_waits_for_work_that_must_not_be_interrupted() -> None:
    body = (
        "Held.__del__ = lambda self: finalizer(); Held()\n"
        "    with deaf_to_signals(): time.sleep(0.3); print('unharmed')\n"
        "    time.sleep(20)"
    )
    assert said_by(body) == ("unharmed\nstopped", "")


def test_other_mishaps_of_finalizers_are_still_shown() -> None:
    body = "held = Held(); weakref.finalize(held, lambda: 1 / 0); del held"
    said, complaint = said_by(body)
    assert said == "went on"
    assert "ZeroDivisionError" in complaint
