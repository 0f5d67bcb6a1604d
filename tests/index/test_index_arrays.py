"""The files that make a search fast and can be deleted: int8 copies of vectors, columns and postings by row."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import orjson
import pytest

from index import columns, postings, quantised, vectors
from index.doctor import doctor
from index.embed import Space
from index.errors import IndexCorrupt
from index.layout import Layout
from index.scan import Scan
from index.schema import create
from index.snapshot import NewRecord, TagClaim
from index.store import Store
from index.view import View
from index.words import folded_words

DIM = 48
SPACE = Space("test", "random", DIM, "v1")
WORDS = ("платформа", "платформы", "слой", "слои", "layer", "layers", "value", "4g", "ёлка")


def _matrix(rows, seed=1):
    drawn = np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _write(workspace, first, count, *, replaced=(), run="a"):
    """Records `first` … with words, tags, pages and regions that follow from their number."""
    chance = np.random.default_rng(first)
    with Store(workspace, SPACE, "test") as store:
        with store.snapshot.transaction():
            key = store.snapshot.run_key(run, f"out/runs/{run}", 1)
        records = [
            NewRecord(
                row=0, id=f"r{at}", hash=f"h{at}", text=" ".join(chance.choice(WORDS, 1 + at % 9)),
                type=("NarrativeText", "VisualFact")[at % 2], producer="test", filename=f"d{at % 3}.pdf",
                source_file=f"data/d{at % 3}.pdf", document_id=f"d{at % 3}", page=at % 4 or None, carried=True,
                run_key=key, meta=orjson.dumps({"tags": [f"Group:{at % 5}", "Other"][: at % 3]}),
                region_id=f"region-{at % 2}" if at % 2 else None,
            )
            for at in range(first, first + count)
        ]  # fmt: skip
        store.put(records, _matrix(count, first + 1), list(replaced))
        return store.snapshot.folder


@pytest.fixture
def workspace(tmp_path):
    _write(tmp_path, 0, 60)
    return tmp_path


def _view(workspace):
    return View(Layout(workspace).current())


def _state(view):
    """All that a search takes from a view's arrays, names instead of codes."""
    return {
        "alive": view.alive.tolist(),
        "types": [view.type_names[code] for code in view.type_codes[view.alive]],
        "documents": [view.documents[code] for code in view.document_codes[view.alive]],
        "pages": view.pages[view.alive].tolist(),
        "places": [view.page_groups[view.alive].tolist(), view.region_groups[view.alive].tolist()],
        "tags": [view.tags_of(row) for row in np.flatnonzero(view.alive)],
        "layers": [part.tolist() for part in view.open_postings().of_stem("layer")],
    }


def test_rows_that_a_killed_writer_left_are_overwritten_in_the_copies_too(tmp_path):
    path = tmp_path / vectors.FILE_NAME
    vectors.append(path, 0, _matrix(5))
    vectors.append(path, 5, _matrix(4, seed=2))
    vectors.append(path, 5, _matrix(2, seed=3))
    matrix = vectors.mapped(path, 7, DIM)
    copies = quantised.opened(tmp_path, matrix)
    assert copies is not None
    assert np.all(copies.holds(np.arange(7), np.concatenate([_matrix(5), _matrix(2, seed=3)])))
    assert (tmp_path / quantised.FILE_NAME).stat().st_size == 7 * DIM


@pytest.mark.parametrize("harm", ["no values", "no bounds", "short values", "short bounds", "of other vectors"])
def test_copies_that_miss_rows_are_not_used_and_made_again_by_the_next_writer(workspace, harm):
    folder = Layout(workspace).current().folder
    values, bounds = folder / quantised.FILE_NAME, folder / quantised.BOUNDS_NAME
    path = bounds if "bounds" in harm else values
    if harm.startswith("no"):
        path.unlink()
    elif harm.startswith("short"):
        path.write_bytes(path.read_bytes()[:-5])
    else:
        quantised.append(folder, 0, _matrix(60, seed=99))
    view = _view(workspace)
    assert view.quantised is None
    assert view.scan.engine == "float32"
    before = view.scan.best(_matrix(1, seed=4)[0], None, None, 10)
    view.close()
    _write(workspace, 60, 3)
    view = _view(workspace)
    assert view.scan.engine == "int8"
    assert np.all(view.quantised.holds(np.arange(63), view.matrix))
    mask = np.arange(63) < 60
    assert view.scan.best(_matrix(1, seed=4)[0], None, mask, 10).rows.tolist() == before.rows.tolist()
    view.close()


