"""Figures in the language that is spoken, for screens. What is kept, sent or read by programs stays with `words`."""

from __future__ import annotations

import time

from console import words
from console.language import N_, _

WEEKDAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))


def duration(seconds: float) -> str:
    """Two largest units: `3d 4h`, `2h 05m`, `41s`, `0.4s`; in Russian «2 ч 05 мин»."""
    return words.duration(seconds, (_("{0}s"), _("{0}m {1:02d}s"), _("{0}h {1:02d}m"), _("{0}d {1}h")))


def brief(seconds: float) -> str:
    """The same for a narrow cell, as wide as in English: «2ч 05м»."""
    # English has one form for both, and a catalog one translation for each text: a space tells them apart
    short = (_(" {0}s"), _(" {0}m {1:02d}s"), _(" {0}h {1:02d}m"), _(" {0}d {1}h"))
    return words.duration(seconds, (short[0][1:], short[1][1:], short[2][1:], short[3][1:]))


def usd_per_hour(amount: float) -> str:
    """A price by the hour, to a tenth of a cent."""
    return _("${usd}/h").format(usd=f"{amount:.3f}")


def size(count: float) -> str:
    """Bytes with a binary unit."""
    return words.size(count, (_("B"), _("KiB"), _("MiB"), _("GiB")))


def gigabytes(value: float) -> str:
    """`40 GB`, decimal as disks are sold."""
    return _("{n} GB").format(n=f"{value:.0f}" if value >= 10 else f"{value:.1f}")


def watts(value: float) -> str:
    """`290 W`."""
    return _("{n} W").format(n=f"{value:.0f}")


def per_second(figure: str) -> str:
    """So much in a second: `1.2 MiB/s`, `0.8/s`."""
    return _("{n}/s").format(n=figure)


def weekday_clock(at: float) -> str:
    """`Sat 14:04`, local time, whatever the system's locale is."""
    local = time.localtime(at)
    return f"{_(WEEKDAYS[local.tm_wday])} {time.strftime('%H:%M', local)}"
