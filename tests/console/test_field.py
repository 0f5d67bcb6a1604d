"""Keys that come in one go are done in the order of typing."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult

from console.widgets.field import Field
from console.widgets.typed_line import TypedLine


class OneField(App[None]):
    """A field, and keys for it that no moment passes between."""

    def __init__(self, kind: type[Field]) -> None:
        super().__init__()
        self._kind = kind

    def compose(self) -> ComposeResult:
        yield self._kind()

    def type(self, *keys: str) -> None:
        for key in keys:
            self.post_message(events.Key(key, key if len(key) == 1 else None))


@pytest.mark.parametrize("kind", [Field, TypedLine])
@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("1", "2", "backspace", "3"), "13"),
        (("a", "b", "ctrl+u", "c", "d"), "cd"),
        (("b", "home", "a", "end", "c", "left", "delete"), "ab"),
        (("a", "ctrl+c", "escape", "b"), "ab"),
    ],
)
async def test_editing_keys_and_letters_keep_their_order(kind: type[Field], keys: tuple[str, ...], value: str) -> None:
    app = OneField(kind)
    async with app.run_test() as pilot:
        app.query_one(kind).focus()
        await pilot.pause()
        app.type(*keys)
        await pilot.pause()
        assert app.query_one(kind).value == value
