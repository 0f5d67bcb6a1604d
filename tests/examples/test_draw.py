"""The committed example documents are what the drawer draws, and they are fit to be parsed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DOCUMENTS = EXAMPLES / "documents"
NAMES = sorted(path.name for path in DOCUMENTS.iterdir())
PDF_NAMES = [name for name in NAMES if name.endswith(".pdf")]
TRUTH: dict[str, Any] = {
    document["document"]: document["pages"]
    for document in json.loads((EXAMPLES / "ground_truth.json").read_text(encoding="utf-8"))["documents"]
}

pytestmark = pytest.mark.xdist_group("examples")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two drawings: one made by the command into an awkward folder, one meanwhile in this process."""
    first, second = tmp_path_factory.mktemp("first") / "с пробелом и кириллицей", tmp_path_factory.mktemp("second")
    command = [sys.executable, str(EXAMPLES / "draw.py"), "--out", str(first)]
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(EXAMPLES))
            importlib.import_module("draw").main(["--out", str(second)])
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint.decode()
    return first, second


@pytest.fixture(scope="module")
def redrawn(drawings: tuple[Path, Path]) -> Path:
    return drawings[0]


def pages(path: Path) -> list[Any]:
    return list(pymupdf.open(path))


def grey(page: Any) -> np.ndarray:
    pixmap = page.get_pixmap(dpi=72, colorspace=pymupdf.csGRAY, alpha=False)
    return np.frombuffer(pixmap.samples, dtype=np.uint8).reshape(pixmap.height, pixmap.width).astype(int)


def words_in(page: Any, bbox: list[float]) -> str:
    # Words are found in the stored page; the truth speaks of the shown one.
    x0, y0, x1, y1 = bbox
    found = []
    for word in page.get_text("words"):
        box = pymupdf.Rect(word[:4]) * page.rotation_matrix
        if x0 < (box.x0 + box.x1) / 2 < x1 and y0 < (box.y0 + box.y1) / 2 < y1:
            found.append(word[4])
    return " ".join(found)


def test_redrawing_gives_exactly_the_committed_set_of_files(redrawn: Path) -> None:
    assert sorted(path.name for path in (redrawn / "documents").iterdir()) == NAMES


def test_redrawing_gives_the_committed_truth(redrawn: Path) -> None:
    assert (redrawn / "ground_truth.json").read_bytes() == (EXAMPLES / "ground_truth.json").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_redrawing_gives_the_committed_text_and_pixels(name: str, redrawn: Path) -> None:
    committed, again = pages(DOCUMENTS / name), pages(redrawn / "documents" / name)
    assert len(committed) == len(again)
    for old, new in zip(committed, again, strict=True):
        assert old.get_text() == new.get_text()
        before, after = grey(old), grey(new)
        assert before.shape == after.shape
        # Floating point differs between processors: a handful of edge pixels may, a drawing may not.
        assert np.mean(np.abs(before - after) > 8) < 0.0005


def test_two_drawings_are_the_same_bytes(drawings: tuple[Path, Path]) -> None:
    first, second = drawings
    for name in NAMES:
        assert (first / "documents" / name).read_bytes() == (second / "documents" / name).read_bytes(), name


def test_the_corpus_has_enough_documents_and_pages_and_stays_small() -> None:
    assert len(NAMES) >= 4
    assert sum(len(pages(DOCUMENTS / name)) for name in NAMES) >= 12
    assert sum((DOCUMENTS / name).stat().st_size for name in NAMES) < 1_500_000
    assert any(" " in name and not name.isascii() for name in NAMES)


def test_the_corpus_has_a_rotated_a_landscape_and_two_picture_documents() -> None:
    report = pages(DOCUMENTS / "assessment-report.pdf")
    assert [page.rotation for page in report] == [0, 0, 90]
    assert report[1].rect.width > report[1].rect.height
    assert report[2].mediabox.width < report[2].mediabox.height
    assert report[2].rect.width > report[2].rect.height
    pictures = [name for name in NAMES if not name.endswith(".pdf")]
    assert sorted(Path(name).suffix for name in pictures) == [".png", ".tiff"]
    assert len(pages(DOCUMENTS / "cold-store-scan.tiff")) == 2
    assert all(page.get_text().strip() == "" for name in pictures for page in pages(DOCUMENTS / name))


