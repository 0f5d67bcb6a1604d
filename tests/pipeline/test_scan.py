"""Scan: every page is found, every bad document is one item with its reason."""

from __future__ import annotations

from pathlib import Path

import pymupdf
import pytest
from PIL import Image

from pipeline.core.errors import UsageError
from pipeline.core.pipeline import Scan
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.pipeline import PIPELINE
from pipeline.docparse.scan import scan, slug
from tests.pipeline.documents import save, text_page


def scanned(root: Path, *sources: str) -> Scan:
    return scan(DocparseParams(sources=sources or ("data",)), root)


def problem_of(root: Path, name: str) -> tuple[str, str]:
    (item,) = [item for item in scanned(root).items if item.source.path == f"data/{name}"]
    assert item.problem is not None
    assert item.page is None
    return item.problem.type, item.problem.message


def test_folders_are_searched_through_in_the_order_of_their_paths(tmp_path: Path) -> None:
    save(tmp_path / "data" / "b" / "two.pdf", text_page, text_page)
    save(tmp_path / "data" / "a.pdf", text_page)
    save(tmp_path / "data" / ".hidden.pdf", text_page)
    save(tmp_path / "data" / ".cache" / "x.pdf", text_page)
    (tmp_path / "data" / "notes.txt").write_text("no document")
    found = scanned(tmp_path)
    assert [(item.source.path, item.page) for item in found.items] == [
        ("data/a.pdf", 1),
        ("data/b/two.pdf", 1),
        ("data/b/two.pdf", 2),
    ]
    assert [skipped.path for skipped in found.skipped] == ["data/notes.txt"]
    assert found == scanned(tmp_path)


def test_run_folders_among_the_sources_are_no_sources(tmp_path: Path) -> None:
    save(tmp_path / "a.pdf", text_page)
    run = tmp_path / "out" / "runs" / "x"
    save(run / "artifacts" / "y.pdf", text_page)
    (run / "run.json").touch()
    (run / "manifest.jsonl").touch()
    assert [item.source.path for item in scanned(tmp_path, ".").items] == ["a.pdf"]


def test_files_are_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    save(tmp_path / "data" / "really.png", text_page)
    Image.new("RGB", (30, 20)).save(tmp_path / "data" / "picture", "PNG")
    frames = [Image.new("L", (30, 20), shade) for shade in (0, 99)]
    frames[0].save(tmp_path / "data" / "scan.tif", save_all=True, append_images=frames[1:])
    types = [(item.source.path, item.source.media_type, item.page) for item in scanned(tmp_path).items]
    assert types == [
        ("data/picture", "image/png", 1),
        ("data/really.png", "application/pdf", 1),
        ("data/scan.tif", "image/tiff", 1),
        ("data/scan.tif", "image/tiff", 2),
    ]


def test_an_encrypted_pdf_is_one_item_with_its_reason(tmp_path: Path) -> None:
    secret = {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "user_pw": "u", "owner_pw": "o"}
    save(tmp_path / "data" / "locked.pdf", text_page, text_page, **secret)
    kind, message = problem_of(tmp_path, "locked.pdf")
    assert kind == "encrypted"
    assert "needs a password" in message


def test_a_pdf_that_only_its_owner_may_change_can_be_read(tmp_path: Path) -> None:
    save(tmp_path / "data" / "open.pdf", text_page, encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="o")
    assert [item.problem for item in scanned(tmp_path).items] == [None]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.95])
def test_a_truncated_pdf_is_never_taken_for_whole(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "data" / "cut.pdf", text_page, text_page)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    kind, message = problem_of(tmp_path, "cut.pdf")
    assert kind in ("truncated", "damaged")
    assert "cut off" in message or "damaged" in message


def test_a_zero_byte_png_and_a_text_named_png_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "empty.png").touch()
    (tmp_path / "data" / "text.png").write_text("это не картинка")
    assert problem_of(tmp_path, "empty.png") == ("empty", "the file is empty (0 bytes)")
    kind, message = problem_of(tmp_path, "text.png")
    assert kind == "unrecognised"
    assert "whatever its name says" in message


def test_an_empty_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UsageError, match="there is no PDF, PNG, JPEG or TIFF in data: add some"):
        scanned(tmp_path)
    (tmp_path / "data" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="1 files of other kinds were passed over"):
        scanned(tmp_path)


def test_a_file_that_was_named_is_never_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (item,) = scanned(tmp_path, "notes.txt").items
    assert item.problem is not None


def test_sources_that_are_missing_or_outside_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source 'none\.pdf' does not exist"):
        scanned(tmp_path, "none.pdf")
    with pytest.raises(UsageError, match="lies outside the workspace"):
        scanned(tmp_path, "../x")


@pytest.mark.parametrize(
    "name", ["два слова.pdf", "quo'te\"s.pdf", "new\nline.pdf", "$(touch x); .pdf", "-rf.pdf", "!....pdf"]
)
def test_odd_file_names_become_safe_folders(tmp_path: Path, name: str) -> None:
    save(tmp_path / "data" / name, text_page)
    (item,) = scanned(tmp_path).items
    assert item.source.path == f"data/{name}"
    assert item.group.replace("-", "").replace("_", "").isalnum()
    assert item.group.endswith(f"-{item.source.sha256[:8]}")


def test_a_name_that_is_no_text_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    save(tmp_path / "data" / "good.pdf", text_page)
    (tmp_path / "data").joinpath(b"bad-\xff.pdf".decode("utf-8", "surrogateescape")).write_bytes(b"%PDF-")
    problems = [item.problem for item in scanned(tmp_path).items if item.problem]
    assert [problem.message for problem in problems] == ["the file's name is not UTF-8: rename it"]


def test_the_same_bytes_twice_are_two_documents(tmp_path: Path) -> None:
    first = save(tmp_path / "data" / "one" / "doc.pdf", text_page)
    (tmp_path / "data" / "two").mkdir()
    (tmp_path / "data" / "two" / "doc.pdf").write_bytes(first.read_bytes())
    items = scanned(tmp_path).items
    assert len({item.item_id for item in items}) == 2
    assert len({item.group for item in items}) == 2


def test_slugs_keep_letters_of_any_script() -> None:
    assert slug("Карта экосистемы (v2)") == "Карта-экосистемы-v2"
    assert slug("../../etc") == "etc"
    assert slug("???") == "document"
    assert len(slug("x" * 300)) <= 48


def test_alternatives_that_are_not_there_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"parameter detector[^:]*: there is no detector 'yolo' here; choose opencv"):
        PIPELINE.parse_params({"sources": ["data"], "detector": {"name": "yolo"}})
    with pytest.raises(UsageError, match="parameter dpi: "):
        PIPELINE.parse_params({"sources": ["data"], "dpi": 9000})