def test_the_doctor_finds_copies_of_other_vectors_and_makes_them_anew(workspace):
    folder = Layout(workspace).current().folder
    with (folder / quantised.FILE_NAME).open("r+b") as file:
        file.seek(17 * DIM + 3)
        file.write(b"\x55")
    name = "int8 copies of the vectors"
    (found,) = [check for check in doctor(workspace).checks if not check.ok]
    assert (found.name, found.detail) == (name, "59 of 60 are what the vectors say")
    assert "spotter" in found.remedy
    repaired = doctor(workspace, repair=True)
    assert repaired.repairs[0] == "60 int8 copies were made anew from the vectors"
    assert [check.ok for check in repaired.checks if check.name == name] == [True]


def test_a_row_whose_copy_is_of_another_vector_is_told_when_it_is_looked_up():
    matrix = _matrix(500)
    wrong = matrix.copy()
    wrong[7] = -wrong[7]
    scan = Scan(SimpleNamespace(matrix=matrix, quantised=quantised.quantise(wrong)), engine="int8")
    with pytest.raises(IndexCorrupt, match=r"vectors\.i8 .*spotter index doctor --repair"):
        scan.best(-matrix[7], None, None, 3)


def test_the_columns_and_postings_kept_in_files_say_what_the_database_says(workspace, monkeypatch):
    monkeypatch.setattr(columns, "_WORTH_KEEPING", 50)
    monkeypatch.setattr(postings, "_WORTH_KEEPING", 50)
    view = _view(workspace)
    fresh, folder = _state(view), view.folder
    view.close()
    assert (folder / columns.FILE_NAME).exists()
    assert (folder / postings.FILE_NAME).exists()
    for later in range(2):
        with monkeypatch.context() as context:
            context.setattr(postings, "read_part", lambda *_: pytest.fail("the file was not used"))
            view = _view(workspace)
            assert _state(view) == fresh
            view.close()
        for name in (columns.FILE_NAME, postings.FILE_NAME) if later else ():
            (folder / name).write_bytes((folder / name).read_bytes()[:-400])
            view = _view(workspace)
            assert _state(view) == fresh
            view.close()


def test_an_open_view_and_a_new_one_see_the_same_after_records_come_go_and_are_tagged_anew(workspace, monkeypatch):
    monkeypatch.setattr(columns, "_WORTH_KEEPING", 50)
    monkeypatch.setattr(postings, "_WORTH_KEEPING", 50)
    held = _view(workspace)
    held.open_postings()
    for step in range(10):
        _write(workspace, 60 + 4 * step, 4, replaced=[step * 2, 60 + 4 * step - 1], run=f"run{step}")
        held.refresh()
    with Store(workspace, SPACE, "test") as store:
        store.retag({"r1": [TagClaim("Новый/тег")], "r61": []}, "test")
    held.refresh()
    fresh = _view(workspace)
    assert _state(held) == _state(fresh)
    assert not fresh.alive[0]
    assert "Новый/тег" in fresh.tags_of(1)
    for name in (columns.FILE_NAME, postings.FILE_NAME):
        (fresh.folder / name).unlink()
    unaided = _view(workspace)
    assert _state(unaided) == _state(fresh)
    for view in (held, fresh, unaided):
        view.close()


