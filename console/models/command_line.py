"""What is typed after `:`: a view with what it is to show, or an action; and how it is completed and remembered."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from console.language import _
from console.workspace import remembers

HISTORY_LENGTH = 20
CANDIDATES_SHOWN = 40
SHORT = {
    "q": "everywhere.quit",
    "quit": "everywhere.quit",
    "ro": "everywhere.read-only",
    "ps": "fleet",
    "logs": "log",
    "search": "index",
    "settings": "doctor",
    "help": "everywhere.help",
}
"""What hands type by habit."""


@dataclass(frozen=True, slots=True)
class Go:
    """Show a view."""

    view: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Do:
    """Do an action."""

    action_id: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """It is neither; the sentence says what was close."""

    sentence: str


def parse_command(text: str, views: Collection[str], actions: Collection[str]) -> Go | Do | Wrong:
    """What a line asks for.

    Args:
        text: What was typed, with or without the colon.
        views: Names of views.
        actions: Ids of actions, `view.verb`.

    A name may be cut short as long as only one begins so; a whole name is never ambiguous. An action's verb alone will
    do where one action has it. Actions take no argument.
    """
    head, _space, argument = text.strip().removeprefix(":").strip().partition(" ")
    argument = argument.strip()
    if not head:
        return Wrong(_("Type a view or an action: fleet, runs, everywhere.theme …"))
    names = _names(views, actions)
    found = sorted(set(names.get(head, ())))
    if not found:
        found = sorted({target for name, targets in names.items() if name.startswith(head) for target in targets})
    if len(found) > 1:  # a view's own name before the action that shows it, and before actions that begin alike
        preferred = [name for name in found if name in views]
        found = preferred if len(preferred) == 1 else found
    match found:
        case []:
            return Wrong(_unknown(head, names))
        case [one] if one in views:
            return Go(one, argument)
        case [one] if argument:
            return Wrong(_("{action} takes no words after it").format(action=one))
        case [one]:
            return Do(one)
        case _:
            listed = ", ".join(found[:8]) + (" …" if len(found) > 8 else "")
            return Wrong(_("{head} could be {names}").format(head=head, names=listed))


def _names(views: Collection[str], actions: Collection[str]) -> dict[str, list[str]]:
    """All that may be typed first, and what it stands for."""
    names: dict[str, list[str]] = {view: [view] for view in views}
    for action in actions:
        names.setdefault(action, []).append(action)
        verb = action.partition(".")[2]
        if verb not in views:
            names.setdefault(verb, []).append(action)
    for short, target in SHORT.items():
        if target in views or target in actions:
            names[short] = [target]
    return names


def _unknown(head: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(head, list(names), 3, 0.6)
    if not close:
        return _("There is no view or action called {head}").format(head=head)
    return _("There is no {head}; did you mean {names}?").format(head=head, names=", ".join(close))


def candidates(
    text: str, views: Sequence[str], actions: Sequence[str], complete: Callable[[str], Sequence[str]]
) -> list[str]:
    """Whole lines that what was typed may become, the likeliest first.

    Args:
        text: The line so far.
        views: Names of views, in the order of offering.
        actions: Ids of actions.
        complete: Words that begin like the last one: instances, runs, documents. It must not wait.
    """
    if " " not in text.lstrip():
        word = text.lstrip()
        shorts = [short for short in SHORT if word and short.startswith(word)]
        first = [name for name in (*views, *shorts, *actions) if name.startswith(word)]
        by_verb = {each: each.partition(".")[2] for each in actions if each not in first}
        verbs = [each for each, verb in by_verb.items() if word and verb.startswith(word) and verb not in views]
        return list(dict.fromkeys([*first, *verbs]))[:CANDIDATES_SHOWN]
    before, _space, word = text.rpartition(" ")
    return [f"{before} {each}" for each in complete(word) if each.startswith(word) and each != word][:CANDIDATES_SHOWN]


def common_start(lines: Sequence[str]) -> str:
    """What all of them begin with."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(min(lines, default=""), max(lines, default=""), strict=False))
    return "".join(letter for letter, _other in same)


class CommandHistory:
    """The last lines that were typed, walked with up and down; kept in a file of the workspace."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self._lines = list(lines)[-HISTORY_LENGTH:]
        self._at = len(self._lines)
        self._draft = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self._lines)

    def add(self, line: str) -> None:
        """Remember a line as the newest; one that was there before moves."""
        line = line.strip()
        if line:
            self._lines = [*(each for each in self._lines if each != line), line][-HISTORY_LENGTH:]
        self.rest()

    def rest(self) -> None:
        """Stand behind the newest again."""
        self._at, self._draft = len(self._lines), ""

    def older(self, draft: str) -> str:
        """The line before; the oldest once there is none. What was being typed is kept for the way back."""
        if self._at == len(self._lines):
            self._draft = draft
        self._at = max(0, self._at - 1)
        return self._lines[self._at] if self._lines else draft

    def newer(self, draft: str) -> str:
        """The line after, and at last what was being typed."""
        if self._at >= len(self._lines):
            return draft
        self._at += 1
        return self._lines[self._at] if self._at < len(self._lines) else self._draft


def read_history(path: Path) -> list[str]:
    """The lines of a history file; none when there is none or it is broken, for it is only a convenience."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [line for line in said if isinstance(line, str)][-HISTORY_LENGTH:] if isinstance(said, list) else []


def write_history(path: Path, lines: Sequence[str]) -> None:
    """Replace the history file; nothing in a folder without workspace.

    Raises:
        OSError: it cannot be written.
    """
    if not remembers(path.parent):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(list(lines), ensure_ascii=False), "utf-8")
    temporary.replace(path)
