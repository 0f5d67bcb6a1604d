"""The servers of a workspace that speak as OpenAI's does: `[providers.NAME]` of spotter.toml, and the keys they want.

A key stands in the environment or in the workspace's `.env`, never in spotter.toml, and is read when it is needed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from index.errors import EmbedderUnavailable, IndexProblem

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""What is sent to a server that wants no key; the client library insists on one."""
MODEL_NAME = r"^[^\s/][^\s]*$"
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*$")
_RESERVED = frozenset({"offline"})


class ServersWrong(IndexProblem):
    """`[providers]` of the settings can't be used; the text names file, key and mend."""


class ProviderMissingKey(EmbedderUnavailable):
    """A server wants a key that is not here; the text names the ways out."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EmbeddingModel(_Section):
    """A model that turns texts into vectors."""

    dim: int = Field(ge=1, le=65_536)
    """How many numbers a vector has."""
    usd_per_1m_tokens: float = Field(ge=0)
    """Its price; 0 for a server of your own. A cap is counted with it, so it must be said."""
    max_input_tokens: int = Field(ge=64)
    """The model's window: a longer text is embedded in pieces, and their mean, weighted by length, stands for it. It
    must be said, because many a server cuts off what is longer, and says nothing."""
    send_dimensions: bool = False
    """Ask for `dim` numbers by the parameter `dimensions`, of a model whose vectors can be shortened."""
    encoding: Literal["base64", "float"] = "float"
    """How numbers travel; base64 is a fifth of the bytes where the server knows it."""
    noise_cosine: float = Field(default=0.0, ge=0, lt=1)
    """A cosine up to this says nothing about two texts."""


class ChatModel(_Section):
    """A model that answers questions."""

    context_tokens: int = Field(default=128_000, ge=2_000)
    """The model's window: question and answer together never exceed it."""
    max_output_tokens: int = Field(default=2_000, ge=64)
    usd_per_1m_input: float | None = Field(default=None, ge=0)
    usd_per_1m_output: float | None = Field(default=None, ge=0)
    """None: unknown, and then no cap can be kept."""
    json_mode: Literal["strict", "schema", "object"] = "strict"
    """How the form of an answer is asked for; it is checked here in any case."""
    max_tokens_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    temperature: float | None = Field(default=None, ge=0, le=2)


class Server(_Section):
    """Where a server is, what it wants, how hard it may be driven, and its models."""

    base_url: str = Field(default=OPENAI_URL, pattern=r"^https?://[^\s@]+$")
    key_env: str = Field(default="", pattern=r"^([A-Z][A-Z0-9_]*)?$")
    """Variable of the environment, or of the workspace's `.env`, that holds the key; empty: the server wants none."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    tries: int = Field(default=6, ge=1, le=20)
    """How often a request is sent while the server is busy, broken or silent."""
    longest_pause_s: float = Field(default=60.0, ge=0, le=3600)
    """Longest wait between two tries; a server that asks for more is taken at its word up to ten times this."""
    max_concurrency: int = Field(default=6, ge=1, le=64)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Both are also learnt from what the server says of its limits."""
    max_inputs: int = Field(default=2_048, ge=1)
    """Most texts of one request for embeddings."""
    max_request_tokens: int = Field(default=300_000, ge=64)
    """Most tokens of one request for embeddings."""
    embeddings: dict[str, EmbeddingModel] = Field(default_factory=dict)
    chat: dict[str, ChatModel] = Field(default_factory=dict)

    @field_validator("embeddings", "chat")
    @classmethod
    def _models_have_names(cls, models: dict[str, Any]) -> dict[str, Any]:
        for name in models:
            if not re.match(MODEL_NAME, name):
                raise ValueError(f"{name!r} is no model's name")
        return models

    @model_validator(mode="after")
    def _keeps_its_key(self) -> Self:
        parts = urlsplit(self.base_url)
        if self.key_env and parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(
                f'{self.base_url} would carry the key in {self.key_env} unencrypted: write https://…, or key_env = "" '
                "for a server that wants no key"
            )
        return self


_EMBEDS: Mapping[str, Any] = {"max_input_tokens": 8_192, "encoding": "base64", "noise_cosine": 0.15}
_OPENAI: Mapping[str, Any] = {
    "base_url": OPENAI_URL,
    "key_env": "OPENAI_API_KEY",
    "embeddings": {
        "text-embedding-3-large": {"dim": 3072, "usd_per_1m_tokens": 0.13, **_EMBEDS},
        "text-embedding-3-small": {"dim": 1536, "usd_per_1m_tokens": 0.02, **_EMBEDS},
    },
}
"""OpenAI's own server; `[providers.openai]` changes what it says. Limits of a request: 2,048 inputs, 8,192 tokens an
input, 300,000 tokens together. Prices are those of its public list; mend them in spotter.toml when they change."""


