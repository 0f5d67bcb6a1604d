"""Which keys do what: the registry's, with the operator's `[keymap]` over them; what cannot be is said."""

from __future__ import annotations

import difflib
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from console.actions.action import EVERYWHERE, TABLE, Action
from console.language import _

Source = Literal["default", "user"]
UNBOUND = "unbound"
"""Stands for no key in Textual's key map, which takes an empty text for `as it was`."""

MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
NAMED_KEYS = (
    {"up", "down", "home", "end", "pageup", "pagedown", "enter"}
    | {"left", "right", "insert", "delete", "backspace", "tab", "escape", "space"}
    | {f"f{number}" for number in range(1, 25)}
)
OTHER_NAMES = {"esc": "escape", "return": "enter", "pgup": "pageup", "pgdn": "pagedown", "del": "delete"}
"""As hands write them, and as the framework calls them."""
SHORT_SIGNS = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
"""Signs that the framework calls otherwise than Unicode does."""
SAME_AS = {
    "ctrl+h": "backspace",
    "ctrl+i": "tab",
    "ctrl+j": "enter",
    "ctrl+m": "enter",
    "ctrl+left_square_bracket": "escape",
}
"""What a terminal sends for both: a key that cannot be told from another."""
OF_FOCUS = frozenset({"tab", "shift+tab", "ctrl+c"})
"""Going from pane to pane, and the way out that every terminal has."""
ALWAYS = ("everywhere.help", "everywhere.command", "everywhere.back", "everywhere.quit")
"""What must have a key: whoever loses these is stuck."""


@dataclass(frozen=True, slots=True)
class Keymap:
    """Every action's keys, where they come from, and what of the operator's wishes cannot be."""

    keys: Mapping[str, tuple[str, ...]]
    """Textual's names of keys by action id, the first to be shown first."""
    users: frozenset[str] = frozenset()
    """Ids whose keys are the operator's own."""
    problems: tuple[str, ...] = ()
    """Sentences; what they speak of keeps its own keys."""

    def of(self, action_id: str) -> tuple[str, ...]:
        """The keys that do it now; none for an action without."""
        return self.keys.get(action_id, ())

    def source(self, action_id: str) -> Source:
        """Whose choice that is."""
        return "user" if action_id in self.users else "default"

    def changed(self) -> dict[str, str]:
        """What `App.set_keymap` is to be told: comma-separated keys of the actions that the operator changed."""
        return {each: ",".join(self.of(each)) or UNBOUND for each in sorted(self.users)}


def default_keymap(actions: Iterable[Action]) -> Keymap:
    """The registry's own keys."""
    return Keymap({action.id: _split(action.keys) for action in actions})


def resolve(actions: Sequence[Action], wishes: Mapping[str, str | Sequence[str]]) -> Keymap:
    """The registry's keys with the operator's wishes laid over them.

    A wish that names no action or no key, that a terminal cannot send, or that takes a key which another action of the
    same screen has, is left out and told; all others apply. Two actions may exchange their keys.
    """
    known = {action.id: action for action in actions}
    defaults = default_keymap(actions).keys
    problems: list[str] = []
    accepted: dict[str, tuple[str, ...]] = {}
    for action_id, wish in wishes.items():
        if action_id not in known:
            problems.append(_unknown_action(action_id, known))
            continue
        keys = tuple(canonical(key) for key in (_split(wish) if isinstance(wish, str) else wish))
        trouble = _trouble(known[action_id], keys)
        if trouble:
            problems.append(trouble)
        elif keys != defaults[action_id]:
            accepted[action_id] = keys
    while (clash := _first_clash(known, defaults, accepted)) is not None:
        loser, key, other = clash
        del accepted[loser]
        problems.append(
            _("{action}: {key} is taken by {other}; it keeps {keys}").format(
                action=loser, key=key, other=other, keys=", ".join(defaults[loser]) or _("no key")
            )
        )
    return Keymap({**defaults, **accepted}, frozenset(accepted), tuple(problems))


def canonical(key: str) -> str:
    """A key's name as Textual has it: `?` is question_mark, `ctrl+/` is ctrl+slash."""
    key = key.strip()
    *modifiers, last = key.split("+") if len(key) > 1 and not key.endswith("++") else [key]
    if key.endswith("++"):
        *modifiers, last = [*key[:-2].split("+"), "+"]
    if len(last) == 1:
        if modifiers and last.isupper():
            modifiers, last = [*modifiers, "shift"], last.lower()
        last = last if last.isalnum() else _sign_name(last)
    else:
        last = OTHER_NAMES.get(last, last)
    return "+".join([*sorted({each.lower() for each in modifiers}), last])


def is_key(key: str) -> bool:
    """Whether a keyboard has it: a letter, a sign by its name, or a named key, with modifiers before it."""
    *modifiers, last = key.split("+")
    if not set(modifiers) <= MODIFIERS or not last:
        return False
    return (len(last) == 1 and last.isprintable()) or last in NAMED_KEYS or last in _SIGN_NAMES


def _sign_name(sign: str) -> str:
    name = unicodedata.name(sign, sign).lower().replace("-", "_").replace(" ", "_")
    return SHORT_SIGNS.get(name, name)


_SIGN_NAMES = frozenset(map(_sign_name, string.punctuation + "№«»§€£¥°–—…¬±"))


def _split(keys: str) -> tuple[str, ...]:
    """Comma-separated keys; a lone comma is the key itself."""
    if keys.strip() == ",":
        return (",",)
    return tuple(key.strip() for key in keys.split(",") if key.strip())


def _unknown_action(action_id: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(action_id, list(known), 1)
    sentence = _("{action}: there is no such action").format(action=action_id)
    return sentence + (_(" (did you mean {other}?)").format(other=close[0]) if close else "")


def _trouble(action: Action, keys: Sequence[str]) -> str:
    """Why these keys cannot do this action, whatever the others have; empty when they can."""
    for key in keys:
        if not is_key(key):
            return _("{action}: {key!r} is no key").format(action=action.id, key=key)
        if key in SAME_AS:
            return _("{action}: terminals send {other} for {key}").format(action=action.id, key=key, other=SAME_AS[key])
        if key in OF_FOCUS:
            return _("{action}: {key} moves about on every screen").format(action=action.id, key=key)
        if action.stake and len(key) == 1 and not key.isupper():
            return _("{action}: what touches money or data wants an upper-case letter or a modifier, not {key}").format(
                action=action.id, key=key
            )
    if not keys and action.id in ALWAYS:
        return _("{action}: it must have a key").format(action=action.id)
    return ""


def _first_clash(
    known: Mapping[str, Action], defaults: Mapping[str, tuple[str, ...]], accepted: Mapping[str, tuple[str, ...]]
) -> tuple[str, str, str] | None:
    """An accepted wish whose key another action of the same screen has, the last one written first.

    Where neither of the two was changed it is the registry's own doing: a view may take a digit for itself.
    """
    for loser in reversed(list(accepted)):
        for key in accepted[loser]:
            for other in known.values():
                keys = accepted.get(other.id, defaults[other.id])
                if other.id != loser and key in keys and _share_a_screen(known[loser], other):
                    return loser, key, other.id
    return None


def _share_a_screen(one: Action, other: Action) -> bool:
    """Whether both can be meant by one key press: the same view, or one of them is offered in every view."""
    return one.view == other.view or bool({one.view, other.view} & {EVERYWHERE, TABLE})
