"""What is asked of the market on the console's command line: `B gpu=4090 n=2 <0.6`. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from console.language import _

_BARE_NUMBER = re.compile(r"(?:rtx[ _-]?)?(\d{4})[ _-]?(ti|super|s|d)?", re.IGNORECASE)
_PRICE = re.compile(r"<=?\$?(\d+(?:\.\d*)?|\.\d+)(?:/h)?")
_KNOWN = "gpu=4090 n=1 disk=100 hours=2 vram=24 unverified every=15m <0.6"
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class TermsError(ValueError):
    """The words behind `:offers` cannot be understood; the text says which and what can be."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A profile and what is asked besides; None leaves what the profile says."""

    profile: str | None = None
    gpu: tuple[str, ...] = ()
    gpu_count: int | None = None
    gpu_ram_gb: float | None = None
    disk_gb: float | None = None
    hours: float | None = None
    max_usd_per_hour: float | None = None
    """With the disk."""
    unverified: bool = False
    every_s: float | None = None
    """Between two looks of the watch; never less than the market allows."""

    @property
    def words(self) -> tuple[str, ...]:
        """As they are typed, but the profile."""
        said = [f"gpu={name}".replace(" ", "_") for name in self.gpu]
        if self.gpu_count is not None:
            said.append(f"n={self.gpu_count}")
        numbers = (("vram", self.gpu_ram_gb), ("disk", self.disk_gb), ("hours", self.hours))
        said += [f"{name}={value:g}" for name, value in numbers if value is not None]
        if self.every_s is not None:
            said.append(f"every={self.every_s:g}s")
        if self.unverified:
            said.append("unverified")
        if self.max_usd_per_hour is not None:
            said.append(f"<{self.max_usd_per_hour:g}")
        return tuple(said)


def card_name(text: str) -> str:
    """A card as the market writes it: `4090` and `rtx_4090` are `RTX 4090`."""
    found = _BARE_NUMBER.fullmatch(text.strip())
    if found is not None:
        suffix = (found[2] or "").upper()
        long = {"TI": " Ti", "SUPER": "S", "S": "S"}.get(suffix, suffix)
        return f"RTX {found[1]}{long}"
    return text.replace("_", " ").strip().upper()


def parse_terms(text: str, profiles: Sequence[str]) -> Terms:
    """What is typed behind `offers`: a profile's name, and what is asked besides, such as `gpu=4090 n=1 <0.6`.

    Raises:
        TermsError: a word that is none of them, or a number that is none.
    """
    terms = Terms()
    for word in text.split():
        name, separator, value = word.partition("=")
        price = _PRICE.fullmatch(word)
        if price is not None:
            terms = replace(terms, max_usd_per_hour=_above_zero(word, price[1]))
        elif word in profiles:
            terms = replace(terms, profile=word)
        elif word.casefold() == "unverified":
            terms = replace(terms, unverified=True)
        elif separator and name.casefold() == "gpu" and value:
            terms = replace(terms, gpu=(*terms.gpu, *(card_name(each) for each in value.split(",") if each)))
        elif separator and name.casefold() in ("n", "count"):
            terms = replace(terms, gpu_count=_count(word, value))
        elif separator and name.casefold() in ("vram", "disk", "hours"):
            number = _above_zero(word, value)
            field = {"vram": "gpu_ram_gb", "disk": "disk_gb", "hours": "hours"}[name.casefold()]
            terms = replace(terms, **{field: number})  # type: ignore[arg-type]
        elif separator and name.casefold() == "every":
            words, unit = (value[:-1], value[-1]) if value[-1:] in _UNIT_S else (value, "s")
            terms = replace(terms, every_s=_above_zero(word, words) * _UNIT_S[unit])
        elif word.casefold() in {profile.casefold() for profile in profiles}:
            by_folded = {profile.casefold(): profile for profile in profiles}
            terms = replace(terms, profile=by_folded[word.casefold()])
        else:
            message = _("{word} is no profile ({profiles}) and none of {known}")
            raise TermsError(message.format(word=word, profiles=", ".join(profiles), known=_KNOWN))
    return terms


def with_price(text: str, price: float | None) -> str:
    """The same words with another price cap, or without one."""
    words = [word for word in text.split() if _PRICE.fullmatch(word) is None]
    return " ".join(words if price is None else [*words, f"<{price:g}"])


def price_in(text: str) -> float | None:
    """The price cap among the words; None where there is none."""
    prices = [found for found in map(_PRICE.fullmatch, text.split()) if found is not None]
    return float(prices[-1][1]) if prices else None


def price_typed(text: str) -> float | None:
    """A price by the hour as it is typed for the cap; None for nothing, which lifts it.

    Raises:
        TermsError: it is no price.
    """
    words = text.strip().removeprefix("<").removeprefix("=").removeprefix("$").removesuffix("/h")
    return _above_zero(text.strip(), words) if words else None


def _above_zero(word: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise TermsError(_("{word} is not a number above 0").format(word=word))
    return number


def _count(word: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise TermsError(_("{word}: a machine has from 1 to 64 cards").format(word=word))
    return int(text)
