"""Answers in the form that vast.ai's clients insist on."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


def reply(value: Any, status: int = 200) -> web.Response:
    """JSON with a bare `application/json`: the official command line refuses one that names a charset."""
    return web.Response(body=json.dumps(value).encode(), status=status, content_type="application/json")


def failure(status: int, error: str, message: str) -> web.Response:
    """A refusal."""
    return reply({"success": False, "error": error, "msg": message}, status)
