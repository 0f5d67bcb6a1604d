"""What a refusal of vast.ai means, in our errors. A pure function of the response."""

from __future__ import annotations

import json
from collections.abc import Mapping

from remote.cloud import (
    CloudError,
    CloudUnreachable,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
)

KEY_ADVICE = "put a valid VAST_API_KEY into the environment or into .env (chmod 600)"
LONGEST_QUOTE = 300
BAD_KEY_WORDS = ("auth_error", "invalid user key", "api key", "api_key")
OFFER_GONE_WORDS = ("no_such_ask", "not rentable", "unavailable", "already rented", "no_longer_available")
NO_CREDIT_WORDS = (
    "insufficient_credit",
    "insufficient credit",
    "lack of credit",
    "balance",
    "spend_rate_limit",
    "billing",
)


class NotFound(CloudError):
    """The cloud knows no such thing."""


class SearchQuotaExceeded(RateLimited):
    """The account's searches of this day (UTC) are used up; asking again only burns requests."""


def error_of_response(
    method: str, path: str, status: int, text: str, headers: Mapping[str, str], creates: bool
) -> CloudError | None:
    """The error that a response stands for; None for a success.

    Args:
        method: HTTP method, for the sentence.
        path: path of the URL, for the sentence.
        status: HTTP status.
        text: body of the response; JSON or, from a rate limiter, plain text.
        headers: of the response.
        creates: whether the call rents, so that an answer that tells nothing leaves the outcome unknown.
    """
    if status < 400:
        return None
    code, message = _code_and_message(text)
    said = f"{method} {path}: {status} {message or code or 'without a reason'}"
    words = f"{code} {message}".lower()
    if status == 401 or (status in (403, 404) and any(word in words for word in BAD_KEY_WORDS)):
        return Unauthorized(f"the cloud refused the key ({message or code or status}); {KEY_ADVICE}")
    if status == 429:
        return _rate_limited(code, message, headers)
    if creates and status < 500:
        return refusal(code, message)
    if status == 404 or code in ("no_such_instance", "not_found"):
        return NotFound(said)
    if status >= 500:
        return OutcomeUnknown(said) if creates else CloudUnreachable(f"the cloud has trouble of its own: {said}")
    return CloudError(f"the cloud refused: {said}")


def refusal(code: str, message: str) -> CloudError:
    """Why a create was refused, from the error's code and message."""
    words = f"{code} {message}".lower()
    if any(word in words for word in OFFER_GONE_WORDS):
        return OfferGone(f"the offer is gone: {message or code}")
    if any(word in words for word in NO_CREDIT_WORDS):
        return NoCredit(f"the account cannot pay for it: {message or code}; add credit or take a cheaper offer")
    return CloudError(f"the cloud refused to rent: {message or code or 'no reason given'}")


def _code_and_message(text: str) -> tuple[str, str]:
    try:
        body = json.loads(text)
    except ValueError:
        return "", text.strip()[:LONGEST_QUOTE]
    if not isinstance(body, dict):
        return "", str(body)[:LONGEST_QUOTE]
    message = body.get("msg") or body.get("message") or body.get("detail") or ""
    return str(body.get("error") or ""), str(message)[:LONGEST_QUOTE]


def _rate_limited(code: str, message: str, headers: Mapping[str, str]) -> RateLimited:
    if code == "search_quota_exceeded":
        return SearchQuotaExceeded("the account's daily search quota is used up; it resets at midnight UTC")
    try:
        retry_after_s: float | None = float(headers["Retry-After"])
    except (KeyError, ValueError):
        retry_after_s = None
    return RateLimited(f"the cloud asks for fewer calls: {message or code or '429'}", retry_after_s)
