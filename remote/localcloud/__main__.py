"""`python -m remote.localcloud --state DIR`: serve the emulated marketplace of a directory."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from pathlib import Path

from remote.localcloud.controls import NOT_MODELLED
from remote.localcloud.lock import ALREADY_SERVED, CloudLock


def main() -> int:
    """Serve in the foreground until Ctrl-C, or detached with --detach."""
    arguments = _parser().parse_args()
    state_dir = Path(arguments.state).resolve()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = CloudLock(state_dir)
    if not lock.take():
        print(f"another marketplace already serves {state_dir}", file=sys.stderr, flush=True)
        return ALREADY_SERVED
    if arguments.detach and not _became_daemon(state_dir / "cloud.log"):
        return 0
    return _serve(arguments, state_dir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m remote.localcloud",
        description="An emulated GPU marketplace on loopback that speaks vast.ai's HTTP surface; instances are real "
        "SSH servers. Nothing in it costs money. Not modelled: " + "; ".join(NOT_MODELLED) + ".",
    )
    parser.add_argument("--state", required=True, help="directory that holds its instances, keys and bills")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 for any (default)")
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds that pass in a real one")
    parser.add_argument("--scenario", metavar="NAME", default=None, help="a named scenario to put in force")
    parser.add_argument("--seed", type=int, default=0, help="which chances the scenario draws")
    parser.add_argument("--idle-exit", type=float, default=None, metavar="S", help="end after S seconds without use")
    parser.add_argument("--orphan-grace", type=float, default=10.0, metavar="S", help="a box outlives us by this much")
    parser.add_argument("--detach", action="store_true", help="run in the background, log to DIR/cloud.log")
    return parser


def _became_daemon(log: Path) -> bool:
    """Fork; True in the child, which has a session and a log of its own."""
    if os.fork():
        return False
    os.setsid()
    os.chdir("/")
    sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in ((0, nothing), (1, sink), (2, sink)):
        os.dup2(source, descriptor)
    os.close(sink)
    os.close(nothing)
    return True


def _serve(arguments: argparse.Namespace, state_dir: Path) -> int:
    import asyncio
    import signal

    from remote.localcloud.scenarios import NAMED
    from remote.localcloud.server import Marketplace, PortTaken, ServeSettings

    if arguments.scenario is not None and arguments.scenario not in NAMED:
        print(f"there is no scenario {arguments.scenario!r}; there are {', '.join(NAMED)}", file=sys.stderr, flush=True)
        return 1
    settings = ServeSettings(
        state_dir,
        arguments.port,
        arguments.speed,
        arguments.idle_exit,
        orphan_grace_s=arguments.orphan_grace,
        scenario=arguments.scenario,
        seed=arguments.seed,
        tells_key=not arguments.detach,
    )

    async def serve() -> None:
        marketplace = Marketplace(settings)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, marketplace.end)
        await marketplace.serve()

    try:
        asyncio.run(serve())
    except PortTaken as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    atexit.register(gc.freeze)  # the end looks through all that was loaded for garbage, a tenth of a second long
    sys.exit(main())
