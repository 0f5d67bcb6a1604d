"""Lines of text as a layer or pixels tell them: their letters' extent and size."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.docparse.opencv.grids import Grid, is_canvas
from pipeline.docparse.opencv.passing import without_passing
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.opencv.writing import reads


def room(row: slice, column: slice) -> np.ndarray:
    """Ink with low letters in the room of a line (20 to 40 across, 10 to 30 down), and something else."""
    ink = np.zeros((50, 60), bool)
    ink[18:26, 22:38:3] = True
    ink[row, column] = True
    return ink


@pytest.mark.parametrize(("row", "column"), [(slice(2, 13), slice(28, 32)), (slice(11, 13), slice(5, 55))])
def test_an_arrow_that_ends_or_passes_over_low_letters_is_none_of_their_ink(row: slice, column: slice) -> None:
    part = without_passing(room(row, column), 20, 10, 40, 30)
    assert np.flatnonzero(part.any(axis=1)).tolist() == list(range(8, 16))


def test_an_accent_over_low_letters_is_ink_of_theirs() -> None:
    part = without_passing(room(slice(13, 15), slice(28, 32)), 20, 10, 40, 30)
    assert np.flatnonzero(part.any(axis=1))[0] == 3


def test_lists_of_low_letters_are_a_canvas_s() -> None:
    cells, lines = [], []
    for left in (0, 200):
        for top in (0, 200):
            box = (float(left), float(top), left + 200.0, top + 200.0)
            cells.append(
                Shape(box, box, np.zeros((4, 1, 2), np.int32), 1.0, 1.0, (255, 255, 255), False, False, "lined")
            )
            for number, height in enumerate((9.0, 7.0, 7.0, 9.0)):
                middle = top + 20.0 + 22 * number
                lines.append(TextLine((left + 10.0, middle - 5, left + 120.0, middle + 5), 12, height, middle))
    grid = Grid((0, 0, 400, 400), tuple(cells), (0, 200, 400), (0, 200, 400), 1.0)
    assert is_canvas(grid, lines)


def test_low_letters_that_run_together_read_and_dashes_do_not() -> None:
    word = [(0.0, 0.0, 8.0, 11.0), (9.0, 4.0, 32.0, 11.0), (33.0, 4.0, 55.0, 11.0)]
    assert reads(word, set(), on_dark=False)
    assert not reads(word, set(word[1:]), on_dark=False)
