"""Every screen at every size, in both themes and both languages, as it was when somebody looked at it last.

`pytest tests/console/test_snapshots.py --snapshot-update` takes new ones; `python -m tests.console.contact_sheet` lays
them out side by side. The world, the clock and the zone are the same each time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from difflib import unified_diff
from fcntl import LOCK_EX, flock
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from rich.console import RenderableType
from rich.segment import Segment
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from console import app as app_module
from console import language
from console.app import SpotterApp
from console.operations.doctor import Finding
from console.screens.catalog import CLASSES
from console.theme import DARK, LIGHT
from tests.console.piloting import shown, until
from tests.console.screen_text import written
from tests.console.worlds import BUSY, DONE, FAILED, NOW, World, frozen, world

pytestmark = [
    pytest.mark.xdist_group("snapshots"),  # they share one world
    pytest.mark.timeout(900),  # of whoever comes second: the pictures of another run of the tests may take long
    pytest.mark.filterwarnings("ignore:.*Can not relate snapshot name:UserWarning"),
]

SIZES = ((80, 24), (120, 36), (200, 50))
THEMES = (DARK.name, LIGHT.name)
ARGUMENTS = {"instance": str(BUSY), "run": FAILED, "log": DONE, "review": DONE, "index": "node block", "form": ""}
LOOK_S = 0.05
QUIET_S = 0.15
QUIET_LOOKS = 4
"""Nothing may change for so long, and for so many looks, before the screen is taken: between two looks every message
that waited is answered, however slow the machine is."""
DUE_S = 0.25
"""Views draw what the cursor rests on, and the meaning of a query, at most so late; they look for news less often."""

READY = {
    "instance": ("success, running", "refuses"),
    "log": ("job 1  ", " 202 "),
    "sync": ("127.0.0.1",),
    "services": ("127.0.0.1",),
}
"""What a view must show before it is complete."""
FINDINGS = (
    Finding("python", "ok", "3.11.7"),
    Finding("clock", "warning", "it is 7h 26m behind", "set the clock: timedatectl set-ntp true"),
    Finding("vast.ai key", "error", "the cloud refuses it", "spotter key set", view="welcome"),
)


Answer = TypeVar("Answer")


class ScreenText(SingleFileSnapshotExtension):
    """One file a picture; the contact sheet draws them."""

    _write_mode = WriteMode.TEXT
    _file_extension = "txt"

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        """The case alone: `fleet-en-dark-80x24`."""
        return str(index)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(ScreenText)


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    """Always in the same folder, whose name some screens show; whoever comes second waits."""
    folder = Path("/tmp/spotter-snapshots")  # whatever TMPDIR says: a picture shows it
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
    """The screen, without what differs from one process to the next."""
    text = written(app.screen._compositor.render_strips())
    return text.replace(place.market.url.rpartition(":")[2], "40000").replace(place.session.ledger.mark, "aaaaaa")


def difference(case: str, found: str) -> str:
    """The lines in which a picture differs from the one that was kept."""
    path = Path(__file__).parent / "__snapshots__" / "test_snapshots" / f"{case}.txt"
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    return "\n".join(unified_diff(kept.splitlines(), found.splitlines(), "kept", "found", lineterm="", n=0))


class Watched(SpotterApp):
    """The console, with a count of the questions whose answers it has not drawn yet."""

    CSS_PATH = [Path(app_module.__file__).parent / name for name in SpotterApp.CSS_PATH]  # noqa: RUF012 - not beside this file
    under_way = 0
    painted = 0
    """How many times anything was painted; without that no look can differ from the one before."""

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        self.painted += 1
        super()._display(screen, renderable)

    def in_background(self, ask: Callable[[], Answer], then: Callable[[Answer], None]) -> None:
        """Count one more until it has failed or been drawn."""
        self.under_way += 1

        def counted() -> Answer:
            try:
                return ask()
            except BaseException:
                self.under_way -= 1
                raise

        def drawn(answer: Answer) -> None:
            try:
                then(answer)
            finally:
                self.under_way -= 1

        super().in_background(counted, drawn)


def is_due(app: Watched) -> bool:
    """Whether anything on screen waits for its moment to be drawn."""
    nodes = [app, app.screen, *app.screen.query("*")]
    timers = [timer for node in nodes for timer in node._timers if timer._repeat == 0 and timer._interval <= DUE_S]
    return any(timer._task is not None and not timer._task.done() for timer in timers)


async def settled(pilot: Pilot[None], app: Watched) -> None:
    """Wait until every answer is drawn, nothing waits to be, and nothing on screen has changed for a while."""
    for field in app.query(Input):
        field.cursor_blink = False
    app.view.refresh_news()  # what was drawn for another width is drawn anew
    look: list[list[Segment]] = []
    painted = -1
    since = monotonic()
    quiet = 0

    def is_still() -> bool:
        nonlocal look, painted, since, quiet
        now = monotonic()
        before = look
        if painted != app.painted:
            painted, look = app.painted, [list(strip) for strip in app.screen._compositor.render_strips()]
        if app.under_way or is_due(app) or look != before:
            since, quiet = now, 0
        else:
            quiet += 1
        return quiet >= QUIET_LOOKS and now - since >= QUIET_S

    await until(pilot, is_still, "a screen that stands still", every=LOOK_S)


@pytest.mark.parametrize("spoken", language.LANGUAGES, indirect=True)
@pytest.mark.parametrize("name", sorted(CLASSES))
async def test_a_screen_looks_as_it_did(place: World, name: str, spoken: str, snapshot: SnapshotAssertion) -> None:
    app = Watched(place.workspace, name, ARGUMENTS.get(name, ""), clock=lambda: NOW)
    different: list[str] = []
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
                found, kept = picture(app, place), snapshot(name=case)
                if found != kept:
                    different.append(f"{case}\n{difference(case, found)}")
    assert not different, "look at them: --snapshot-update, then python -m tests.console.contact_sheet\n" + "\n".join(
        different
    )
