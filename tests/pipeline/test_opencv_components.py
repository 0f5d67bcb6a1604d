"""Components of masks: the same as the library counts, in less time."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.docparse.opencv.components import components


@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)), st.booleans())
def test_labels_and_stats_are_those_of_the_library(mask: np.ndarray[Any, Any], corners: bool) -> None:
    connectivity: Literal[4, 8] = 8 if corners else 4
    labels, stats = components(mask, connectivity)
    count, theirs, their_stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    assert len(stats) == count
    order = [int(theirs[labels == index][0]) for index in range(1, count)]
    assert sorted(order) == list(range(1, count))
    assert (stats[1:] == their_stats[order]).all()
    assert all(((labels == index) == (theirs == order[index - 1])).all() for index in range(1, count))


@pytest.mark.parametrize("full", [False, True])
def test_an_empty_and_a_full_mask_have_none_and_one(full: bool) -> None:
    labels, stats = components(np.full((3, 5), full, np.uint8), 8)
    assert labels.shape == (3, 5)
    assert stats[1:].tolist() == ([[0, 0, 5, 3, 15]] if full else [])
