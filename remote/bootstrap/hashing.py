"""How the inputs of a step become a short name: the same inputs, the same step."""

from __future__ import annotations

import hashlib
import json


def hash_of(value: object) -> str:
    """16 hex digits of a sha256 over `value` as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
