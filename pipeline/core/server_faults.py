"""What every server of models answers when it does not answer, as the client library `openai` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import openai

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
GATEWAY_GAVE_UP = frozenset({504, 520, 522, 524})
"""What stands before a server did not wait for it: the answer may have been made, and billed."""
NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated"})
UNKNOWN_PARAMETER = frozenset({"unknown_parameter", "unsupported_parameter", "unsupported_value"})
UNKNOWN_WORDS = (
    "unrecognized request argument", "unknown parameter", "unsupported parameter", "extra inputs are not",
    "extra_forbidden", "is not supported",
)  # fmt: skip
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"})

VerdictT = TypeVar("VerdictT", bound=str)


@dataclass(frozen=True)  # a generic alias cannot call a frozen class with slots
class ServerFault(Generic[VerdictT]):
    """A request without an answer."""

    verdict: VerdictT
    """Who can mend it, in the asker's words."""
    message: str
    billed: bool
    """Whether the server may have charged it: true whenever it did not plainly say that it failed."""
    pause_s: float | None = None
    """How long it asked to be left alone."""
    unreached: bool = False
    """There was not even a connection."""


def never_sent(error: Exception) -> bool:
    """Whether the connection was not even made."""
    return type(error.__cause__).__name__ in _NEVER_SENT


def message_of(error: openai.APIStatusError) -> str:
    """What the server says, in one line; some repeat the key that they refuse, which is left out."""
    key = error.request.headers.get("authorization", "").removeprefix("Bearer ")
    return one_line(error.message.replace(key, "…") if key else error.message)


def one_line(text: Any, length: int = 300) -> str:
    """A text without line ends, cut to a length."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
