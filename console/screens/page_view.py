"""A page as large as the screen, the place that was found outlined; its neighbours are a key away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Static

from console.language import _
from console.models.index_pages import PagePlace, step
from console.widgets.dialog import Dialog
from console.widgets.picture import Box, Shot
from console.widgets.preview import Preview
from console.words import visible

if TYPE_CHECKING:
    from pathlib import Path

    from console.app import SpotterApp

REST_S = 0.02
NEAREST = 8
"""The page may be looked at in parts of an eighth of its sides."""
PAN = 0.4
"""An arrow moves the part that is shown by so much of it."""


class PageView(Dialog[None]):
    """One page. Where its picture is gone, it says so."""

    app: SpotterApp
    BINDINGS = [  # noqa: RUF012
        Binding("escape,enter,q", "dismiss(None)", show=False),
        Binding("n,pagedown,space", "turn(1)", show=False),
        Binding("p,pageup,backspace", "turn(-1)", show=False),
        Binding("o", "open", show=False),
        Binding("i", "pictures", show=False),
        Binding("z", "place", show=False),
        Binding("plus,equals_sign", "near(2)", show=False),
        Binding("minus", "near(0.5)", show=False),
        Binding("left,h", "pan(-1, 0)", show=False),
        Binding("right,l", "pan(1, 0)", show=False),
        Binding("up,k", "pan(0, -1)", show=False),
        Binding("down,j", "pan(0, 1)", show=False),
    ]

    def __init__(self, place: PagePlace) -> None:
        super().__init__()
        self.place = place
        self._found = place
        """Where the operator came from: turning back to its page outlines it again."""
        self._near = 1.0
        self._centre = (0.5, 0.5)
        self._page_px: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        """Title, picture, keys."""
        with Vertical(id="page-view"):
            yield Static("", id="page-title", markup=False)
            yield Preview(id="page-picture", rest_s=REST_S)
            words = _("n p page · + - nearer · arrows move · z its place · o viewer · i pictures · esc closes")
            yield Static(Text(words, style="dim", no_wrap=True, overflow="ellipsis"), id="page-keys", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the room there is."""
        self.draw()

    def draw(self) -> None:
        """Draw the page as it is looked at now."""
        place = self.place
        where = visible(place.title or place.picture.parent.parent.name)
        number = "" if place.page is None else _(" · page {page}").format(page=place.page)
        near = "" if self._near == 1 else f" · ×{self._near:g}"
        self.query_one("#page-title", Static).update(Text(f"{where}{number}{near}", style="bold"))
        window = None
        if self._near > 1 and self._page_px is not None:
            window = self._window(*self._page_px)
        elif self._near > 1:
            self._measure()
        shot = Shot(place.picture, place.mark, place.others, window, enlarged=4.0)
        width, height = self.app.size
        self.query_one(Preview).look_at(shot, max(4, width - 6), max(4, height - 6))

    def _window(self, width: int, height: int) -> Box:
        across, down = width / self._near, height / self._near
        ratio = max(4, self.app.size.width - 6) / max(4, 2 * (self.app.size.height - 6))
        across = min(width, max(across, down * ratio))  # what lies beside it fills the screen
        x = min(max(0.0, self._centre[0] * width - across / 2), width - across)
        y = min(max(0.0, self._centre[1] * height - down / 2), height - down)
        return x, y, across, down

    def _measure(self) -> None:
        path = self.place.picture

        def size() -> tuple[int, int]:
            from index.review.pictures import size_px

            return size_px(path)

        def known(size: tuple[int, int]) -> None:
            if self.is_attached and self.place.picture == path:
                self._page_px = size
                self._centre = self._middle_of_mark() if self._centre == (0.5, 0.5) else self._centre
                self.draw()

        self.app.in_background(size, known)

    def _middle_of_mark(self) -> tuple[float, float]:
        if self.place.mark is None or self._page_px is None:
            return 0.5, 0.5
        x, y, width, height = self.place.mark
        return (x + width / 2) / self._page_px[0], (y + height / 2) / self._page_px[1]

    def action_turn(self, by: int) -> None:
        """The next or the previous page of the document."""
        place = self.place

        def turned(other: PagePlace | None) -> None:
            if not self.is_attached or self.place is not place:
                return
            if other is None:
                self.app.say(_("There is no further page here.") if by > 0 else _("There is no earlier page here."))
                return
            self.place = self._found if other.picture == self._found.picture else other
            self._near, self._centre, self._page_px = 1.0, (0.5, 0.5), None
            self.draw()

        self.app.in_background(lambda: step(place, by), turned)

    def action_near(self, factor: float) -> None:
        """Nearer or farther, about the place."""
        self._near = min(float(NEAREST), max(1.0, self._near * factor))
        self.draw()

    def action_place(self) -> None:
        """The place that was found, large; again: the whole page."""
        if self._near > 1:
            self._near, self._centre = 1.0, (0.5, 0.5)
        elif self.place.mark is not None:
            self._near, self._centre = 4.0, self._middle_of_mark()
        self.draw()

    def action_pan(self, across: int, down: int) -> None:
        """Move what is shown of an enlarged page; of a whole one, left and right turn it."""
        if self._near > 1:
            reach = PAN / self._near
            x, y = self._centre
            self._centre = (min(1.0, max(0.0, x + across * reach)), min(1.0, max(0.0, y + down * reach)))
            self.draw()
        elif across:
            self.action_turn(across)

    def action_pictures(self) -> None:
        """Pictures on or off."""
        self.query_one(Preview).toggle()

    def action_open(self) -> None:
        """Open the document at this page in a viewer."""
        open_place(self.app, self.place)


def open_place(app: SpotterApp, place: PagePlace) -> None:
    """Open a page in the operator's own viewer, in a thread; what was run goes into the command log."""

    def work() -> tuple[str, str]:
        from console.operations.open import OpenError, open_place

        try:
            return open_place(place.source, place.page, place.picture)
        except OpenError as error:
            return "", str(error)

    def done(answer: tuple[str, str]) -> None:
        line, words = answer
        if line:
            app.log_command(line, words)
        app.say(words)

    app.in_background(work, done)


def open_source(source: Path | None, page: int | None) -> tuple[str, str]:
    """Open a document of which no page has a picture: (what was run, what is to be said). Call it from a worker."""
    from console.operations.open import OpenError, open_place

    try:
        return open_place(source, page, None)
    except OpenError as error:
        return "", str(error)