def with_builtin(said: Mapping[str, Any]) -> dict[str, Any]:
    """`[providers]` as it was said, with OpenAI's own server underneath what it says of `openai`."""
    own = said.get(OPENAI, {})
    if not isinstance(own, Mapping):
        return dict(said)
    models = {**_OPENAI["embeddings"], **(own.get("embeddings") or {})}
    return {**said, OPENAI: {**_OPENAI, **own, "embeddings": models}}


def read_servers(workspace: Path | None) -> dict[str, Server]:
    """The servers by name: OpenAI's, and those of the workspace's spotter.toml under the environment's `SPOTTER_…`.

    Raises:
        ServersWrong: naming the file, the key and what is wrong with it.
    """
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

    class Providers(BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix="SPOTTER_", env_nested_delimiter="__", extra="ignore", env_ignore_empty=True
        )
        providers: dict[str, dict[str, Any]] = Field(default_factory=dict)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
            return (env_settings, init_settings)

    path = None if workspace is None else workspace / "spotter.toml"
    where = str(path or "the environment")
    try:
        said = {} if path is None or not path.exists() else tomllib.loads(path.read_text("utf-8")).get("providers", {})
        return checked_servers(Providers(providers=said).providers)
    except tomllib.TOMLDecodeError as error:
        raise ServersWrong(f"{where} is not TOML: {error}") from error
    except ValidationError as error:
        raise ServersWrong(f"{where}: {_sentence(error)}") from error
    except ServersWrong as error:
        raise ServersWrong(f"{where}: {error}") from None


def checked_servers(said: Mapping[str, Any]) -> dict[str, Server]:
    """The servers that `[providers]` describes, OpenAI's own among them.

    Raises:
        ServersWrong: naming the key and what is wrong with it.
    """
    servers: dict[str, Server] = {}
    for name, values in with_builtin(said).items():
        if not _NAME.match(name) or name in _RESERVED:
            raise ServersWrong(
                f"[providers.{name}] can't be called so: use small letters, digits, '.', '_' and '-', and not 'offline'"
            )
        try:
            servers[name] = Server.model_validate(values)
        except ValidationError as error:
            raise ServersWrong(_sentence(error, f"providers.{name}.")) from error
        if "base_url" not in values:
            raise ServersWrong(f'[providers.{name}] has no address: add base_url = "http://…/v1" to it')
    return servers


def _sentence(error: ValidationError, within: str = "") -> str:
    first = error.errors()[0]
    key = within + ".".join(str(part) for part in first["loc"])
    reason = "unknown key; remove it or mend its spelling" if first["type"] == "extra_forbidden" else first["msg"]
    return f"{key.rstrip('.')}: {reason}"


WITHOUT_EMBEDDING = (
    'embedder = "offline/hash3072-stem-char4" under [index] in spotter.toml (lexical vectors: spelling, no meaning)'
)
"""How to work without a key for an embedder."""


def read_key(
    name: str,
    server: Server,
    workspace: Path | None,
    environment: Mapping[str, str] = os.environ,
    without: str = WITHOUT_EMBEDDING,
) -> str:
    """The key that a server wants: from the environment, else from the workspace's `.env`.

    Args:
        name: the server's.
        server: where `key_env` is said.
        workspace: the folder of `.env`.
        environment: the process's.
        without: how to work without a key, told when there is none.

    Raises:
        ProviderMissingKey: it is not there, others may read `.env`, or what is there is no key.
    """
    if not server.key_env:
        return NO_KEY
    key = environment.get(server.key_env, "").strip() or _of_file(server.key_env, workspace)
    if not key:
        raise ProviderMissingKey(
            f"{name} needs {server.key_env}, which is not set: put it in the workspace's .env (chmod 600) or export "
            f"it; or work without a key: {without}."
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ProviderMissingKey(
            f"What {server.key_env} holds is no key: there is a space, a line's end or a foreign letter in it; put it "
            "into the workspace's .env anew, as one word."
        )
    return key


def _of_file(variable: str, workspace: Path | None) -> str:
    path = None if workspace is None else workspace / ".env"
    if path is None or not path.exists():
        return ""
    if path.stat().st_mode & 0o077:
        raise ProviderMissingKey(f"{path} holds secrets but others may read it: run  chmod 600 {path}")
    from dotenv import dotenv_values

    return (dotenv_values(path, interpolate=False).get(variable) or "").strip()