@pytest.mark.parametrize(
    ("name", "number", "sentence"),
    [
        ("Карта экосистемы.pdf", 3, "Platform Architecture Canvas — это полотно на одном листе"),
        ("Карта экосистемы.pdf", 1, "Platform Value Stack включает пять слоёв: вовлечение, обмен, интеллект, данные"),
        (
            "platform-architecture-playbook.pdf",
            5,
            "A change to the platform roadmap is approved by the Platform Council",
        ),
    ],
)
def test_each_query_has_one_page_that_answers_it(name: str, number: int, sentence: str) -> None:
    answering = [
        (document, page.number + 1)
        for document in PDF_NAMES
        for page in pages(DOCUMENTS / document)
        if sentence in " ".join(page.get_text().split())
    ]
    assert answering == [(name, number)]


def test_there_are_three_queries_one_a_line() -> None:
    queries = (EXAMPLES / "queries.txt").read_text(encoding="utf-8").splitlines()
    assert len(queries) == 3
    assert all(query.strip() == query != "" for query in queries)


@pytest.mark.parametrize("name", PDF_NAMES)
def test_no_word_lies_on_another_or_leaves_the_page(name: str) -> None:
    for page in pages(DOCUMENTS / name):
        words = page.get_text("words")
        boxes = np.array([word[:4] for word in words])
        width, height = page.mediabox.width, page.mediabox.height
        assert (boxes >= 0).all()
        assert (boxes <= (width, height, width, height)).all()
        # Word boxes hold the tallest letters of the face; what is set is about the middle half of them.
        slack = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, keepdims=True) * 0.26
        boxes = np.hstack([boxes[:, :2] + slack, boxes[:, 2:] - slack])
        starts = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        ends = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        overlapping = np.argwhere(np.triu((ends > starts).all(axis=2), k=1))
        assert [(words[a][4], words[b][4]) for a, b in overlapping] == []


def test_the_truth_covers_every_page_and_every_label() -> None:
    assert sorted(TRUTH) == NAMES
    labels = set()
    for name in NAMES:
        drawn = pages(DOCUMENTS / name)
        assert [truth["page"] for truth in TRUTH[name]] == list(range(1, len(drawn) + 1))
        for page, truth in zip(drawn, TRUTH[name], strict=True):
            assert page.rect.width == pytest.approx(truth["width_pt"], abs=0.5)
            assert page.rect.height == pytest.approx(truth["height_pt"], abs=0.5)
            ids = {region["id"] for region in truth["regions"]}
            for region in truth["regions"]:
                x0, y0, x1, y1 = region["bbox_pt"]
                assert 0 <= x0 < x1 <= truth["width_pt"], (name, region)
                assert 0 <= y0 < y1 <= truth["height_pt"], (name, region)
                assert {region.get(key) for key in ("parent", "from", "to")} <= ids | {None}
                labels.add(region["label"])
    assert labels == {"diagram", "canvas", "table", "legend", "node", "arrow", "textbox"}


@pytest.mark.parametrize("name", PDF_NAMES)
def test_the_truth_holds_the_words_that_the_page_has_there(name: str) -> None:
    compared = 0
    for page, truth in zip(pages(DOCUMENTS / name), TRUTH[name], strict=True):
        for region in truth["regions"]:
            if region["label"] not in ("node", "textbox") or region.get("role") in ("cell", "pillar", "list"):
                continue
            told = region["text"].replace("**", "")
            assert sorted(words_in(page, region["bbox_pt"]).split()) == sorted(told.split()), region
            compared += 1
    assert compared >= 20


@pytest.mark.parametrize("name", NAMES)
def test_there_is_ink_inside_every_drawn_region_and_paper_around_the_drawing(name: str) -> None:
    for page, truth in zip(pages(DOCUMENTS / name), TRUTH[name], strict=True):
        pixels = grey(page)
        assert np.median(pixels) > 225
        for region in truth["regions"]:
            x0, y0, x1, y1 = (round(edge) for edge in region["bbox_pt"])
            inside = pixels[max(0, y0) : y1 + 1, max(0, x0) : x1 + 1]
            assert inside.max() - inside.min() > 40, (name, region)
