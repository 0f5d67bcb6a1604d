"""A console that kills itself (-9) at a named point of its work; run in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from remote.keys import ensure_key_pair
from remote.ledger import Ledger
from remote.localcloud.clock import MarketClock
from remote.localcloud.connect import local_cloud
from remote.progress import Progress, silent
from remote.provision import Provisioner
from tests.remote.stepped import LIMITS, REQUEST

PRELOADED = [__name__, "paramiko", "psutil", "remote.vast.client", "vastai", "remote.ssh.dial"]
CREATE_TIMEOUT_S = 30.0


def die() -> None:
    """As `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def console(directory: str, base: str, keys: str, work: str, when: str, what: str) -> None:
    """Do some work and die on the way.

    Args:
        directory: of the marketplace.
        base: of the workspace.
        keys: folder of the key pair.
        work: provision, reconcile, or adopt:<instance id>.
        when: "state" (a state was just entered, nothing done in it), "before" or "after" a call.
        what: the state, or the call, as cloud.create or ledger.close_instance; "nothing" never comes.
    """
    clock = MarketClock(Path(directory), stepping=True)
    cloud: Any = local_cloud(Path(directory), create_timeout_s=CREATE_TIMEOUT_S, clock=clock)
    ledger: Any = Ledger(Path(base) / "state.db", clock=clock)
    if when in ("before", "after"):
        part, name = what.split(".")
        owner = {"cloud": cloud, "ledger": ledger}[part]
        setattr(owner, name, _deadly(getattr(owner, name), when))

    def listen(progress: Progress) -> None:
        if when == "state" and progress.phase == what:
            die()

    provisioner = Provisioner(
        cloud, ledger, ensure_key_pair(Path(keys)), Path(base) / "pins", limits=LIMITS, clock=clock
    )
    if work == "provision":
        provisioner.provision(replace(REQUEST, run_id="r"), listen)
    elif work == "reconcile":
        provisioner.reconcile(listen if when == "state" else silent)
    else:
        provisioner.adopt(int(work.removeprefix("adopt:")), listen)


def _deadly(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    def called(*arguments: Any, **values: Any) -> Any:
        if when == "before":
            die()
        call(*arguments, **values)
        die()

    return called
