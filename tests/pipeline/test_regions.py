"""Regions and what the text layer says of them, on pages drawn for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.docparse.analysis import Analysis, Fact, supported
from pipeline.docparse.documents import draw_page
from pipeline.docparse.labels import LABELS
from pipeline.docparse.media import PDF
from pipeline.docparse.opencv.detector import OpenCvDetector
from pipeline.docparse.opencv.geometry import iou, share_inside
from pipeline.docparse.regions import Detection, DetectorName, Region, make_regions
from pipeline.docparse.textlayer.analyst import TextLayerAnalyst
from pipeline.docparse.words import Box, PageText
from tests.pipeline.documents import flow_page, save, table_page, text_page
from tests.processor import least_s

ZOOM = 150 / 72


class Seen:
    """A page with its detections, regions and analyses."""

    def __init__(self, pixels: np.ndarray[Any, Any], text: PageText) -> None:
        self.text = text
        self.found: list[Detection] = OpenCvDetector(0.3, LABELS).detect([(pixels, text)])[0]
        said = [" ".join(text.words[index].text for index in text.inside(one.box)) for one in self.found]
        self.regions: list[Region] = make_regions(
            self.found, said, document="doc-00000000", page=1, page_size_px=(text.width, text.height),
            text_source=text.source, detector=DetectorName(name="opencv", version="1"), folder="artifacts/doc/p0001",
        )  # fmt: skip
        self.told: list[Analysis] = TextLayerAnalyst().analyse(self.regions, text)

    def of(self, label: str) -> list[Detection]:
        return [one for one in self.found if one.label == label]

    def analysis(self, label: str) -> Analysis:
        (only,) = [told for region, told in zip(self.regions, self.told, strict=True) if region.label == label]
        return only


def look(path: Path, *drawers: Any, as_scan: bool = False) -> Seen:
    page = draw_page(save(path, *drawers), PDF, 1, 150, 50_000_000)
    pixels = page.pixels
    if as_scan:
        rng = np.random.default_rng(7)
        pixels = np.clip(pixels * 0.95 + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    return Seen(pixels, PageText(width, height, 150, [] if as_scan else page.words))


def px(*points: float) -> Box:
    left, top, right, bottom = (point * ZOOM for point in points)
    return left, top, right, bottom


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return look(tmp_path_factory.mktemp("flow") / "flow.pdf", flow_page)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return look(tmp_path_factory.mktemp("table") / "table.pdf", table_page)


NODES = {
    "Заказ": px(60, 120, 170, 170),
    "Payment": px(240, 120, 350, 170),
    "Delivery": px(420, 120, 530, 170),
    "Refund?": px(230, 260, 360, 340),
}


def test_nodes_are_found_where_they_were_drawn(flow: Seen) -> None:
    assert len(flow.of("node")) == len(NODES)
    for box in NODES.values():
        assert max(iou(node.box, box) for node in flow.of("node")) > 0.9


def test_arrows_lead_from_node_to_node(flow: Seen) -> None:
    edges = {(edge.source, edge.target, edge.label) for edge in flow.analysis("diagram").struct.edges}
    assert edges == {("Заказ", "Payment", None), ("Payment", "Delivery", None), ("Payment", "Refund?", "failed")}


def test_a_diagram_holds_its_nodes_and_arrows_and_not_the_legend(flow: Seen) -> None:
    (diagram,) = flow.of("diagram")
    assert iou(diagram.box, px(60, 120, 530, 340)) > 0.9
    index = flow.found.index(diagram)
    assert all(one.parent == index for one in [*flow.of("node"), *flow.of("arrow")])
    (legend,) = flow.of("legend")
    assert legend.parent is None
    assert iou(legend.box, px(60, 420, 230, 500)) > 0.9


def test_a_legend_names_its_entries(flow: Seen) -> None:
    told = flow.analysis("legend")
    assert told.struct.labels == ("service", "storage", "partner")
    assert told.caption == "legend «Legend» under «Order flow»: service, storage, partner"
    assert [fact.text for fact in told.facts] == ["Legend: service", "Legend: storage", "Legend: partner"]


def test_a_table_is_read_by_its_rules(table: Seen) -> None:
    (found,) = table.of("table")
    assert iou(found.box, px(60, 160, 470, 256)) > 0.93
    told = table.analysis("table")
    assert told.struct.rows == (
        ("Role", "Decides", "Asks"),
        ("Owner", "scope", "Council"),
        ("Куратор", "жалобы", "Владелец"),
        ("Engineer", "release", "nobody"),
    )
    assert "Куратор · Decides: жалобы" in {fact.text for fact in told.facts}
    assert "under «Роли на платформе»" in told.caption


def test_text_is_found_in_blocks_and_nothing_else_is_made_of_it(tmp_path: Path) -> None:
    seen = look(tmp_path / "text.pdf", text_page)
    assert Counter(one.label for one in seen.found) == {"textbox": 4}
    assert [told.struct.headings for told in seen.told] == [("What is a platform",), (), (), ()]


def test_an_empty_page_has_no_regions() -> None:
    assert Seen(np.full((1755, 1240, 3), 255, np.uint8), PageText(1240, 1755, 150, [])).found == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (40, 40)])
def test_pages_of_any_size_are_looked_at(shape: tuple[int, int]) -> None:
    assert Seen(np.zeros((*shape, 3), np.uint8), PageText(shape[1], shape[0], None, [])).found == []


def test_evidence_of_every_fact_lies_in_its_region(flow: Seen, table: Seen) -> None:
    for seen in (flow, table):
        assert any(told.facts for told in seen.told)
        for region, told in zip(seen.regions, seen.told, strict=True):
            assert supported(told.facts, region, seen.text) == list(told.facts)


def test_a_fact_with_foreign_evidence_or_none_is_dropped(flow: Seen) -> None:
    region = next(region for region in flow.regions if region.label == "legend")
    inside = flow.text.inside(region.box)
    foreign = next(index for index in range(len(flow.text.words)) if index not in inside)

    def fact(*evidence: int) -> Fact:
        return Fact(subject="a", predicate="b", object="c", text="abc", evidence=evidence, analyst="test")

    assert supported([fact(inside[0]), fact(), fact(inside[0], foreign)], region, flow.text) == [fact(inside[0])]


def test_a_scan_shows_its_shapes_and_says_that_it_has_no_text_layer(tmp_path: Path) -> None:
    seen = look(tmp_path / "scan.pdf", flow_page, as_scan=True)
    assert len(seen.of("node")) == len(NODES)
    told = seen.analysis("diagram")
    assert told.caption == "diagram without text layer"
    assert (told.struct.text_source, told.struct.edges, told.facts) == ("none", (), [])


def test_regions_come_in_reading_order_with_parents_first(flow: Seen) -> None:
    assert [region.number for region in flow.regions] == list(range(1, len(flow.regions) + 1))
    for index, one in enumerate(flow.found):
        assert one.parent is None or one.parent < index
    tops = [one.box[1] for one in flow.found if one.parent is None]
    assert tops == sorted(tops)


def test_ids_are_stable_and_unique(flow: Seen, tmp_path: Path) -> None:
    again = look(tmp_path / "again.pdf", flow_page)
    assert [region.id for region in again.regions] == [region.id for region in flow.regions]
    assert len({region.id for region in flow.regions}) == len(flow.regions)


def test_boxes_lie_on_the_page_and_scores_between_nought_and_one(flow: Seen, table: Seen) -> None:
    for seen in (flow, table):
        for one in seen.found:
            assert 0 < one.score <= 1
            assert share_inside(one.box, (0, 0, seen.text.width, seen.text.height)) > 0.999


def test_a_page_is_looked_at_in_a_quarter_of_a_second_of_processor_time(flow: Seen, tmp_path: Path) -> None:
    page = draw_page(save(tmp_path / "flow.pdf", flow_page), PDF, 1, 150, 50_000_000)
    text = PageText(1240, 1755, 150, page.words)
    detector = OpenCvDetector(0.3, LABELS)
    detector.setup()
    took_s = least_s(lambda: detector.detect([(page.pixels, text)]), 0.35)
    assert took_s < 0.35, "0.25 s on the reference machine, with a margin for a busy one"
    assert cv2.getNumThreads() == 1
