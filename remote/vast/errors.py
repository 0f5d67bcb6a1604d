"""What a refusal of vast.ai means, in our errors. Pure functions of the response and of the time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from remote.cloud import (
    CloudError,
    CloudUnreachable,
    NoCredit,
    NoSuchInstance,
    OfferGone,
    OutcomeUnknown,
    RateLimited,
    SearchQuota,
    Unauthorized,
)

KEY_ADVICE = "put a valid VAST_API_KEY into the environment or into .env (chmod 600)"
LONGEST_QUOTE = 300
BAD_KEY_WORDS = ("auth_error", "invalid user key", "api key", "api_key", "session expired")
NEVER_MISSING = ("/bundles/", "/search/", "/users/current", "/charges/")
"""What is always there: a 404 on these is how a wrong key has been refused."""
NO_INSTANCE_CODES = ("no_such_instance", "not_found", "invalid_id")
OFFER_GONE_WORDS = ("no_such_ask", "not rentable", "unavailable", "already rented", "no_longer_available")
NO_CREDIT_WORDS = (
    "insufficient_credit",
    "insufficient credit",
    "lack of credit",
    "balance",
    "spend_rate_limit",
    "billing",
)
THRESHOLD = re.compile(r"threshold\s*=\s*([0-9.]+)")
EARLIEST_UNIX_TIME_S = 1e9
"""A reset below this is a number of seconds, above it a moment."""


def error_of_response(
    method: str,
    path: str,
    status: int,
    text: str,
    headers: Mapping[str, str],
    *,
    creates: bool,
    repeatable: bool,
    now: float,
) -> CloudError | None:
    """The error that a response stands for; None for a success.

    Args:
        method: HTTP method, for the sentence.
        path: path of the URL: what it names decides what a 404 means.
        status: HTTP status.
        text: body of the response; JSON or, from a rate limiter, plain text.
        headers: of the response.
        creates: whether the call rents, so that a refusal is one of an offer.
        repeatable: whether sending it twice is harmless; else an answer that tells nothing leaves the outcome unknown.
        now: unix seconds, for the time until a limit is lifted.
    """
    if status < 400:
        return None
    code, message = _code_and_message(text)
    said = f"{method} {path}: {status} {message or code or 'without a reason'}"
    words = f"{code} {message}".lower()
    if status == 401 or (status in (403, 404) and any(word in words for word in BAD_KEY_WORDS)):
        return Unauthorized(f"the cloud refused the key ({message or code or status}); {KEY_ADVICE}")
    if status == 429:
        return _rate_limited(code, message, headers, now)
    if creates and status < 500:
        if not code:  # not the cloud's own words: a proxy may have cut off an answer that it had
            return OutcomeUnknown(f"something on the way refused, it may have been done: {said}")
        return refusal(code, message)
    if status == 404 and any(name in path for name in NEVER_MISSING):
        return Unauthorized(f"the cloud refused the key ({said}); {KEY_ADVICE}")
    if code in ("missing_billing", "insufficient_credit"):
        return NoCredit(f"the account cannot pay for it: {said}; add credit")
    if "/instances/" in path and code in NO_INSTANCE_CODES:
        return NoSuchInstance(f"the cloud does not know this instance: {said}")
    if status >= 500 or ("/instances/" in path and status == 404):
        whose = "the cloud has trouble of its own" if status >= 500 else "this does not say that the instance is gone"
        trouble = f"{whose}: {said}"
        return CloudUnreachable(trouble) if repeatable else OutcomeUnknown(f"{trouble}; it may have been done")
    return CloudError(f"the cloud refused: {said}")


def refusal(code: str, message: str) -> CloudError:
    """Why a create was refused, from the error's code and message."""
    words = f"{code} {message}".lower()
    if any(word in words for word in OFFER_GONE_WORDS):
        return OfferGone(f"the offer is gone: {message or code}")
    if any(word in words for word in NO_CREDIT_WORDS):
        return NoCredit(f"the account cannot pay for it: {message or code}; add credit or take a cheaper offer")
    return CloudError(f"the cloud refused to rent: {message or code or 'no reason given'}")


def refused_change(answer: object, what: str, clean: Callable[[str], str]) -> CloudError | None:
    """The error inside a change's answer that came with status 200: `{"success": false, …}`; None when it was done.

    Args:
        answer: parsed body.
        what: the change, for the sentence.
        clean: takes secrets out of the cloud's words.
    """
    if not isinstance(answer, Mapping) or answer.get("success", True):
        return None
    code, message = str(answer.get("error") or ""), str(answer.get("msg") or "")
    said = f"{what}: {clean(message or code) or 'without a reason'}"
    if code in NO_INSTANCE_CODES:
        return NoSuchInstance(f"the cloud does not know this instance: {said}")
    return CloudError(f"the cloud refused: {said}")


def until_utc_midnight_s(now: float) -> float:
    """Seconds until the next day begins in UTC, when vast.ai gives the day's searches anew."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).timestamp() - now


def _code_and_message(text: str) -> tuple[str, str]:
    try:
        body = json.loads(text)
    except ValueError:
        return "", text.strip()[:LONGEST_QUOTE]
    if not isinstance(body, dict):
        return "", str(body)[:LONGEST_QUOTE]
    message = body.get("msg") or body.get("message") or body.get("detail") or ""
    return str(body.get("error") or ""), str(message)[:LONGEST_QUOTE]


def _rate_limited(code: str, message: str, headers: Mapping[str, str], now: float) -> RateLimited:
    told_s = _retry_after_s(headers, now)
    if code == "search_quota_exceeded":
        wait_s = told_s if told_s is not None else until_utc_midnight_s(now)
        reset = datetime.fromtimestamp(now + wait_s, UTC)
        return SearchQuota(f"the account's searches of this day are used up; new ones at {reset:%H:%M} UTC", wait_s)
    if told_s is None and (threshold := THRESHOLD.search(message)):
        told_s = _number(threshold[1])
    return RateLimited(f"the cloud asks for fewer calls: {message or code or '429'}", told_s)


def _retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """What `Retry-After` (seconds or a date) or `X-RateLimit-Reset` (a moment or seconds) tells; else None."""
    told = headers.get("Retry-After")
    if told is not None:
        seconds = _number(told)
        if seconds is None:
            try:
                seconds = parsedate_to_datetime(told).timestamp() - now
            except ValueError:
                seconds = None
        if seconds is not None:
            return max(0.0, seconds)
    reset = _number(headers.get("X-RateLimit-Reset"))
    if reset is None:
        return None
    return max(0.0, reset - now if reset > EARLIEST_UNIX_TIME_S else reset)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
