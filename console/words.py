"""How figures are written for people: money, durations, sizes, ages. Pure functions."""

from __future__ import annotations


def usd(amount: float) -> str:
    """Dollars: cents above ten cents, a tenth of a cent below."""
    if amount and abs(amount) < 0.1:
        return f"${amount:.4f}"
    return f"${amount:,.2f}"


def usd_per_hour(amount: float) -> str:
    """A price by the hour, to a tenth of a cent: offers differ there."""
    return f"${amount:.3f}/h"


def duration(
    seconds: float, units: tuple[str, str, str, str] = ("{0}s", "{0}m {1:02d}s", "{0}h {1:02d}m", "{0}d {1}h")
) -> str:
    """Two largest units: `3d 4h`, `2h 05m`, `41s`, `0.4s`; `units` are the formats from seconds to days."""
    if seconds < 10:
        return units[0].format(f"{seconds:.1f}")
    whole = round(seconds)
    if whole < 60:
        return units[0].format(whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return units[1].format(minutes, rest)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return units[2].format(hours, minutes)
    days, hours = divmod(hours, 24)
    return units[3].format(days, hours)


def size(count: float, units: tuple[str, ...] = ("B", "KiB", "MiB", "GiB")) -> str:
    """Bytes with a binary unit."""
    power = 0
    while abs(count) >= 1024 and power < len(units) - 1:
        count, power = count / 1024, power + 1
    return f"{count:.1f} {units[power]}" if power else f"{count:.0f} {units[0]}"


def bar(fraction: float, width: int) -> str:
    """A progress bar of `width` cells in eighths."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")).ljust(width, "·")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 page`, `12 pages`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def short_id(run_id: str) -> str:
    """What people call a run: the last characters of its id."""
    return visible(run_id[-8:])


def visible(text: str) -> str:
    """A name from the world on one line: control characters, which could move the cursor, are spelled out."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
