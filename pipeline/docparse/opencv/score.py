"""Scores of the `opencv` detector, 0 to 1: how much of what makes a region of its label was really seen.

They are heuristics, not probabilities, and only order regions of one label:

- table, canvas: share of the box that cells fill, a little less for cells that no rule separates.
- legend: rises with the swatches seen, to 0.95 with a frame and 0.75 without.
- node: how convex its outline is; less when no arrow reaches it.
- arrow: 0.9 between two shapes with a head, 0.75 at one shape, 0.6 on its own, 0.45 without a head; up to 0.12 less
  where lines cross or share a trunk, by the doubt about which ends belong together.
- diagram: 0.9 for a chart with numbers on both axes; else rises with the arrows that join two of its nodes.
- textbox: 0.9 in an outline of its own, else by the number of its letters.
"""

from __future__ import annotations

from pipeline.docparse.opencv.arrow import Arrow
from pipeline.docparse.opencv.blocks import TextBlock
from pipeline.docparse.opencv.grids import Grid
from pipeline.docparse.opencv.legends import Legend
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.tables import OpenTable

CHART = 0.9
"""Score of a chart."""
DASHED_ZONE = 0.7
"""Score of a frame around nodes of a diagram."""


def of_grid(grid: Grid) -> float:
    """Score of a table or a canvas made of cells."""
    ruled = 1.0 if len(grid.columns) > 2 and len(grid.rows) > 2 else 0.85
    return min(0.98, grid.cover) * ruled


def of_open_table(table: OpenTable) -> float:
    """Score of a table without cells."""
    return min(0.95, table.evidence * (0.8 + 0.02 * min(6, len(table.rows))))


def of_board(children: int) -> float:
    """Score of a canvas that is a frame around boxes."""
    return min(0.95, 0.6 + 0.05 * children)


def of_legend(legend: Legend) -> float:
    """Score of a legend."""
    most = 0.95 if legend.framed else 0.75
    return min(most, 0.45 + 0.12 * len(legend.swatches))


def of_node(shape: Shape, arrows: int) -> float:
    """Score of a node that so many arrows reach."""
    return min(0.98, min(1.0, shape.solidity) * (0.8 + 0.05 * min(arrows, 3)))


def of_arrow(arrow: Arrow) -> float:
    """Score of an arrow."""
    if arrow.headed < 1.15:
        return 0.45
    ends = (arrow.start is not None) + (arrow.end is not None)
    return (0.6, 0.75, 0.9)[ends] - 0.03 * min(arrow.doubt, 4.0)


def of_diagram(nodes: int, joined: int) -> float:
    """Score of a diagram with so many nodes, and arrows that join two of them."""
    return min(0.98, 0.5 + 0.04 * nodes + 0.08 * joined)


def of_text(block: TextBlock) -> float:
    """Score of text without an outline."""
    letters = sum(line.letters for line in block.lines)
    return min(0.9, 0.4 + 0.02 * letters)
