"""The interface's language: English in the source, catalogs of gettext for others, one a domain.

A domain is an area of the console; its catalog is `console/locale/<language>/LC_MESSAGES/<domain>.po`, compiled beside
it by `make catalogs`. `_` looks into all of them.
"""

from __future__ import annotations

import gettext as _gettext
import locale
import os
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "ru")

_current = "en"
_chosen = False


def use(language: str, *, chosen: bool = False) -> None:
    """Speak `language` from now on; `chosen` says that it was asked for by name, which goes before any setting.

    Raises:
        ValueError: there are no catalogs for it.
    """
    global _current, _chosen
    if language not in LANGUAGES:
        raise ValueError(f"Spotter speaks {' and '.join(LANGUAGES)}, not {language!r}")
    _current, _chosen = language, chosen or "SPOTTER_LANG" in os.environ


def chosen() -> bool:
    """Whether the operator asked for this language by name just now."""
    return _chosen


def language() -> str:
    """What is spoken now."""
    return _current


def system_language() -> str:
    """What `SPOTTER_LANG` or the system's locale asks for, where there are catalogs for it; otherwise English."""
    asked = (
        os.environ.get("SPOTTER_LANG")
        or os.environ.get("LC_ALL")
        or os.environ.get("LC_MESSAGES")
        or os.environ.get("LANG")
        or locale.getlocale()[0]
        or ""
    )
    short = asked[:2].lower()
    return short if short in LANGUAGES else "en"


def gettext(text: str) -> str:
    """`text` in the language spoken now."""
    return _catalogs(_current).gettext(text) if text else ""


def ngettext(one: str, many: str, number: int) -> str:
    """The form of a text that goes with `number`; put the number in with `.format(n=number)`."""
    return _catalogs(_current).ngettext(one, many, number)


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a text that is translated later, where it is drawn."""
    return text


_ = gettext


@cache
def _catalogs(language: str) -> _gettext.NullTranslations:
    """All domains of a language, one after another."""
    first: _gettext.NullTranslations | None = None
    for path in sorted((LOCALE / language / "LC_MESSAGES").glob("*.mo")):
        with path.open("rb") as handle:
            catalog = _gettext.GNUTranslations(handle)
        if first is None:
            first = catalog
        else:
            first.add_fallback(catalog)
    return first or _gettext.NullTranslations()
