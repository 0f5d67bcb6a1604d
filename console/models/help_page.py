"""What the help page says: keys of the pane with the keyboard, of its list, of the view, and of every view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from console.actions.action import Action
from console.language import _


@dataclass(frozen=True, slots=True)
class HelpRow:
    """One action as help shows it."""

    keys: str
    """As they stand on a keyboard; empty for one without."""
    users: bool
    """Whether they are the operator's own."""
    help: str
    twin: str
    """The same thing typed in a shell."""
    refusal: str = ""
    """Why it cannot be done now."""
    action_id: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word occurs somewhere in it."""
        text = " ".join((self.keys, self.help, self.twin, self.refusal, self.action_id)).casefold()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class HelpSection:
    """A heading and its actions."""

    title: str
    rows: tuple[HelpRow, ...]


def help_section(
    title: str,
    actions: Iterable[Action],
    keys_of: Callable[[Action], str],
    is_users: Callable[[str], bool],
    refusal: Callable[[Action], str],
) -> HelpSection:
    """A group of actions, in the language spoken.

    Args:
        title: The heading.
        actions: In the order of the registry.
        keys_of: The keys of one, as they stand on a keyboard.
        is_users: Whether those of an id are the operator's own.
        refusal: Why one cannot be done now.
    """
    return HelpSection(
        title,
        tuple(
            HelpRow(keys_of(each), is_users(each.id), _(each.help), each.command, refusal(each), each.id)
            for each in actions
        ),
    )


def searched(sections: Sequence[HelpSection], text: str) -> list[HelpSection]:
    """The rows in which every word of `text` occurs; sections without any are left out."""
    words = text.casefold().split()
    kept = [HelpSection(each.title, tuple(row for row in each.rows if row.matches(words))) for each in sections]
    return [each for each in kept if each.rows]
