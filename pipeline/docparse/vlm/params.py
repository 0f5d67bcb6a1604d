"""Parameters of the analyst `openai`: server and model, what they can do and cost, and how much may be spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Server = Literal["openai", "vllm", "ollama"]

MIN_TEXT_TOKENS = 1_000
"""A question has room for so much of a page's text, at least."""

PRESETS: Mapping[Server, Mapping[str, Any]] = {
    "openai": {},
    "vllm": {
        "api_key_env": None,
        "api": "chat", "json_mode": "strict", "detail": None, "prompt_cache_key": False, "store": False,
        "max_tokens_name": "max_tokens", "image_base_tokens": 16, "image_tile_px": 28, "image_tile_tokens": 1.0,
        "image_short_side_px": None,
    },
    "ollama": {
        "api_key_env": None,
        "api": "chat", "json_mode": "schema", "detail": None, "prompt_cache_key": False, "store": False,
        "max_tokens_name": "max_tokens", "image_base_tokens": 16, "image_tile_px": 28, "image_tile_tokens": 1.0,
        "image_short_side_px": None, "image_max_side_px": 1024, "context_tokens": 16_384, "max_output_tokens": 3_000,
    },
}  # fmt: skip
"""What differs from OpenAI where nothing else is said. vLLM enforces schemas by guided decoding. Ollama cuts off,
without a word, what is longer than the window that it was started with: start it with OLLAMA_CONTEXT_LENGTH of at least
`context_tokens`. Neither has the Batch API. Pictures are counted as Qwen's models do, 28-pixel patches.
OpenAI's key is not theirs: one that wants a key of its own is told so by `api_key_env`."""


