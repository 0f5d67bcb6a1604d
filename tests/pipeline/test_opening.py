"""Documents that crash or hang the library that opens them: each is its own problem, and the plan goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.docparse.documents import count_pages
from pipeline.docparse.opening import Opener
from pipeline.docparse.pages.source import DocumentProblem
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.scan import scan
from tests.pipeline.documents import save, text_page

CRASH, HANG, BUG = b"%PDF-1.7 crash", b"%PDF-1.7 hang", b"%PDF-1.7 bug"


def fragile(path: Path, media_type: str) -> int:
    """Stands for a library with defects."""
    match path.read_bytes():
        case b"%PDF-1.7 crash":
            os.abort()
        case b"%PDF-1.7 hang":
            time.sleep(3600)
        case b"%PDF-1.7 bug":
            raise IndexError("list index out of range")
    return count_pages(path, media_type)


def test_a_crashing_and_a_hanging_document_cost_only_themselves(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a crash.pdf").write_bytes(CRASH)
    save(data / "b good.pdf", text_page, text_page)
    (data / "c hang.pdf").write_bytes(HANG)
    (data / "d bug.pdf").write_bytes(BUG)
    save(data / "e good.pdf", text_page)
    found = scan(DocparseParams(sources=("data",)), tmp_path, Opener(fragile, limit_s=3.0))
    problems = {item.source.path: item.problem for item in found.items if item.problem is not None}
    assert {path: problem.type for path, problem in problems.items()} == {
        "data/a crash.pdf": "crashed", "data/c hang.pdf": "hung", "data/d bug.pdf": "damaged",
    }  # fmt: skip
    assert "SIGABRT" in problems["data/a crash.pdf"].message
    assert "longer than 3 s" in problems["data/c hang.pdf"].message
    assert [item.source.path for item in found.items if item.problem is None] == [
        "data/b good.pdf", "data/b good.pdf", "data/e good.pdf",
    ]  # fmt: skip


def no_library() -> None:
    raise ImportError("libmupdf.so: cannot open shared object file")


def test_a_process_that_does_not_start_is_not_blamed_on_documents(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    save(tmp_path / "data" / "good.pdf", text_page)
    with pytest.raises(UsageError, match=r"does not start \(it ended by itself with exit code 1\)"):
        scan(DocparseParams(sources=("data",)), tmp_path, Opener(load=no_library))


def test_who_draws_with_pdfium_needs_no_mupdf_at_all(tmp_path: Path) -> None:
    save(tmp_path / "data" / "a.pdf", text_page, text_page)
    (tmp_path / "data" / "cut.pdf").write_bytes((tmp_path / "data" / "a.pdf").read_bytes()[:900])
    code = """
import sys
sys.modules["pymupdf"] = None
from pathlib import Path
from pipeline.docparse.documents import draw_page
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.scan import scan
root = Path(sys.argv[1])
found = scan(DocparseParams(sources=("data",), renderer="pdfium"), root)
assert [item.page for item in found.items] == [1, 2, None], found
assert found.items[2].problem.type in ("truncated", "damaged")
assert draw_page(root / "data" / "a.pdf", "application/pdf", 2, 72, 10**7, "pdfium").words
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60, env=environment)


def test_what_is_wrong_with_a_document_is_told_as_its_reader_tells_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with Opener() as opener:
        with pytest.raises(DocumentProblem, match="the image is damaged") as caught:
            opener.pages(broken, "image/png")
        assert caught.value.kind == "damaged"
