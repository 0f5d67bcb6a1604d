"""Every screen at every size, in both themes and both languages, as it was when somebody looked at it last.

`pytest tests/console/test_snapshots.py --snapshot-update` takes new ones; `python -m tests.console.contact_sheet` lays
them out side by side. The world, the clock and the zone are the same each time.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace

import pytest
from rich.segment import Segment
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex
from textual.pilot import Pilot
from textual.widgets import Input

from console import language
from console.app import SpotterApp
from console.operations.doctor import Finding
from console.screens.catalog import CLASSES
from console.theme import DARK, LIGHT
from tests.console.piloting import shown, until
from tests.console.worlds import BUSY, DONE, FAILED, NOW, World, frozen, world

pytestmark = [
    pytest.mark.xdist_group("snapshots"),  # they share one world
    pytest.mark.filterwarnings("ignore:.*Can not relate snapshot name:UserWarning"),
]

SIZES = ((80, 24), (120, 36), (200, 50))
THEMES = (DARK.name, LIGHT.name)
ARGUMENTS = {"instance": str(BUSY), "run": FAILED, "log": DONE, "review": DONE, "index": "node block", "form": ""}
STILL = 6
"""Looks at the screen between which nothing may change before it is taken."""


READY = {"instance": ("success, running", "127.0.0.1"), "sync": ("127.0.0.1",), "services": ("127.0.0.1",)}
"""What a view must show before it is complete."""
FINDINGS = (
    Finding("python", "ok", "3.11.7"),
    Finding("clock", "warning", "it is 7h 26m behind", "set the clock: timedatectl set-ntp true"),
    Finding("vast.ai key", "error", "the cloud refuses it", "spotter key set", view="welcome"),
)


class Svg(SingleFileSnapshotExtension):
    """One file a picture, which a browser shows."""

    _write_mode = WriteMode.TEXT
    _file_extension = "svg"

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        """The case alone: `fleet-en-dark-80x24`."""
        return str(index)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Svg)


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    """Always in the same folder, whose name some screens show; whoever comes second waits."""
    folder = Path(gettempdir()) / "spotter-snapshots"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        shutil.rmtree(folder / "w", ignore_errors=True)
        with frozen(), world(folder / "w", seed=11, now=NOW) as made:
            yield made
        shutil.rmtree(folder / "w", ignore_errors=True)


@pytest.fixture(autouse=True)
def one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the doctor finds, and how long a search takes, is this machine's; here both are the same everywhere."""
    monkeypatch.setattr("index.search.time", SimpleNamespace(perf_counter=lambda: 1.0))
    monkeypatch.setattr("console.operations.doctor.examine", lambda _workspace, _reason: list(FINDINGS))


@pytest.fixture
def spoken(request: pytest.FixtureRequest) -> Iterator[str]:
    language.use(request.param)
    yield request.param
    language.use("en")


def picture(app: SpotterApp, place: World) -> str:
    """The screen as SVG, without what differs from one process to the next."""
    svg = app.export_screenshot(simplify=True)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = svg.replace(place.market.url.rpartition(":")[2], "40000").replace(place.session.ledger.mark, "aaaaaa")
    return re.sub(r"(&#160;)+</text>", "</text>", svg)


async def settled(pilot: Pilot[None], app: SpotterApp) -> None:
    """Wait until nothing on screen changes any more."""
    for field in app.query(Input):
        field.cursor_blink = False
    app.view.refresh_news()  # what was drawn for another width is drawn anew
    looks: list[list[list[Segment]]] = []

    def is_still() -> bool:
        looks.append([list(strip) for strip in app.screen._compositor.render_strips()])
        return len(looks) > STILL and all(look == looks[-1] for look in looks[-STILL:])

    await until(pilot, is_still, "a screen that stands still")


@pytest.mark.parametrize("spoken", language.LANGUAGES, indirect=True)
@pytest.mark.parametrize("name", sorted(CLASSES))
async def test_a_screen_looks_as_it_did(place: World, name: str, spoken: str, snapshot: SnapshotAssertion) -> None:
    app = SpotterApp(place.workspace, name, ARGUMENTS.get(name, ""), clock=lambda: NOW)
    different = []
    async with app.run_test(size=SIZES[-1]) as pilot:
        table = app.view.table
        if name in ("fleet", "offers", "runs"):
            await until(pilot, lambda: table is not None and table.cursor_key is not None, "the rows")
        await until(pilot, lambda: all(word in shown(app) for word in READY.get(name, ())), "all of it")
        await settled(pilot, app)
        for theme in THEMES:
            app.theme = theme
            for size in SIZES:
                await pilot.resize_terminal(*size)
                await settled(pilot, app)
                case = f"{name}-{spoken}-{theme.removeprefix('spotter-')}-{size[0]}x{size[1]}"
                if picture(app, place) != snapshot(name=case):
                    different.append(case)
    assert different == [], "look at them: --snapshot-update, then python -m tests.console.contact_sheet"