class OpenAiParams(BaseModel):
    """A model behind OpenAI's API, or a server that speaks as it does.

    Nothing is downgraded by itself: a server that does not take a parameter ends the stage with the line to change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["openai"] = "openai"
    server: Server = "openai"
    """Fills in what is not said below with what that server can do."""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s@]+$", examples=["http://127.0.0.1:8000/v1"])
    """Address of a server that is not OpenAI's own, such as `http://127.0.0.1:8000/v1`."""
    api_key_env: str | None = Field(default="OPENAI_API_KEY", pattern=r"^[A-Z][A-Z0-9_]*$", examples=["OPENAI_API_KEY"])
    """Variable of the environment, or of the workspace's `.env`, that holds the key; null: the server wants none."""
    place: Literal["box", "laptop"] = "laptop"
    """Where requests are made; `box` only for a server there that wants no key."""

    model: str = Field(default="", max_length=200)
    api: Literal["responses", "chat"] = "responses"
    json_mode: Literal["strict", "schema", "object"] = "strict"
    """How the form of an answer is asked for; it is checked here in any case."""
    detail: Literal["low", "high", "auto", "original"] | None = "high"
    """How closely the model looks at pictures; null: the server knows no such thing."""
    prompt_cache_key: bool = True
    store: bool = True
    """Whether the server takes the parameter that forbids it to keep what it was sent; it is then always sent."""
    max_tokens_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """What `chat` calls the bound of an answer."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    reasoning: Literal["minimal", "low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None

    context_tokens: int = Field(default=128_000, ge=2_000)
    """The model's window: question and answer together never exceed it."""
    max_output_tokens: int = Field(default=6_000, ge=200)
    """Longest answer, thinking included; one that is cut off is asked for once more with twice as much."""

    image_max_side_px: int = Field(default=2048, ge=64, le=8192)
    image_base_tokens: int = Field(default=85, ge=0)
    image_tile_px: int = Field(default=512, ge=8)
    image_tile_tokens: float = Field(default=170.0, ge=0)
    """What a picture costs: base + tiles × this. These are gpt-4o's; models that count 32-pixel patches want
    `image_base_tokens: 0, image_tile_px: 32, image_short_side_px: null` and their multiplier here."""
    image_short_side_px: int | None = Field(default=768, ge=8)
    """The server shrinks pictures to this shorter side before it counts; null: it does not."""

    min_page_share: float = Field(default=0.002, ge=0, le=1)
    """Regions inside another one that cover less of the page are not asked about."""
    group_diagrams: bool = True
    """One question for a diagram or canvas with all that is in it, its boxes drawn and numbered."""
    max_parts: int = Field(default=40, ge=1, le=200)
    """Most regions inside a diagram that one question asks about."""

    max_concurrency: int = Field(default=8, ge=1, le=256)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Both are also learnt from what the server says of its limits."""
    tries: int = Field(default=6, ge=1, le=20)
    """How often a question is sent when the server is busy, broken or silent."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    longest_pause_s: float = Field(default=60.0, ge=0, le=3600)
    """Longest wait between two tries; a server that asks for more is taken at its word up to ten times this."""

    usd_per_1m_input: float | None = Field(default=None, ge=0)
    usd_per_1m_cached: float | None = Field(default=None, ge=0)
    usd_per_1m_output: float | None = Field(default=None, ge=0)
    """Prices of a million tokens; null: unknown, and then no cap can be kept."""
    max_usd: float | None = Field(default=None, gt=0)
    """What the run may spend on this analyst: a question whose answer might pass it is not sent."""

    batch: bool = False
    """Use the Batch API: about half the price, an answer within a day."""
    batch_price_factor: float = Field(default=0.5, gt=0, le=1)
    batch_poll_s: float = Field(default=30.0, gt=0, le=3600)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            preset = PRESETS.get(values.get("server", "openai"), {})
            # TOML has no null: an empty text stands for it.
            said = {name: None if value == "" and name != "model" else value for name, value in values.items()}
            return {**preset, **said}
        return values

    @field_validator("model")
    @classmethod
    def _named(cls, model: str) -> str:
        if not model.strip():
            raise ValueError("which model shall answer? Say it: analyst.model=NAME, as the server lists it")
        return model.strip()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "model" not in self.model_fields_set:
            raise ValueError("which model shall answer? Say it: analyst.model=NAME, as the server lists it")
        if self.server != "openai" and self.base_url is None:
            raise ValueError(f"server {self.server} has no fixed address: say analyst.base_url=http://…/v1")
        if self.api_key_env is None and self.base_url is None:
            raise ValueError("OpenAI's own server wants a key: say in analyst.api_key_env which variable holds it")
        if self.api_key_env is not None and self.base_url is not None and not _keeps_keys(self.base_url):
            raise ValueError(
                f"analyst.base_url={self.base_url} would carry the key in {self.api_key_env} unencrypted: write "
                "https://…, or say analyst.api_key_env=null for a server that wants no key"
            )
        if self.place == "box" and (self.base_url is None or self.api_key_env is not None):
            raise ValueError(
                "analyst.place=box takes a server on the box that wants no key, for a key never goes to a box: say "
                "analyst.base_url=http://127.0.0.1:…/v1 and analyst.api_key_env=null, or leave place at laptop"
            )
        if self.place == "box" and self.max_usd is not None:
            raise ValueError(
                "analyst.max_usd is kept where one purse is: with analyst.place=box there may be many boxes"
            )
        if self.batch and self.server != "openai":
            raise ValueError(f"{self.server} has no Batch API: say analyst.batch=false")
        if self.max_usd is not None and not self.priced:
            raise ValueError(
                "analyst.max_usd needs prices to count with: say analyst.usd_per_1m_input and "
                "analyst.usd_per_1m_output, as the server's price list has them"
            )
        if self.max_output_tokens > self.context_tokens // 2:
            raise ValueError(
                f"analyst.max_output_tokens={self.max_output_tokens} leaves too little of the window of "
                f"{self.context_tokens} tokens (analyst.context_tokens) for the question: at most half of it"
            )
        self._check_window()
        return self

    def _check_window(self) -> None:
        from pipeline.docparse.vlm.tokens import room_for_text

        room = room_for_text(self)
        if room < MIN_TEXT_TOKENS:
            raise ValueError(
                f"analyst.context_tokens={self.context_tokens} leaves {room} tokens for a page's text beside the "
                f"instructions, a picture of {self.image_max_side_px} px and an answer of {self.max_output_tokens}: "
                "use a larger window, or lower analyst.image_max_side_px or analyst.max_output_tokens"
            )

    @property
    def priced(self) -> bool:
        """Whether it is known what tokens cost."""
        return self.usd_per_1m_input is not None and self.usd_per_1m_output is not None


def _keeps_keys(url: str) -> bool:
    """Whether a key may go there: encrypted, or no further than this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")
