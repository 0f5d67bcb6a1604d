"""Pulse: every instance a tile, coloured and signed by its problem; runs and checks in a few lines below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.widgets import Static

from console.actions.action import Action
from console.language import _
from console.models.fleet import FleetView
from console.models.pulse import PulseNews, Tile, tiles_of
from console.models.pulse_words import TILE_HEIGHT, TILE_WIDTH, grid, summary, tile_width, tiles_across
from console.screens.view import Copyable, Listing, PolledView
from console.words import visible

if TYPE_CHECKING:
    from console.operations.pulse import PulseReader


LEAST_LINES = 4
"""Of the summary, however many tiles there are."""


class TileGrid(VerticalScroll, can_focus=True, inherit_bindings=False):
    """The tiles; they scroll when there are more than the screen has room for."""


class Pulse(PolledView[PulseNews]):
    """Draws the fleet as the fleet view's own poll tells it, so that the cloud is asked once for both."""

    NAME = "pulse"
    POLL_S = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._grid = TileGrid(id="pulse-grid")
        self._tiles_box = Static("", id="pulse-tiles", markup=False)
        self._summary = Static("", id="pulse-summary", markup=False)
        self._reader: PulseReader | None = None
        self._fleet: FleetView | None = None
        self._tiles: list[Tile] = []
        self._chosen: str | None = None

    def compose_main(self) -> ComposeResult:
        """Tiles, and the lines below."""
        with self._grid:
            yield self._tiles_box
        yield self._summary

    def on_mount(self) -> None:
        """The fleet's poll must run for the tiles to live."""
        if self.app.live:
            self.app.view_called("fleet")

    def read(self) -> PulseNews:
        """Runs and checks; the fleet is what its own poll heard last."""
        from console.operations.pulse import PulseReader

        if self._reader is None:
            self._reader = PulseReader(self.app.session())
        return self._reader.read(self._fleet)

    def poll(self) -> None:
        """Take what the fleet's poll heard last along."""
        self._fleet = self._fleet_heard()
        super().poll()

    def _fleet_heard(self) -> FleetView | None:
        for fleet in self.app.screen_stack[0].query("#fleet").results(PolledView):
            if isinstance(fleet.news, FleetView):
                return fleet.news
        return None

    def show(self, news: PulseNews) -> None:
        """Draw what was read; the chosen tile stays chosen wherever it moves."""
        self.news = news
        now = news.fleet.now if news.fleet is not None else self.app.now()
        wall_now = self.app.now()
        self._tiles = tiles_of(news.fleet, now, wall_now) if news.fleet is not None else []
        if self._chosen not in {tile.key for tile in self._tiles}:
            self._chosen = self._tiles[0].key if self._tiles else None
        width = max(TILE_WIDTH, self.size.width)
        self._share_room()
        self._draw_tiles()
        self._summary.update(summary(news, now, wall_now, width - 2))

    def _share_room(self) -> None:
        """Tiles in whole rows: the lines below get what those leave, and at least a few."""
        rows = -(-len(self._tiles) // tiles_across(self._width))
        whole = min(rows, max(1, (self.size.height - LEAST_LINES) // TILE_HEIGHT))
        self._summary.styles.max_height = max(LEAST_LINES, self.size.height - whole * TILE_HEIGHT)

    def _draw_tiles(self) -> None:
        tiles = self._tiles_box
        if self._tiles:
            tiles.update(grid(self._tiles, self._chosen, self._width))
        elif self.news is not None and self.news.fleet is not None and self.news.fleet.error is None:
            tiles.update(Text(_("Nothing is rented. 2 shows what could be."), style="dim"))
        else:
            tiles.update(Text(_("The cloud was not heard yet."), style="dim"))

    @property
    def _width(self) -> int:
        return max(TILE_WIDTH, self._grid.scrollable_content_region.width)

    def on_resize(self) -> None:
        """Another number of tiles beside each other."""
        if self.news is not None:
            self.call_after_refresh(self.show, self.news)

    @property
    def problem_count(self) -> int:
        """Tiles that are not well."""
        return sum(tile.level in ("error", "warning") for tile in self._tiles)

    # ---- actions ----

    def focus_main(self) -> None:
        """Keys choose tiles."""
        self._grid.focus()

    def targets(self) -> tuple[str, ...]:
        """The chosen instance."""
        return (self._chosen,) if self._chosen is not None else ()

    @property
    def crumbs(self) -> tuple[str, ...]:
        """The chosen instance."""
        return self.targets()

    def copies(self) -> Sequence[Copyable]:
        """The instance, and why it is not well."""
        tile = self._tile
        if tile is None:
            return ()
        return (
            Copyable(_("instance"), tile.key),
            Copyable(_("what is to be said of it"), visible(f"{tile.key} {tile.gpu}: {tile.reason or tile.state}")),
        )

    def listing(self) -> Listing | None:
        """The tiles as rows."""
        return Listing(
            self.NAME,
            ("id", "label", "gpu", "level", "state", "reason", "busy", "usd_per_hour", "spent_usd", "run", "age_s"),
            tuple(
                (
                    int(tile.key), tile.name, tile.gpu, tile.level, tile.state, tile.reason, tile.busy,
                    tile.usd_per_hour, tile.spent_usd, tile.run_id, tile.age_s,
                )
                for tile in self._tiles
            ),
        )  # fmt: skip

    def refusal(self, action: Action) -> str:
        """There must be a tile, and for its run, one."""
        if action.view != self.NAME:
            return ""
        tile = self._tile
        if tile is None:
            return _("There is no tile.")
        if action.verb == "run" and tile.run_id is None:
            return _("No run uses {id}.").format(id=tile.key)
        return ""

    @property
    def _tile(self) -> Tile | None:
        return next((tile for tile in self._tiles if tile.key == self._chosen), None)

    def _move(self, by: int) -> None:
        keys = [tile.key for tile in self._tiles]
        if self._chosen in keys:
            self._choose(max(0, min(len(keys) - 1, keys.index(self._chosen) + by)))

    def _choose(self, place: int) -> None:
        self._chosen = self._tiles[place].key
        self._draw_tiles()
        row = place // tiles_across(self._width)
        region = Region(0, row * TILE_HEIGHT, 1, TILE_HEIGHT)
        self._grid.scroll_to_region(region, animate=False)

    def action_pulse_left(self) -> None:
        """The tile to the left."""
        self._move(-1)

    def action_pulse_right(self) -> None:
        """The tile to the right."""
        self._move(1)

    def action_pulse_down(self) -> None:
        """The tile below."""
        self._move(tiles_across(self._width))

    def action_pulse_up(self) -> None:
        """The tile above."""
        self._move(-tiles_across(self._width))

    def action_pulse_open(self) -> None:
        """The instance."""
        if self._chosen is not None:
            self.app.go("instance", self._chosen)

    def action_pulse_run(self) -> None:
        """The run on the instance."""
        tile = self._tile
        if tile is not None and tile.run_id is not None:
            self.app.go("run", tile.run_id)

    def on_click(self, event: events.Click) -> None:
        """A click chooses a tile, a second opens it."""
        if event.widget is None or event.widget.id != "pulse-tiles":
            return
        across = tiles_across(self._width)
        column, row = event.x // tile_width(len(self._tiles), self._width), event.y // TILE_HEIGHT
        place = row * across + column
        if column < across and 0 <= place < len(self._tiles):
            self._choose(place)
            if event.chain >= 2:
                self.action_pulse_open()
