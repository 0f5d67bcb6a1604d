"""Settings of a workspace: `spotter.toml` under environment variables; secrets from the environment or `.env`."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from console.errors import WrongInput
from console.workspace import Workspace


class SettingsError(WrongInput):
    """A settings file is wrong; the text names file, key and mend."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CloudSettings(_Section):
    """Where machines come from."""

    name: Literal["local", "vast"] = "local"
    url: str = Field(default="", pattern=r"^(https?://[^\s@]+)?$")
    """Where the API of `vast` is when not at vast.ai: an emulated marketplace, as `spotter cloud serve` runs it."""
    profile: str = "A"
    remote_root: str = Field(default="spotter", pattern=r"^[A-Za-z0-9._/-]+$")
    ssh_user: str = "root"
    instances: int = Field(default=1, ge=1, le=64)
    """How many machines a run is spread over."""
    max_replacements: int = Field(default=2, ge=0, le=16)
    """How often a run rents another machine by itself for one that was lost."""


class MoneySettings(_Section):
    """What may be spent."""

    max_usd_per_day: float = Field(default=10.0, gt=0)


class GuardSettings(_Section):
    """When an instance gives itself back, with nobody there. 0 switches a limit off."""

    max_usd: float = Field(default=10.0, gt=0)
    """What one instance may cost in all."""
    max_hours: float = Field(default=0.0, ge=0)
    """How long one instance may be rented in all."""
    longest_hours: float = Field(default=168.0, gt=0)
    """However cheap it is, a box that hears nothing from here for so long is given back."""
    idle_minutes: float = Field(default=60.0, ge=0)
    """Without a job, and without a word from here."""
    gpu_idle_minutes: float = Field(default=0.0, ge=0)
    """With every GPU below `gpu_idle_below_percent`, though jobs run."""
    gpu_idle_below_percent: float = Field(default=5.0, gt=0, le=100)
    action: Literal["destroy", "stop"] = "destroy"
    """At the cap: destroy ends the bill, stop keeps the disk and its bill."""
    idle_action: Literal["destroy", "stop"] = "stop"
    """When idle: a night's results may still be on the disk."""
    grace_s: float = Field(default=60.0, ge=0)
    """For jobs, to finish what they have in hand."""
    required: bool = False
    """Refuse an instance that cannot prove that it can end its own bill."""


class SyncSettings(_Section):
    """How files travel."""

    backend: Literal["auto", "stream", "rsync"] = "auto"
    """`auto` is the stream: it is as fast as rsync or faster over the internet, and checks more."""
    code: str = "."
    """The folder of the workspace's own code: a git work tree, relative to the workspace."""


class JupyterSettings(_Section):
    """How Jupyter of an instance is reached."""

    auth: Literal["token", "none"] = "token"
    """none: whoever reaches the port, here or on the box, is in."""
    notebook_dir: str = Field(default="notebooks", pattern=r"^[A-Za-z0-9._/-]+$")


class BootstrapSettings(_Section):
    """How a rented machine is made ready."""

    stack: Literal["cpu", "gpu", "original"] = "cpu"
    index_url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    system_packages: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]+$")], ...] = (
        "git", "rsync", "tmux", "jq", "poppler-utils",
    )  # fmt: skip
    on_failure: Literal["ask", "hold", "release"] = "ask"


class IndexSettings(_Section):
    """How records become searchable."""

    embedder: str = "offline/hash3072-stem-char4"
    """Or a server of `[providers]` and its model, such as `openai/text-embedding-3-large`."""
    max_usd: float = Field(default=5.0, gt=0)
    """What embedding may cost in one ingest."""


class AnswersSettings(_Section):
    """Who answers questions from the index."""

    model: str = ""
    """A server of `[providers]` and its chat model, such as `local/qwen3`; empty: the best passages are shown."""
    passages: int = Field(default=24, ge=1, le=200)
    """Found records that an answer is looked for in, before they are packed."""
    context_tokens: int = Field(default=24_000, ge=500)
    """Most tokens of passages that a model is sent, counted as bytes: about four times what they really are."""
    max_usd: float = Field(default=0.5, gt=0)
    """What one answer may cost, where prices are known."""


