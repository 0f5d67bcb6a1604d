"""The command `offers`: what could be rented now, and the watch that waits for it."""

from __future__ import annotations

import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from console.commands.frame import Json, Yes, ask, fail, print_json, reporting, session
from console.operations.signals import stop_on_signals

if TYPE_CHECKING:
    from console.operations.offers import Found, Wishes
    from console.operations.session import Session
    from remote.market import Look

PIPE_WIDTH = 500
UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ASK = "What to ask"
_WATCH = "Watch"


def _asks(help_text: str, *names: str, **bounds: Any) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=_ASK, **bounds)


def _watches(help_text: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=_WATCH)


def offers(
    profile: Annotated[
        str | None, _asks("A [profiles.…] of spotter.toml; the options below change what it asks.")
    ] = None,
    free: Annotated[bool, _asks("Ask only what the options below say, no profile.", "--free")] = False,
    gpu: Annotated[list[str] | None, _asks("The card's name, as “RTX 5090”; may be given again.")] = None,
    gpu_count: Annotated[int | None, _asks("How many cards.", "--count", min=1)] = None,
    vram: Annotated[float | None, _asks("Least memory of a card, GB.", min=0)] = None,
    cpu: Annotated[float | None, _asks("Least vCPUs.", min=0)] = None,
    ram: Annotated[float | None, _asks("Least memory of the machine, GB.", min=0)] = None,
    disk: Annotated[float | None, _asks("Disk to order, GB; it is in every price.", min=8)] = None,
    max_per_hour: Annotated[float | None, _asks("Dearest hour with the disk, $.", min=0)] = None,
    max_per_day: Annotated[
        float | None, _asks("Dearest day with disk and traffic, $; the cap holds anyhow.", min=0)
    ] = None,
    reliability: Annotated[float | None, _asks("Least reliability, as .98.", min=0, max=1)] = None,
    down: Annotated[float | None, _asks("Least download, Mbit/s.", min=0)] = None,
    up: Annotated[float | None, _asks("Least upload, Mbit/s.", min=0)] = None,
    ports: Annotated[
        int | None, _asks("Least open ports; 0 lets machines in that only the proxy reaches.", min=0)
    ] = None,
    image: Annotated[str | None, _asks("Container image; driver and card must take the CUDA in its tag.")] = None,
    hours: Annotated[float | None, _asks("How long the work is expected to last.", min=0.01)] = None,
    unverified: Annotated[bool, _asks("Hosts that vast.ai did not verify, too.", "--unverified")] = False,
    sort: Annotated[
        Literal["expected", "price"], _asks("By what all of the work will cost, or by the hour.")
    ] = "expected",
    watch: Annotated[bool, _watches("Look again and again, and say what comes, goes and changes.", "--watch")] = False,
    rent: Annotated[bool, _watches("Rent the first match, then end.", "--rent")] = False,
    every: Annotated[str | None, _watches("Time between two looks, as 15m; at least 10m on vast.ai.")] = None,
    watch_for: Annotated[str | None, _watches("How long to watch, as 8h; default: until Ctrl-C.", "--for")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Show what could be rented now, or wait until there is something."""
    from console.operations.offers import Wishes, find_offers

    wishes = Wishes(
        gpu=tuple(gpu) if gpu else None,
        gpu_count=gpu_count,
        gpu_ram_gb=vram,
        cpu_cores=cpu,
        ram_gb=ram,
        disk_gb=disk,
        max_usd_per_hour=max_per_hour,
        max_usd_per_day=max_per_day,
        min_reliability=reliability,
        min_download_mbps=down,
        min_upload_mbps=up,
        min_open_ports=ports,
        image=image,
        hours=hours,
        unverified=unverified,
        free=free,
    )
    if free and profile is not None:
        fail("--free asks without a profile: leave out --profile or --free", 2)
    if rent and not watch:
        fail("--rent goes with --watch, which rents at once when a match is there already", 2)
    if not watch and (every is not None or watch_for is not None):
        fail("--every and --for go with --watch: without it the market is asked once", 2)
    here = session()
    if watch:
        every_s, for_s = _seconds(every), _seconds(watch_for)
        if rent:
            return _rent_when_matched(here, profile, wishes, every_s, for_s, yes=yes, as_json=as_json)
        return _watch(here, profile, wishes, every_s, for_s, as_json=as_json)
    found = find_offers(here, profile, wishes, sort)
    if as_json:
        from console.models.offer_columns import offer_json

        print_json([offer_json(offer, found.query) for offer in found.offers])
        if not found.offers:
            print(f"spotter: {found.note}", file=sys.stderr)
    else:
        _show(found)
    return 0 if found.offers else 1


def _show(found: Found) -> None:
    from console.models.offer_columns import offer_table
    from console.terminal import print_table

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH
    titles, rows = offer_table(found.offers, found.query, width)
    print_table(titles, rows, found.note)


def _watch(
    here: Session, profile: str | None, wishes: Wishes, every_s: float | None, for_s: float | None, *, as_json: bool
) -> int:
    """Watch until the time is over, or Ctrl-C."""
    from console.operations.offers import watch_offers

    tell = _Teller(as_json)
    matched = False
    for look in watch_offers(here, profile, wishes, every_s=every_s, for_s=for_s):
        matched = matched or bool(look.offers)
        tell(look)
    return 0 if matched else 1


def _rent_when_matched(
    here: Session,
    profile: str | None,
    wishes: Wishes,
    every_s: float | None,
    for_s: float | None,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Watch until a match is rented, the time is over, or Ctrl-C."""
    from dataclasses import asdict

    from console.operations.offers import words_of
    from console.operations.rent_match import rent_when_matched

    cap = here.settings.money.max_usd_per_day
    ask(
        f"Rent the first match of {words_of(here, profile, wishes)}, within ${cap:.2f} a day? "
        "It is billed until it is destroyed.",
        yes=yes,
    )
    stop_on_signals(also_hangup=True)
    with reporting(as_json=as_json) as report:
        rental = rent_when_matched(
            here,
            profile,
            wishes,
            every_s=every_s,
            for_s=for_s,
            on_look=_Teller(as_json),
            on_failure=lambda reason: print(f"spotter: {reason}\nspotter: the watch goes on", file=sys.stderr),
            report=report,
        )
    if rental is None:
        return 1
    if as_json:
        print_json({"rented": asdict(rental.instance) | {"usd_per_hour": rental.price.usd_per_hour}})
    return 0


class _Teller:
    """Says each look: a JSON line for a program, a line per change for people, with a bell when something came."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._said = ""

    def __call__(self, look: Look) -> None:
        """Say one look; a note that was said with the look before is not said again in full."""
        if self._as_json:
            _tell_program(look)
        else:
            _tell_people(look, self._said)
        self._said = look.note


def _tell_program(look: Look) -> None:
    changes = [
        {
            "kind": change.kind,
            "offer": change.offer.id,
            "gpu": change.offer.gpu_name,
            "usd_per_hour": change.usd_per_hour,
            "before_usd_per_hour": change.before_usd_per_hour,
        }
        for change in look.changes
    ]
    print_json(
        {
            "at": look.at,
            "matches": [offer.id for offer in look.offers],
            "changes": changes,
            "note": look.note,
            "next_at": look.next_at,
            "asked": look.asked,
        }
    )
    sys.stdout.flush()


def _tell_people(look: Look, said: str) -> None:
    from console.words import count, usd_per_hour

    clock = time.strftime("%H:%M:%S", time.localtime(look.at))
    signs = {"match": "+", "gone": "-", "cheaper": "↓", "dearer": "↑"}
    for change in look.changes:
        before = f", was {usd_per_hour(change.before_usd_per_hour)}" if change.before_usd_per_hour is not None else ""
        print(
            f"{clock} {signs[change.kind]} {change.offer.id} {change.offer.gpu_name} "
            f"{usd_per_hour(change.usd_per_hour)}{before} · {change.offer.location}"
        )
    words = count(len(look.offers), "match", "matches")
    if look.note:
        words = look.note if look.note != said else "nothing new"
    following = f"; next look {time.strftime('%H:%M:%S', time.localtime(look.next_at))}" if look.next_at else ""
    bell = "\a" if sys.stdout.isatty() and any(change.kind == "match" for change in look.changes) else ""
    print(f"{clock} {words}{following}{bell}", flush=True)


def _seconds(text: str | None) -> float | None:
    """`90s`, `10m`, `8h`, `2d`, or plain seconds."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    if found is None or float(found[1]) <= 0:
        fail(f"{text!r} is not a time: write 90s, 10m, 8h or 2d", 2)
    return float(found[1]) * UNIT_S[found[2] or "s"]
