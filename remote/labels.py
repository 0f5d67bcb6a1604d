"""Labels of what is rented: by them an instance is found after a create without an answer, and its owner told."""

from __future__ import annotations

import re

from ulid import ULID

LABEL_PREFIX = "spotter-op-"
_MARKED = re.compile(rf"{LABEL_PREFIX}(?P<mark>[a-z2-7]{{6}})-(?P<ulid>[0-9a-z]{{26}})")


def new_label(mark: str) -> str:
    """A label that was never used: the workspace's mark (`Ledger.mark`), then a ULID."""
    return f"{LABEL_PREFIX}{mark}-{str(ULID()).lower()}"


def mark_of(label: str) -> str | None:
    """The mark of the workspace that rented it; None in labels that carry none."""
    found = _MARKED.fullmatch(label)
    return found["mark"] if found else None


def is_ours(label: str, mark: str) -> bool:
    """Whether this workspace rented it, or nobody says who did (a label of before marks)."""
    return label.startswith(LABEL_PREFIX) and mark_of(label) in (None, mark)


def is_foreign(label: str, mark: str) -> bool:
    """Whether another workspace of the same account rented it: it is shown, and left alone."""
    return label.startswith(LABEL_PREFIX) and not is_ours(label, mark)
