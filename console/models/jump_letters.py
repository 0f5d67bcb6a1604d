"""Letters for everything on screen that can be gone to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Generic, TypeVar

ALPHABET = "asdfjklghqwertyuiopzxcvbnm"
"""The letters under resting fingers first."""
MOST = len(ALPHABET) ** 2
Goal = TypeVar("Goal")


@dataclass(frozen=True, slots=True)
class Target(Generic[Goal]):
    """Something to go to, and the cell of the screen where its letters are drawn."""

    goal: Goal
    x: int
    y: int


def letters(count: int) -> list[str]:
    """As many letters, or pairs of them, none of which another begins with: a press is never half of something.

    Pairs are made of letters from the alphabet's end, so that the first goals keep one letter as long as that goes.

    Raises:
        ValueError: there are more goals than pairs.
    """
    if count > MOST:
        raise ValueError(f"{count} goals are more than {MOST} pairs of letters")
    size = len(ALPHABET)
    heads = 0
    while size - heads + heads * size < count:
        heads += 1
    single, first = ALPHABET[: size - heads], ALPHABET[size - heads :]
    return [*single, *islice(("".join(pair) for pair in product(first, ALPHABET)), max(0, count - len(single)))][:count]


def lettered(targets: Sequence[Target[Goal]]) -> dict[str, Target[Goal]]:
    """The targets by their letters, from the top of the screen down and from left to right.

    Of two in the same cell the first stays; more than there are pairs of letters are left out.
    """
    cells: dict[tuple[int, int], Target[Goal]] = {}
    for target in targets:
        cells.setdefault((target.y, target.x), target)
    ordered = [cells[cell] for cell in sorted(cells)][:MOST]
    return dict(zip(letters(len(ordered)), ordered, strict=True))


def pressed(typed: str, known: Sequence[str]) -> str | None:
    """What the letters typed so far come to: one of `known`, or None while they may become one.

    Raises:
        KeyError: none begins so.
    """
    if typed in known:
        return typed
    if any(each.startswith(typed) for each in known):
        return None
    raise KeyError(typed)
