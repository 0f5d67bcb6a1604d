"""Elements of other tools: attached to the right document and page, or told to be without one; texts for the index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Manifest, read_manifest
from pipeline.core.pipeline import Scan
from pipeline.core.plan import plan
from pipeline.core.records import read_records
from pipeline.docparse import elements
from pipeline.docparse.documents import open_source
from pipeline.docparse.elements import Element, page_elements, read_elements, same_name
from pipeline.docparse.elements_records import MIN_IMAGE_CHARS, element_texts
from pipeline.docparse.media import PDF
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.pipeline import PIPELINE
from pipeline.docparse.scan import scan
from tests.pipeline.documents import save, text_page
from tests.pipeline.driving import Bench

A4 = (1240, 1755)
TEXTS = {"Title", "NarrativeText", "ListItem", "Header", "Footer", "Image"}


def element(kind: str, text: str, page: int | None = 1, filename: str = "", **metadata: Any) -> dict[str, Any]:
    told = {"filename": filename} if filename else {}
    number = {} if page is None else {"page_number": page}
    return {"type": kind, "element_id": f"{kind}-{text[:8]}", "text": text, "metadata": told | number | metadata}


def corners(left: float, top: float, right: float, bottom: float, system: str, size: tuple[float, float]) -> Any:
    points = [[left, top], [left, bottom], [right, bottom], [right, top]]
    return {"points": points, "system": system, "layout_width": size[0], "layout_height": size[1]}


def put(path: Path, *elements: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(elements), "utf-8")
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (len(path.name), 9, 9)).save(path)
    return path


def scanned(root: Path, *sources: str) -> Scan:
    return scan(DocparseParams(sources=sources or (".",)), root)


def attached(found: Scan) -> dict[str, list[str]]:
    return {item.source.path: [one.path for one in item.attached] for item in found.items if item.problem is None}


def test_a_file_of_elements_finds_its_document_beside_it_or_in_another_folder(tmp_path: Path) -> None:
    save(tmp_path / "playbooks" / "guide.pdf", text_page)
    picture(tmp_path / "frames" / "L1 map.png")
    picture(tmp_path / "frames" / "Карта.png")
    put(tmp_path / "playbooks" / "guide.pdf.json", element("Title", "A guide", filename="guide.pdf"))
    put(tmp_path / "results" / "frames" / "L1 map.png.json", element("Image", "Layers"))
    put(tmp_path / "results" / "frames" / "renamed.json", element("Image", "Слои", filename="Карта.png"))
    found = scanned(tmp_path)
    assert attached(found) == {
        "frames/L1 map.png": ["results/frames/L1 map.png.json"],
        "frames/Карта.png": ["results/frames/renamed.json"],
        "playbooks/guide.pdf": ["playbooks/guide.pdf.json"],
    }
    assert len({item.group for item in found.items}) == 3
    assert (list(found.warnings), list(found.skipped)) == ([], [])


def test_one_file_about_many_frames_gives_each_frame_its_own_elements(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        picture(tmp_path / "frames" / name)
    whole = put(
        tmp_path / "frames.json", element("Title", "First", filename="one.png"),
        element("Title", "Second", filename="two.png"), element("Title", "Third", filename="gone.png"),
    )  # fmt: skip
    found = scanned(tmp_path)
    assert attached(found) == {"frames/one.png": ["frames.json"], "frames/two.png": ["frames.json"]}
    (orphan,) = [item for item in found.items if item.problem]
    assert orphan.problem is not None
    assert "'gone.png', which is not among the sources: add that document" in orphan.problem.message
    assert [each.text for each in page_elements(whole, "two.png", 1, 1, (40, 30)).elements] == ["Second"]


def test_a_file_about_thousands_of_frames_or_pages_is_gone_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, each = 300, 3
    names = [f"frame-{number:04}.png" for number in range(frames)]
    about_frames = put(
        tmp_path / "frames.json",
        *(element("Title", f"{name} {n}", filename=name) for name in names for n in range(each)),
    )
    about_pages = put(
        tmp_path / "long.pdf.json", element("Title", "of no page", None, "long.pdf"),
        *(element("Title", f"page {page}", page, "long.pdf") for page in range(1, frames + 1)),
    )  # fmt: skip
    looks = 0

    def counted(name: str) -> str:
        nonlocal looks
        looks += 1
        return same_name(name)

    monkeypatch.setattr(elements, "same_name", counted)
    for name in names:
        texts = [one.text for one in page_elements(about_frames, name, 1, 1, (40, 30)).elements]
        assert texts == [f"{name} {n}" for n in range(each)]
    for page in range(1, frames + 1):
        (one,) = page_elements(about_pages, "long.pdf", page, frames, (40, 30)).elements
        assert one.text == f"page {page}"
    assert looks < 10 * frames * each, "in proportion to what is there, not to pages times elements"
    partition = elements.parse_partition(about_frames.read_bytes())
    assert partition is not None
    looks = 0
    assert [partition.pages(name)[1] for name in names] == [each] * frames
    assert looks < 10 * frames * each


def test_an_orphan_is_an_item_that_fails_with_its_reason_and_a_warning_of_the_plan(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "frame.png")
    put(tmp_path / "data" / "lost.pdf.json", element("Title", "Lost"))
    answer = plan(PIPELINE, {"sources": ["data"]}, tmp_path / "run", tmp_path).answer()
    assert [problem["path"] for problem in answer["problems"]] == ["data/lost.pdf.json"]
    assert "elements of 'lost.pdf', which is not among the sources" in answer["problems"][0]["message"]
    assert len(answer["warnings"]) == 1


def test_two_documents_of_one_name_are_told_apart_by_their_folder_or_not_at_all(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        picture(tmp_path / "in" / folder / "map.png")
    put(tmp_path / "out" / "b" / "map.png.json", element("Title", "Of b"))
    put(tmp_path / "elsewhere" / "map.png.json", element("Title", "Of whom?"))
    found = scanned(tmp_path)
    assert attached(found) == {"in/a/map.png": [], "in/b/map.png": ["out/b/map.png.json"]}
    (problem,) = [item.problem for item in found.items if item.problem]
    assert "which 2 documents are called (in/a/map.png, in/b/map.png): put it beside" in problem.message


def test_what_would_be_lost_is_warned_of(tmp_path: Path) -> None:
    save(tmp_path / "two.pdf", text_page, text_page)
    put(
        tmp_path / "two.pdf.json", element("Title", "Here", 2), element("Title", "Nowhere", 7),
        element("Title", "Anywhere", None),
    )  # fmt: skip
    put(tmp_path / "other" / "two.pdf.json", element("Title", "Again", 1))
    (tmp_path / "notes.json").write_text('[{"a": 1}]')
    found = scanned(tmp_path)
    said = "\n".join(found.warnings)
    assert "1 element on pages up to 7, but 'two.pdf' has 2" in said
    assert "1 element without a page of 'two.pdf'" in said
    assert "'other/two.pdf.json' is left out: the elements of 'two.pdf' are in 'two.pdf.json'" in said
    assert [skipped.path for skipped in found.skipped] == ["notes.json", "other/two.pdf.json"]


def test_elements_stand_in_page_pixels_whatever_system_they_were_told_in(tmp_path: Path) -> None:
    file = put(
        tmp_path / "x.pdf.json",
        element("Title", "Pixels", coordinates=corners(170, 220, 340, 440, "PixelSpace", (1700, 2406))),
        element("Title", "Points", coordinates=corners(59.5, 765, 119, 688.4, "PointSpace", (595, 842))),
        element("Title", "Turned", coordinates=corners(10, 10, 20, 20, "PixelSpace", (2406, 1700))),
        element("Title", "Nowhere"), element("PageBreak", ""), element("Title", " \n "),
    )  # fmt: skip
    found = page_elements(file, "x.pdf", 1, 3, A4)
    boxes = {each.text: each.box for each in found.elements}
    assert boxes["Pixels"] == pytest.approx((124, 160.5, 248, 321), abs=0.5)
    assert boxes["Points"] == pytest.approx((124, 160.5, 248, 320), abs=0.5)
    assert boxes["Turned"] is None
    assert boxes["Nowhere"] is None
    assert found.notes == {
        "elements": 4, "elements_of_another_shape": 1, "elements_without_box": 1, "elements_without_text": 1,
    }  # fmt: skip
    page = tmp_path / "artifacts" / "d" / "p0001"
    page.mkdir(parents=True)
    (page / "elements.json").write_bytes(found.to_json("x.pdf.json"))
    again = read_elements(tmp_path, "artifacts/d/p0001")
    assert again is not None
    assert [(each.type, each.text, each.id) for each in again] == [
        (each.type, each.text, each.id) for each in found.elements
    ]
    assert read_elements(tmp_path, "artifacts/d/p0002") is None


def test_texts_keep_the_types_cut_what_is_long_and_drop_scraps_of_pictures(tmp_path: Path) -> None:
    def made(kind: Any, text: str, html: str | None = None) -> Element:
        return Element(kind, text, (0, 0, 9, 9), "id", kind, html)

    long = " ".join(f"Sentence number {number} says something." for number in range(90))
    texts, counts = element_texts(
        [
            made("Title", "A title"), made("ListItem", "a point"), made("Header", "head"), made("Footer", "7"),
            made("NarrativeText", long), made("Image", "x" * (MIN_IMAGE_CHARS - 1)),
            made("Image", "y" * MIN_IMAGE_CHARS),
            made("Table", "Role Decides Owner scope",
                 "<table><thead><tr><th>Role</th><th>Decides</th></tr></thead>"
                 "<tr><td>Owner</td><td>scope &amp;<br/> money</td></tr></table>"),
        ]
    )  # fmt: skip
    kinds = [text.type for text in texts]
    assert [kind for kind in kinds if kind != "NarrativeText"] == [
        "Title", "ListItem", "Header", "Footer", "Image", "Table",
    ]  # fmt: skip
    pieces = [text for text in texts if text.type == "NarrativeText"]
    assert len(pieces) >= 3
    assert all(len(piece.text) <= 1400 and piece.span for piece in pieces)
    assert pieces[-1].text.endswith(long[-20:])
    assert texts[-1].text == "Role | Decides\nOwner | scope & money"
    assert counts == {"image_texts_dropped": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.jsonl", '{"path": "frames/a.png", "unit": "frame-table"}\n"books"\n'),
        ("list.csv", "unit,path\nframe-table,frames/a.png\n,books\n"),
        ("list.yaml", "- {path: frames/a.png, unit: frame-table}\n- books\n"),
        ("list.csv", "frames/a.png,frame-table\nbooks\n"),
    ],
)
def test_a_list_of_sources_names_what_each_is(tmp_path: Path, name: str, text: str) -> None:
    picture(tmp_path / "in" / "frames" / "a.png")
    picture(tmp_path / "in" / "frames" / "b.png")
    save(tmp_path / "in" / "books" / "c.pdf", text_page)
    (tmp_path / "in" / name).write_text(text)
    found = scanned(tmp_path, f"in/{name}")
    assert [(item.source.path, item.unit) for item in found.items] == [
        ("in/books/c.pdf", None),
        ("in/frames/a.png", "frame-table"),
    ]
    manifest = Manifest(found.items)
    manifest.write(tmp_path / "manifest.jsonl")
    assert read_manifest(tmp_path / "manifest.jsonl").items == tuple(found.items)
    assert '"unit":null' not in (tmp_path / "manifest.jsonl").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"path": "none.png"}', r"list 'l.jsonl', line 1: 'none\.png' does not exist"),
        ('"../../x.png"', "line 1: '../../x.png' lies outside the workspace"),
        ('\n{"path": "a.png", "unit": "poster"}', "line 2: there is no unit kind 'poster'; choose frame-table"),
        ('{"file": "a.png"}', "line 1: wants a path, or an object"),
        ("{", "line 1: not JSON"),
        ("", "names no source"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(tmp_path: Path, text: str, said: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "l.jsonl").write_text(text)
    with pytest.raises(UsageError, match=said):
        scanned(tmp_path, "l.jsonl")


def test_a_run_reads_scans_and_records_elements_under_the_kind_that_the_list_gives(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "docparse")
    data = tmp_path / "data"
    save(data / "guide.pdf", text_page, text_page)
    put(data / "guide.pdf.json", element("Title", "How to begin"), element("Image", "scrap"))
    save(tmp_path / "letter.pdf", text_page)
    source = open_source(tmp_path / "letter.pdf", PDF)
    Image.fromarray(source.pixels(1, 200)[:, :, ::-1].copy()).save(data / "scan.png", dpi=(200, 200))
    source.close()
    (data / "all.jsonl").write_text(
        '{"path": "guide.pdf", "unit": "playbook"}\n{"path": "scan.png"}\n"guide.pdf.json"\n'
    )
    bench.plan(sources=["data/all.jsonl"], ocr={"name": "tesseract", "languages": ["eng"]}, workers=1)
    bench.run()
    records = list(read_records(bench.run_dir / "records" / "docparse.ndjson"))

    def texts(filename: str, page: int) -> list[tuple[str, str]]:
        of_page = [record for record in records if (record.meta.filename, record.meta.page) == (filename, page)]
        return [(record.meta.type, record.text) for record in of_page]

    assert [text for text in texts("guide.pdf", 1) if text[0] in TEXTS] == [("Title", "How to begin")]
    assert ("Title", "What is a platform") in texts("guide.pdf", 2)
    assert "a platform joins people" in " ".join(text for _, text in texts("scan.png", 1))
    assert {record.meta.filename: record.meta.model_extra for record in records} == {
        "guide.pdf": {"unit": "playbook"}, "scan.png": {},
    }  # fmt: skip
    metrics = [json.loads(line) for line in (bench.run_dir / "metrics.jsonl").read_text().splitlines()]
    told = {(line["stage"], line["name"]): line["value"] for line in metrics}
    assert told["ocr", "pages_read"] == 1
    assert told["render", "pages_text_none"] == 1
    assert told["render", "elements"] == 2
    kinds = {artifact["kind"] for artifact in bench.artifacts().values()}
    assert "elements" in kinds
