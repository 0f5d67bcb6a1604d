"""Every setting as it is in force, and where it comes from: the environment, the file, or the default."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from console.models.command_log import without_secrets
from console.preferences import flat_keymap
from console.settings import Secrets, Settings, SettingsError, load_secrets, load_settings
from console.workspace import Workspace

Source = Literal["default", "file", "environment", ".env"]
PREFIX = "SPOTTER_"
OPEN_TABLES = frozenset({"providers", "keymap", "profiles"})
"""Sections whose names are the operator's own."""


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """One setting."""

    key: str
    """As `spotter.toml` nests it: `money.max_usd_per_day`."""
    value: str
    """As TOML writes it; of a secret, only whether there is one."""
    default: str
    """What it would be otherwise; empty for an entry of the operator's own."""
    source: Source
    variable: str
    """The environment's variable that goes before the file."""


def settings_in_force(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> list[SettingInForce]:
    """All settings in the order of the sections, then the secrets without their values.

    Raises:
        SettingsError: the file is wrong; nothing is in force then.
    """
    settings = load_settings(workspace)
    defaults = dict(_leaves(Settings.model_construct().model_dump(mode="json", by_alias=True)))
    written = dict(_leaves(_file(workspace)))
    found = []
    for key, value in _leaves(settings.model_dump(mode="json", by_alias=True)):
        variable = PREFIX + key.replace(".", "__").upper().replace("-", "_")
        source: Source = "default"
        if any(name in environment for name in _variables(key)):
            source = "environment"
        elif key in written or any(name.startswith(f"{key}.") for name in written):
            source = "file"
        default = _shown(defaults[key]) if key in defaults else ""
        found.append(SettingInForce(key, without_secrets(_shown(value), environment), default, source, variable))
    return [*found, *_secrets(workspace, environment)]


def _variables(key: str) -> Iterator[str]:
    """The variables that may set a key: its own, and those of the sections around it, which hold JSON."""
    parts = key.split(".")
    for length in range(1, len(parts) + 1):
        yield PREFIX + "__".join(parts[:length]).upper().replace("-", "_")


def _file(workspace: Workspace) -> dict[str, Any]:
    try:
        said = tomllib.loads(workspace.settings_file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    if isinstance(said.get("keymap"), dict):
        said["keymap"] = flat_keymap(said["keymap"])
    return said


def _leaves(said: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, dict) and value and before != "keymap.":
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False)


def _secrets(workspace: Workspace, environment: Mapping[str, str]) -> Iterator[SettingInForce]:
    try:
        known = load_secrets(workspace)
    except SettingsError as error:
        yield SettingInForce("secrets", str(error), "", ".env", "")
        return
    for name in Secrets.model_fields:
        variable = name.upper()
        there = getattr(known, name) is not None
        source: Source = "environment" if environment.get(variable) else ".env" if there else "default"
        yield SettingInForce(variable, "set" if there else "not set", "not set", source, variable)
