"""Pictures beside a list: drawn off the loop where the mark rests, remembered, and never in the way of a key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image, ImageDraw
from rich.console import Console
from textual.app import App, ComposeResult

from console.widgets import preview as preview_module
from console.widgets.picture import MARK, OTHER_MARK, Picture, Shot, draw, picture
from console.widgets.preview import KEPT, Preview
from tests.console.piloting import until

Answer = TypeVar("Answer")


class Frame(App[None]):
    """A preview and nothing else; threads of its own, as the console has."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def compose(self) -> ComposeResult:
        yield Preview(id="picture")

    def in_background(self, ask: Callable[[], Answer], then: Callable[[Answer], None]) -> None:
        def run() -> None:
            self.threads.add(threading.get_ident())
            answer = ask()
            self.call_from_thread(then, answer)

        threading.Thread(target=run, daemon=True).start()


@pytest.fixture
def pages(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(6):
        image = Image.new("RGB", (400, 600), "white")
        ImageDraw.Draw(image).rectangle((100, 100, 300, 200), fill=(0, 40 * number, 0))
        path = tmp_path / f"{number}.png"
        image.save(path)
        made.append(path)
    return made


def colours(drawn: Picture) -> set[tuple[int, int, int]]:
    found = set()
    for segment in Console(width=300).render(drawn.drawn):
        style = segment.style
        for colour in (style.color, style.bgcolor) if style is not None else ():
            if colour is not None and colour.triplet is not None:
                found.add(tuple(colour.triplet))
    return found


def test_a_picture_fits_its_room_and_keeps_its_shape(pages: list[Path]) -> None:
    wide, narrow = picture(pages[0], 200, 20), picture(pages[0], 10, 200)
    assert wide.lines <= 20
    assert narrow.columns <= 10
    assert wide.columns / (2 * wide.lines) == pytest.approx(400 / 600, abs=0.1)


def test_a_mark_is_outlined_and_so_are_others_in_another_colour(pages: list[Path]) -> None:
    shown = colours(draw(Shot(pages[0], (100, 100, 200, 100), ((10, 300, 50, 50),)), 40, 30))
    assert MARK in shown
    assert OTHER_MARK in shown
    outside = colours(draw(Shot(pages[0], (100, 100, 200, 100), window=(0, 400, 400, 200)), 40, 30))
    assert MARK not in outside, "what is not in the window is not drawn at its edge"


def test_a_part_is_shown_larger_than_it_is_but_only_as_far_as_was_said(pages: list[Path]) -> None:
    small = draw(Shot(pages[0], window=(100, 100, 20, 20)), 80, 40)
    large = draw(Shot(pages[0], window=(100, 100, 20, 20), enlarged=3.0), 80, 40)
    assert (small.columns, large.columns) == (20, 60)


@pytest.mark.parametrize(
    "window", [(0.0, 0.0, 0.0, 0.0), (-50.0, -50.0, 10.0, 10.0), (1e6, 1e6, 5.0, 5.0), (390.0, 590.0, 900.0, 900.0)]
)
def test_no_window_leaves_the_page(pages: list[Path], window: tuple[float, float, float, float]) -> None:
    drawn = draw(Shot(pages[0], mark=window, window=window), 30, 20)
    assert drawn.columns >= 1
    assert drawn.lines >= 1


def test_what_is_no_picture_is_said_and_something_else_shown_where_there_is(pages: list[Path], tmp_path: Path) -> None:
    broken, cut = tmp_path / "broken.png", tmp_path / "cut.png"
    broken.write_bytes(b"no picture")
    cut.write_bytes(pages[0].read_bytes()[:200])
    for path in (broken, cut, tmp_path / "missing.png", tmp_path):
        with pytest.raises(OSError, match=r"\w"):
            picture(path, 20, 20)
    instead = draw(Shot(tmp_path / "missing.png", instead=Shot(pages[0])), 20, 20)
    assert instead.lines > 1


def test_a_picture_that_was_made_anew_is_read_anew(pages: list[Path]) -> None:
    before = colours(picture(pages[0], 20, 20))
    Image.new("RGB", (400, 600), (9, 8, 7)).save(pages[0])
    assert colours(picture(pages[0], 20, 20)) == {(9, 8, 7)} != before


async def test_a_held_key_draws_only_where_it_rests(pages: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(preview_module, "draw", lambda shot, *room: (drawn.append(shot.path), draw(shot, *room))[1])
    app = Frame()
    async with app.run_test() as pilot:
        preview = app.query_one(Preview)
        for path in pages:
            preview.look_at(Shot(path), 30, 20)
            await pilot.pause(0)
        await until(pilot, lambda: preview.size.height > 1, "the last picture")
        assert drawn == [pages[-1]]
        assert app.threads
        assert threading.get_ident() not in app.threads
        preview.look_at(Shot(pages[0]), 30, 20)
        await until(pilot, lambda: drawn == [pages[-1], pages[0]], "another picture")
        preview.look_at(Shot(pages[-1]), 30, 20)
        await pilot.pause()
        assert drawn == [pages[-1], pages[0]], "what was drawn once is remembered"
        preview.look_at(Shot(pages[-1]), 20, 20)
        await until(pilot, lambda: len(drawn) == 3, "a drawing for another room")


async def test_a_drawing_that_was_overtaken_is_kept_but_not_shown(
    pages: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    def slow(shot: Shot, columns: int, lines: int) -> Picture:
        if shot.path == pages[0]:
            free.wait(30)
        return draw(shot, columns, lines)

    monkeypatch.setattr(preview_module, "draw", slow)
    app = Frame()
    async with app.run_test() as pilot:
        preview = app.query_one(Preview)
        preview.look_at(Shot(pages[0]), 30, 20)
        await until(pilot, lambda: bool(app.threads), "the slow drawing")
        preview.look_at(Shot(pages[1]), 10, 6)
        await until(pilot, lambda: 1 < preview.size.height <= 6, "the quick picture")
        free.set()
        await until(pilot, lambda: (Shot(pages[0]), 30, 20) in preview._kept, "the slow one")
        assert preview.size.height <= 6


async def test_pictures_can_be_put_away_and_the_memory_is_bounded(pages: list[Path]) -> None:
    app = Frame()
    async with app.run_test() as pilot:
        preview = app.query_one(Preview)
        preview.look_at(Shot(pages[0]), 30, 20)
        assert not preview.toggle()
        assert "0.png" in str(preview.render())
        assert preview.toggle()
        for columns in range(10, 10 + KEPT + 5):
            preview._kept[Shot(pages[0]), columns, 3] = picture(pages[0], 4, 4)
        preview.look_at(Shot(pages[1]), 30, 20)
        await until(pilot, lambda: (Shot(pages[1]), 30, 20) in preview._kept, "the picture")
        assert len(preview._kept) == KEPT
        preview.look_at(None, 30, 20, "no picture here")
        assert "no picture here" in str(preview.render())