Told = dict[str, Any]
"""What a part is told wherever it is chosen: its parameters, checked when a run is planned."""


class DocparseSettings(_Section):
    """Defaults of a docparse run's parameters: who does what, by name, and a section for each that can be named."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    dpi: int = Field(default=150, ge=36, le=600)
    renderer: str = "mupdf"
    detector: str = "opencv"
    segmenter: str = "none"
    ocr: str = "none"
    analyst: str = "text-layer"
    opencv: Told = Field(default_factory=dict)
    grounding_dino: Told = Field(default_factory=dict, alias="grounding-dino")
    layout: Told = Field(default_factory=dict)
    given: Told = Field(default_factory=dict)
    sam2: Told = Field(default_factory=dict)
    tesseract: Told = Field(default_factory=dict)
    openai: Told = Field(default_factory=dict)
    arrange: Told = Field(default_factory=dict)
    max_error_rate: float | None = Field(default=None, ge=0, le=1)

    def told(self, part: str) -> Told:
        """What the part called so is told; nothing for one that takes no parameters."""
        sections = self.model_dump(by_alias=True)
        return dict(sections[part]) if isinstance(sections.get(part), dict) else {}


class PipelineSettings(_Section):
    """Defaults of the pipelines' parameters."""

    docparse: DocparseSettings = DocparseSettings()
    checkpoints: str = ""
    """A YAML file of the workspace with checkpoints of your own, as `pipeline/models/registry.yaml` has them."""
    hub: tuple[Annotated[str, Field(pattern=r"^https?://[^@\s]+$")], ...] = ()
    """Mirrors to ask instead of huggingface.co, the first choice first."""


class ConsoleSettings(_Section):
    """How the console looks and behaves; `console.preferences` reads the same before anything heavy is loaded."""

    language: Literal["", "en", "ru"] = ""
    """Empty: what the system speaks. `--lang` and SPOTTER_LANG go before it."""
    theme: str = ""
    """Empty: the one that was chosen last with `T`."""
    read_only: bool = False
    """Open refusing whatever touches money or data; `:ro` allows it."""
    bell: bool = True
    """Ring the terminal's bell when something ends, fails or is guarded."""


Keys = str | tuple[str, ...]


class Profile(_Section):
    """What to ask of a machine, and how much work is expected of it."""

    gpu: tuple[str, ...] = ()
    gpu_count: int = Field(default=1, ge=1)
    gpu_ram_gb: float | None = Field(default=None, gt=0)
    cpu_cores: float | None = Field(default=None, gt=0)
    ram_gb: float | None = Field(default=None, gt=0)
    disk_gb: float = Field(default=40.0, ge=8)
    max_usd_per_hour: float | None = Field(default=None, gt=0)
    """GPU and disk together; the day's cap is in `[money]`."""
    min_reliability: float | None = Field(default=None, ge=0, le=1)
    min_download_mbps: float | None = Field(default=None, gt=0)
    min_upload_mbps: float | None = Field(default=None, gt=0)
    min_open_ports: int | None = Field(default=None, ge=0)
    image: str = "pytorch/pytorch:2.7.1-cuda12.8-cudnn9-devel"
    image_gb: float = Field(default=10.0, ge=0)
    """Compressed size of the image: what is pulled before anything runs."""
    data_gb: float = Field(default=5.0, ge=0)
    """What goes to the machine besides: sources, checkpoints, packages."""
    results_gb: float = Field(default=1.0, ge=0)
    """What is fetched from it."""
    hours: float = Field(default=4.0, gt=0)
    """How long the work is expected to last; a machine must be offered for twice as long."""


