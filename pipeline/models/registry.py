"""The registry of checkpoints: which files each is made of, what they must be, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.core.errors import UsageError

REGISTRY_VARIABLE = "MODEL_REGISTRY"
"""Path of a YAML file with further entries, which win over those of the same name here."""
ENDPOINT_VARIABLE = "HF_ENDPOINT"
"""A mirror of the hub, as the hub's own tools know it; several are separated by blanks, tried in order."""
HUB = "https://huggingface.co"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckpointFile(_Section):
    """One file of a checkpoint."""

    path: str
    """Below the checkpoint's folder, with `/`."""
    bytes: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """None: recorded when the file is first fetched, and the same ever after."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """Where it comes from when not from the hub."""
    hub: str | None = None
    revision: str | None = None
    source: str | None = None
    """Its path in the hub's repository, where that is another."""

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise ValueError(f"{path!r} is no path inside a checkpoint's folder")
        return path


class CheckpointEntry(_Section):
    """A checkpoint of the registry."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    what: str = ""
    licence: str = ""
    hub: str | None = None
    """Repository on the hub that its files come from."""
    revision: str = "main"
    """Commit there; a branch's name means whatever it is when the files are first fetched."""
    mirrors: tuple[str, ...] = ()
    """Further addresses to try, each followed by `/<path>`."""
    files: tuple[CheckpointFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        homeless = [file.path for file in self.files if not (file.url or file.hub or self.hub or self.mirrors)]
        if homeless:
            raise ValueError(f"it is not said where {homeless[0]} comes from: give hub, url or mirrors")
        return self

    @property
    def bytes(self) -> int | None:
        """Size of all files; None when one's is not known yet."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def urls(self, file: CheckpointFile) -> tuple[str, ...]:
        """Where a file is to be had, the first choice first: `HF_ENDPOINT` stands in for the hub."""
        found = [file.url] if file.url else []
        repository = file.hub or (None if file.url else self.hub)
        if repository:
            revision = file.revision or self.revision
            path = f"{repository}/resolve/{revision}/{file.source or file.path}"
            endpoints = os.environ.get(ENDPOINT_VARIABLE, "").split() or [HUB]
            found += [f"{endpoint.rstrip('/')}/{path}" for endpoint in endpoints]
        return tuple(found + [f"{mirror.rstrip('/')}/{file.path}" for mirror in self.mirrors])


def registry() -> Mapping[str, CheckpointEntry]:
    """All entries by name: those that are shipped, then the user's own.

    Raises:
        UsageError: the user's file cannot be read, naming the entry that is wrong.
    """
    entries = dict(_shipped())
    own = os.environ.get(REGISTRY_VARIABLE)
    if own:
        try:
            text = Path(own).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise UsageError(
                f"the registry of checkpoints {own} cannot be read ({reason}): mend the path in {REGISTRY_VARIABLE}, "
                "or in [pipelines] checkpoints of spotter.toml"
            ) from error
        entries |= _parse(text, own)
    return entries


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, CheckpointEntry]:
    return _parse(resources.files("pipeline.models").joinpath("registry.yaml").read_text("utf-8"), "registry.yaml")


def _parse(text: str, where: str) -> dict[str, CheckpointEntry]:
    try:
        data: Any = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{where} must hold checkpoints by name")
    entries = {}
    for name, values in data.items():
        try:
            entries[name] = CheckpointEntry.model_validate({**(values or {}), "name": name})
        except (ValidationError, TypeError) as error:
            told = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "not a mapping"}
            at = ".".join(str(part) for part in told["loc"])
            reason = str(told["msg"]).removeprefix("Value error, ")
            raise UsageError(f"{where}: checkpoint {name}{f', {at}' if at else ''}: {reason}") from error
    return entries