def test_files_of_a_snapshot_that_was_replaced_are_not_taken_for_those_of_the_new_one(workspace, monkeypatch):
    monkeypatch.setattr(columns, "_WORTH_KEEPING", 1)
    monkeypatch.setattr(postings, "_WORTH_KEEPING", 1)
    view = _view(workspace)
    view.open_postings()
    view.close()
    for name in ("snapshot.sqlite", "snapshot.sqlite-wal", "snapshot.sqlite-shm"):
        (view.folder / name).unlink(missing_ok=True)
    create(view.folder, SPACE)
    _write(workspace, 1000, 7)
    view = _view(workspace)
    assert (view.count, len(view.alive), len(view.quantised.values)) == (7, 7, 7)
    assert view.tags_of(1) == ["Group:1", "Other"]
    assert sum(len(view.open_postings().of_prefix(first)[0]) for first in "пслvlёе4") > 0
    view.close()


def test_an_open_view_takes_over_a_word_index_that_was_made_anew(workspace, monkeypatch):
    monkeypatch.setattr(postings, "_WORTH_KEEPING", 1)
    with Store(workspace, SPACE, "test") as store:
        store.snapshot.db.execute("DELETE FROM lexical WHERE rowid < 30")
    view = _view(workspace)
    damaged = len(view.open_postings().of_stem("layer")[0])
    with Store(workspace, SPACE, "test") as store:
        store.snapshot.rebuild_words()
    view.refresh()
    fresh = _view(workspace)
    assert len(view.open_postings().of_stem("layer")[0]) > damaged
    assert _state(view) == _state(fresh)
    view.close()
    fresh.close()


def test_postings_say_how_often_as_sqlite_says_it(workspace):
    """SQLite's bm25() of one phrase, idf · f · (k1 + 1) / (f + k1), from our f."""
    _write(workspace, 60, 20, replaced=[3, 4, 5])
    view = _view(workspace)
    asked = [(f'words : "{word[:2]}" *', view.open_postings().of_prefix(word[:2])) for word in map(str, WORDS)]
    for word in WORDS:
        base = view.db.execute("SELECT stems FROM lexical WHERE words = ?", folded_words(word)).fetchone()
        if base is not None:
            asked.append((f'stems : "{base[0]}"', view.open_postings().of_stem(base[0])))
    assert len(asked) > len(WORDS)
    for expression, (rows, frequency) in asked:
        found = view.db.execute(
            "SELECT rowid, -bm25(lexical) FROM lexical WHERE lexical MATCH ? ORDER BY rowid", (expression,)
        ).fetchall()
        assert [row for row, _ in found] == rows.tolist()
        idf = max(math.log((view.count - len(found) + 0.5) / (len(found) + 0.5)), 1e-6)
        ours = idf * frequency * 2.2 / (frequency + 1.2)
        np.testing.assert_allclose(ours, [score for _, score in found], rtol=1e-9)
    assert len(view.open_postings().of_stem("nowhere")[0]) == len(view.open_postings().of_prefix("яя")[0]) == 0
    view.close()


def test_masks_pass_what_every_filter_names(workspace):
    view = _view(workspace)
    rows = np.arange(60)
    expected = {
        "types": (("VisualFact",), rows % 2 == 1),
        "documents": (("d1", "data/d2.pdf"), rows % 3 != 0),
        "pages": ((1, 3), (rows % 4 == 1) | (rows % 4 == 3)),
        "tags": (("Group:*",), rows % 3 > 0),
        "runs": (("a",), rows >= 0),
    }
    for name, (wanted, mask) in expected.items():
        assert view.mask(**{name: wanted}).tolist() == mask.tolist()
        assert not view.mask(**{name: ("nowhere",) if name != "pages" else (77,)}).any()
    both = view.mask(types=["VisualFact"], tags=["Other"])
    assert both.tolist() == ((rows % 2 == 1) & (rows % 3 == 2)).tolist()
    assert view.mask(types=["VisualFact"], tags=["Other"]) is both
    assert view.mask() is view.alive
    view.close()
