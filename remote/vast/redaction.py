"""Taking the API key out of whatever may be written down or shown."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

REDACTED = "[key]"


def redacted(text: str, secret: str) -> str:
    """`text` without `secret`, also where it stands quoted for a URL."""
    if not secret:
        return text
    for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
        text = text.replace(written, REDACTED)
    return text
