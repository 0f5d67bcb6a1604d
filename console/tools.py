"""What can be asked for in every view: help, jumps, copies, exports, a picture of the screen, what was run; leaving."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from console.language import _

if TYPE_CHECKING:
    from console.app import SpotterApp


def show_help(app: SpotterApp) -> None:
    """What every key does here."""
    from console.widgets.help import Help

    app.push_screen(Help(app.view.NAME, app))


def jump(app: SpotterApp) -> None:
    """Letters on everything that can be gone to."""
    from console.widgets.jump import JumpOverlay

    app.push_screen(JumpOverlay(app))


def copy(app: SpotterApp) -> None:
    """Offer what can be copied of the row under the cursor."""
    from console.widgets.copy_menu import CopyMenu

    items = list(app.view.copies())
    if not items:
        app.tell(_("There is nothing to copy here."), "warning")
    else:
        app.push_screen(CopyMenu(items))


def export(app: SpotterApp) -> None:
    """Write the rows on screen to csv and json."""
    from console.models.exporting import write_listing

    listing = app.view.listing()
    if listing is None or not listing.rows:
        app.tell(_("There are no rows here to export."), "warning")
        return
    folder, at = app.workspace.state / "exports", app.now()
    rows = len(listing.rows)

    def told(paths: tuple[object, object]) -> None:
        app.say(_("{n} rows written: {csv} and .json").format(n=rows, csv=paths[0]))

    app.in_background(lambda: write_listing(listing, folder, at), told)


def dump(app: SpotterApp) -> None:
    """Save what is on screen, as a picture and as text."""
    folder = app.workspace.state / "screens"
    name = f"{app.view.NAME}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(app.now()))}"
    svg = app.export_screenshot()
    text = "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())

    def save() -> str:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        return str(folder / name)

    app.in_background(save, lambda path: app.say(_("saved {path}.svg and .txt").format(path=path)))


def show_commands(app: SpotterApp) -> None:
    """What was run, as it is typed."""
    from console.widgets.command_log import CommandLogPane

    app.push_screen(CommandLogPane())


def leave(app: SpotterApp) -> None:
    """Leave; where machines go on costing money or commands are under way, say so first."""
    from console.models.burn import leaving
    from console.screens.view import PolledView
    from console.widgets.leave import Leave, Leaving

    if isinstance(app.screen, Leave):
        app.exit()  # it was said, and the key to leave was pressed again
        return
    fleet = app.view_called("fleet")
    known = fleet.news if isinstance(fleet, PolledView) else None
    sentences = leaving(known, app.now()) if known is not None else []
    sentences += [
        _("{what}: under way, it goes on without the console").format(what=note) for note in app.running.notes
    ]
    if not sentences:
        app.exit()
        return

    def answered(way: Leaving | None) -> None:
        if way == "leave":
            app.exit()
        elif way in ("guard", "stop"):
            app.go("fleet")
            if way == "stop":
                app.call_after_refresh(app.run_action, "do('fleet.stop')")

    app.push_screen(Leave(sentences), answered)


TOOLS: Mapping[str, Callable[[SpotterApp], None]] = {
    "everywhere.help": show_help,
    "everywhere.jump": jump,
    "everywhere.copy": copy,
    "everywhere.export": export,
    "everywhere.dump": dump,
    "everywhere.log-of-commands": show_commands,
    "everywhere.quit": leave,
}
"""By the action's id."""
