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


def duration(seconds: float) -> str:
    """Two largest units: `3d 4h`, `2h 05m`, `41s`, `0.4s`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def size(count: float) -> str:
    """Bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def bar(fraction: float, width: int) -> str:
    """A progress bar of `width` cells in eighths."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")).ljust(width, "·")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 page`, `12 pages`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def visible(text: str) -> str:
    """A name from the world on one line: control characters, which could move the cursor, are spelled out."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
