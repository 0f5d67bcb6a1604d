"""What a regular expression of the operator's may cost: Python's can take for ever, and holds the screen up meanwhile.

Time grows with the line's length to the power of the repeats without end (`*`, `+`, `{3,}`) that follow each other, and
without any bound where one stands inside another. So the second kind is refused, and the first reads fewer characters
of a line the more of them there are; the worst line then takes a fraction of a second.
"""

from __future__ import annotations

import re

from console.language import _
from console.models.filter import FilterError

CHARACTERS_BY_REPEATS = (4_000, 2_000, 400, 120)
"""Of a line that are searched, by the number of repeats without end in the pattern."""
LONG_COUNT = 10
"""A `{2,50}` is as bad as a repeat without end; up to so many more it isn't."""

_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")


def searched_characters(pattern: str) -> int:
    """How much of a line `pattern` may be searched in.

    Raises:
        FilterError: it could take for ever, whatever the length.
    """
    repeats = _open_repeats(pattern)
    if repeats >= len(CHARACTERS_BY_REPEATS):
        message = _("/{pattern}/ has {n} repeats without end; {most} are the most that a log can be searched for")
        raise FilterError(message.format(pattern=pattern, n=repeats, most=len(CHARACTERS_BY_REPEATS) - 1))
    return CHARACTERS_BY_REPEATS[repeats]


def _open_repeats(pattern: str) -> int:
    """Counts `*`, `+` and long counts; one over a group that can itself match in several ways is refused."""
    total, at = 0, 0
    groups: list[int] = []
    """Of each open group: how many ways out it has, repeats and choices."""
    closed = 0
    """The same of the atom just before; more than 0 only for a group."""
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at, closed = at + 2, 0
            continue
        if character == "[":
            at, closed = _end_of_class(pattern, at), 0
            continue
        if character == "(":
            groups.append(0)
            at += 3 if pattern.startswith("(?:", at) else 1
            at += 1 if pattern[at : at + 1] == "?" and pattern[at - 1] == "(" else 0
            closed = 0
            continue
        if character == ")":
            closed = groups.pop() if groups else 0
            if groups:
                groups[-1] += closed
            at += 1
            continue
        if character == "|":
            if groups:
                groups[-1] += 1
            at, closed = at + 1, 0
            continue
        width, many, endless = _quantifier(pattern, at)
        if not width:
            at, closed = at + 1, 0
            continue
        if many and closed:
            message = _("/{pattern}/ repeats a group that repeats or chooses; that can take for ever")
            raise FilterError(message.format(pattern=pattern))
        total += endless
        if groups:
            groups[-1] += 1
        at += width
        at += 1 if pattern[at : at + 1] in ("+", "?") else 0  # lazy or possessive
        closed = 0
    return total


def _end_of_class(pattern: str, start: int) -> int:
    """Behind the bracket that closes a class of characters."""
    at = start + 1
    at += 1 if pattern[at : at + 1] == "^" else 0
    at += 1 if pattern[at : at + 1] == "]" else 0
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _quantifier(pattern: str, at: int) -> tuple[int, bool, bool]:
    """Width of the quantifier that stands here (0: none does), whether it repeats at all, whether without end."""
    if pattern[at] in "*+":
        return 1, True, True
    if pattern[at] == "?":
        return 1, False, False
    found = _COUNT.match(pattern, at)
    if found is None or (not found[1] and not found[3]):
        return 0, False, False
    least = int(found[1][:6] or 0)
    most = least if not found[2] else int(found[3][:6]) if found[3] else least + LONG_COUNT + 1
    return len(found[0]), most > 1, most - least > LONG_COUNT
