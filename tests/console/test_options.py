"""A list of options in hardly any room."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Size

from console.widgets.options import Options


class Narrow(App[None]):
    CSS = "Options { height: auto; border: none; padding: 0; }"

    def compose(self) -> ComposeResult:
        yield Options(" d  Demo", "another one")


@pytest.mark.parametrize("beyond", [-2, -1, 0, 1])
async def test_options_have_a_height_where_their_padding_leaves_no_width(beyond: int) -> None:
    app, room = Narrow(), Size(80, 24)
    async with app.run_test():
        options = app.query_one(Options)
        padding = options.get_component_styles("option-list--option").padding.width
        at_one_cell = options.get_content_height(room, room, padding + 1)
        assert options.get_content_height(room, room, padding + beyond) == at_one_cell
        assert at_one_cell > options.get_content_height(room, room, 80) == 2
