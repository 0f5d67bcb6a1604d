"""Charts as characters: where the dots are, what a gap is, and that no line is known by its colour alone."""

from __future__ import annotations

import statistics
import time

import pytest
from textual.app import App, ComposeResult

from console.models.chart import AXIS_WIDTH, BRAILLE, Chart, Line, braille_lines, chart_rows, round_above, sparkline
from console.widgets.braille import BrailleChart


def percent(value: float) -> str:
    return f"{value:.0f} %"


def text(rows: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(part for part, _style in row) for row in rows]


@pytest.mark.parametrize(
    ("values", "width", "height", "lines"),
    [
        ([0, 1, 2, 3], 2, 1, ["⡠⠊"]),
        ([3, 3, 0, 0], 2, 1, ["⠉⣆"]),
        ([0, 0, 0, 0], 2, 1, ["⣀⣀"]),
        ([None, None, 3, 3], 2, 1, [" ⠉"]),
        ([3, None, None, 3], 2, 1, ["⠁⠈"]),
        ([0, 7], 1, 2, ["⢸", "⡸"]),
        ([], 3, 2, ["   ", "   "]),
        ([None] * 9, 3, 1, ["   "]),
    ],
)
def test_a_line_goes_through_its_values_and_not_through_its_gaps(
    values: list[float | None], width: int, height: int, lines: list[str]
) -> None:
    top = max((value for value in values if value is not None), default=0) or 3
    assert braille_lines(values, width, height, low=0, high=top) == lines


def test_a_line_stays_within_its_axis_whatever_its_values() -> None:
    for row in braille_lines([-1e9, 1e9, 5.0, float(10**12)], 4, 3, low=0, high=10):
        assert len(row) == 4
    assert braille_lines([5.0, 5.0], 1, 1) == ["⣀"]


@pytest.mark.parametrize(
    ("values", "width", "high", "bars"),
    [
        ([0, 50, 100], 3, 100, "▁▅█"),
        ([None, 100], 2, 100, "·█"),
        ([500], 1, 100, "█"),
        ([], 3, None, "···"),
        ([0, 0], 2, None, "▁▁"),
        ([1, 2], 2, None, "▅█"),
    ],
)
def test_a_sparkline_has_a_bar_for_each_cell(
    values: list[float | None], width: int, high: float | None, bars: str
) -> None:
    assert sparkline(values, width, high=high) == bars


@pytest.mark.parametrize(
    ("value", "above"), [(0, 1), (0.3, 0.5), (1, 1), (11, 20), (99, 100), (101, 200), (5000, 5000)]
)
def test_an_axis_ends_at_a_round_figure(value: float, above: float) -> None:
    assert round_above(value) == pytest.approx(above)


def test_a_chart_says_its_figures_axis_and_time() -> None:
    line = Line((10.0, None, 90.0), now=90.0)
    rows = text(chart_rows(Chart("GPU", (line,), percent, high=100, begin="-5m", end="now"), 60, 9))
    assert rows[0].rstrip() == "GPU 90 %  min 10 % · max 90 %"
    assert rows[1].startswith("100 %┤".rjust(AXIS_WIDTH))
    assert rows[7].startswith("0 %┤".rjust(AXIS_WIDTH))
    assert rows[8] == " " * AXIS_WIDTH + "-5m" + "now".rjust(60 - AXIS_WIDTH - 3)
    assert {len(row) for row in rows} == {60}


def test_least_and_most_are_left_out_where_they_would_be_cut() -> None:
    line = Line((10.0, None, 90.0), now=90.0)
    assert (
        text(chart_rows(Chart("GPU", (line,), percent, high=100), 29, 9))[0].rstrip() == "GPU 90 %  min 10 % · max 90 %"
    )
    assert text(chart_rows(Chart("GPU", (line,), percent, high=100), 28, 9))[0].rstrip() == "GPU 90 %"


def test_each_of_several_lines_bears_its_sign() -> None:
    lines = tuple(
        Line((20.0 * number + 10,) * 50, f"GPU {number}", str(number), 20.0 * number + 10) for number in range(4)
    )
    rows = chart_rows(Chart("GPU", lines, percent, high=100), 80, 12)
    plain = text(rows)
    assert plain[0].startswith("GPU  0 GPU 0 10 %  1 GPU 1 30 %  2 GPU 2 50 %  3 GPU 3 70 %")
    for number in range(4):
        assert any(str(number) in row[AXIS_WIDTH:] for row in plain[1:-1])
        assert any(style == f"line{number}" for row in rows[1:-1] for _text, style in row)


def test_old_figures_are_grey_say_why_and_are_not_called_now() -> None:
    chart = Chart("GPU", (Line((10.0, 20.0)),), percent, high=100, stale=True, note="last sample 4m 00s ago")
    rows = chart_rows(chart, 70, 6)
    assert text(rows)[0].rstrip() == "GPU –  min 10 % · max 20 %  last sample 4m 00s ago"
    plot_styles = {style for row in rows[1:-1] for part, style in row if any(ord(one) > BRAILLE for one in part)}
    assert plot_styles == {"dim"}


def test_a_chart_without_a_value_says_why() -> None:
    rows = text(chart_rows(Chart("GPU", (Line((None, None)),), percent, note="this host has no GPU"), 50, 7))
    assert any("this host has no GPU" in row for row in rows)
    assert any("no samples yet" in row for row in text(chart_rows(Chart("GPU", (), percent), 50, 7)))


def test_a_limit_is_a_line_of_its_own() -> None:
    chart = Chart("°C", (Line((40.0, 41.0)),), percent, high=100, limit=85)
    assert sum("╌" * 10 in row for row in text(chart_rows(chart, 60, 12))) == 1


@pytest.mark.parametrize(("width", "height"), [(5, 1), (1, 1), (12, 3), (11, 9), (200, 50)])
def test_any_size_is_filled_exactly(width: int, height: int) -> None:
    chart = Chart("GPU", (Line((1.0, 2.0)),), percent)
    rows = text(chart_rows(chart, width, height))
    assert len(rows) == height
    assert {len(row) for row in rows} == {width}


async def test_the_widget_draws_what_it_was_shown_and_again_when_its_size_changes() -> None:
    class Screen(App[None]):
        def compose(self) -> ComposeResult:
            yield BrailleChart(id="chart")

    app = Screen()
    async with app.run_test(size=(60, 10)) as pilot:
        chart = app.query_one(BrailleChart)
        assert chart.render_line(0).text.strip() == ""
        chart.show(Chart("CPU [/x]", (Line((1.0, 99.0), now=99.0),), percent, high=100))
        await pilot.pause()
        assert chart.render_line(0).text.startswith("CPU [/x] 99 %")
        await pilot.resize_terminal(40, 8)
        assert {chart.render_line(row).cell_length for row in range(8)} == {40}


def test_an_update_is_cheap() -> None:
    chart = Chart(
        "GPU", tuple(Line(tuple(float((n * 7 + s) % 100) for n in range(144)), "g", "1") for s in range(4)), percent
    )
    took = []
    for _round in range(15):
        began = time.process_time()
        chart_rows(chart, 80, 15)
        took.append(time.process_time() - began)
    assert statistics.median(took) < 0.012