SOUND = {"min_reliability": 0.98, "min_download_mbps": 200.0, "min_open_ports": 1}
"""What spares most of the grief: a host that stays, a pull that ends, and a way in that needs no proxy."""
DEFAULT_PROFILES = {
    "A": Profile(gpu=("RTX 4090", "RTX 3090"), gpu_ram_gb=24, cpu_cores=8, ram_gb=32, disk_gb=150, **SOUND),
    "B": Profile(gpu=("L40S", "L40"), gpu_ram_gb=48, cpu_cores=8, ram_gb=32, disk_gb=200, **SOUND),
    "C": Profile(gpu=("A100 SXM4", "A100 PCIE"), gpu_ram_gb=40, cpu_cores=16, ram_gb=64, disk_gb=200, **SOUND),
}


class Settings(BaseSettings):
    """All settings. `SPOTTER_MONEY__MAX_USD_PER_DAY=5` overrides `[money] max_usd_per_day`."""

    model_config = SettingsConfigDict(
        env_prefix="SPOTTER_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    cloud: CloudSettings = CloudSettings()
    money: MoneySettings = MoneySettings()
    guard: GuardSettings = GuardSettings()
    sync: SyncSettings = SyncSettings()
    jupyter: JupyterSettings = JupyterSettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    index: IndexSettings = IndexSettings()
    answers: AnswersSettings = AnswersSettings()
    providers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Servers that speak as OpenAI's does, by name; `index.servers.Server` says what each may hold."""
    pipelines: PipelineSettings = PipelineSettings()
    profiles: dict[str, Profile] = Field(default_factory=lambda: dict(DEFAULT_PROFILES))
    console: ConsoleSettings = ConsoleSettings()
    keymap: dict[str, Keys] = Field(default_factory=dict)
    """Action's id → keys of the operator's own; `spotter keys --check` says which cannot be."""

    @field_validator("keymap", mode="before")
    @classmethod
    def _ids_need_no_quotes(cls, said: Any) -> Any:
        from console.preferences import flat_keymap

        return flat_keymap(said) if isinstance(said, dict) else said

    @field_validator("providers")
    @classmethod
    def _servers_can_be_used(cls, said: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        from index.servers import ServersWrong, checked_servers

        try:
            checked_servers(said)
        except ServersWrong as error:
            raise ValueError(str(error)) from None
        return said

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file."""
        return (env_settings, init_settings)

    def profile(self, name: str | None = None) -> Profile:
        """The profile called `name`, or the workspace's own choice.

        Raises:
            SettingsError: there is no such profile.
        """
        wanted = name or self.cloud.profile
        found = self.profiles.get(wanted)
        if found is None:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise SettingsError(f"no profile {wanted!r} in spotter.toml (it has: {known}); add [profiles.{wanted}]")
        return found


class Secrets(BaseSettings):
    """Keys that cost money when they leak; never written to a log, event or command line."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    vast_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None


def load_settings(workspace: Workspace) -> Settings:
    """Read `spotter.toml` and the environment.

    Raises:
        SettingsError: naming the file, the key and what is wrong with it.
    """
    path = workspace.settings_file
    try:
        data: dict[str, Any] = TomlConfigSettingsSource(Settings, toml_file=path)()
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    try:
        settings = Settings(**data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {key}: {_reason(first['type'], first['msg'], key)}") from error
    try:
        settings.profile()
    except SettingsError as error:
        raise SettingsError(f"{path}: cloud.profile: {error}") from error
    return settings


def _reason(kind: str, message: str, key: str) -> str:
    """Why a value will not do; an address's pattern says less than an example."""
    if kind == "extra_forbidden":
        return "unknown key; remove it or mend its spelling"
    if kind == "string_pattern_mismatch" and key.endswith("url"):
        return "write an address without credentials, as https://console.vast.ai, or leave it empty"
    return message


def load_secrets(workspace: Workspace) -> Secrets:
    """Read secrets from the environment, then from `.env`.

    Raises:
        SettingsError: `.env` is readable by others.
    """
    path = workspace.env_file
    if path.exists() and path.stat().st_mode & 0o077:
        raise SettingsError(f"{path} holds secrets but others may read it: run  chmod 600 {path}")
    return Secrets(_env_file=path if path.exists() else None)
