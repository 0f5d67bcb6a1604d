"""What of the settings the console must know before its first frame: read lightly, and never in its way.

`console.settings` checks the same sections strictly and says what is wrong; here a wrong value is the default, but for
`read_only`: what cannot be read may have asked for it, so the console opens read-only and says why.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from console.language import LANGUAGES
from console.workspace import Workspace

Keys = str | tuple[str, ...]
_TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Preferences:
    """Sections `[console]` and `[keymap]`."""

    language: str = ""
    theme: str = ""
    read_only: bool = False
    bell: bool = True
    keymap: Mapping[str, Keys] = field(default_factory=dict)
    unread: str = ""
    """Why there is a file of which nothing holds; empty where there is none, or it was read."""


def read_preferences(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> Preferences:
    """The preferences of a workspace; the defaults, read-only, where its file cannot be read."""
    data, unread = {}, ""
    try:
        data = tomllib.loads(workspace.settings_file.read_text("utf-8"))
    except FileNotFoundError:
        pass  # all keys have defaults
    except OSError as error:
        unread = error.strerror or str(error)
    except ValueError as error:
        unread = str(error)
    section = data.get("console")
    said: dict[str, Any] = dict(section) if isinstance(section, dict) else {}
    for name in ("language", "theme", "read_only", "bell"):
        if given := environment.get(f"SPOTTER_CONSOLE__{name.upper()}"):
            said[name] = given.lower() in _TRUE if name in ("read_only", "bell") else given
    keymap = data.get("keymap")
    language = said.get("language", "")
    return Preferences(
        language if language in LANGUAGES else "",
        _of_kind(said.get("theme"), ""),
        bool(unread) or bool(said.get("read_only")),
        _of_kind(said.get("bell"), default=True),
        {
            name: keys
            for name, keys in (flat_keymap(keymap) if isinstance(keymap, dict) else {}).items()
            if isinstance(keys, str | tuple)
        },
        unread,
    )


def flat_keymap(said: Mapping[str, Any]) -> dict[str, Any]:
    """Keys by action's id, whether or not the id stands in quotes: TOML takes `fleet.shell` for a table in a table."""
    return dict(_flat(said, ""))


def _flat(said: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            yield f"{before}{name}", tuple(value)
        else:
            yield f"{before}{name}", value


def _of_kind(value: Any, default: Any) -> Any:
    return value if isinstance(value, type(default)) else default
