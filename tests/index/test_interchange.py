from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from index.doctor import doctor
from index.embed import OFFLINE, embedder
from index.errors import EmbedderUnavailable, IndexEmpty, SpaceMismatch
from index.interchange import read_lines, to_line
from index.layout import Layout
from index.search import Searcher
from index.stats import stats
from index.transfer import BadLine, export_file, export_lines, import_file
from pipeline.core.records import RecordFormatError
from tests.index.index_world import RUN_1, ingest_runs, record, write_run

DIM = 8


def vectors(count, seed=0, dim=DIM):
    """Vectors as services deliver them: of length 1 but for rounding."""
    drawn = np.random.default_rng(seed).standard_normal((count, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def foreign(at, vector, **more):
    """A line of another program: keys and nulls of its own, metadata in its own order, several scripts."""
    return {
        "id": f"запись-{at:06}",
        "text": f'Слой {at} «Платформа» 😀 é e\u0301 \u2028 \\ " \t{"" if at % 2 else "слои"}',
        "vector": vector,
        "meta": {
            "zeta": {"nested": [1, None, {"ё": 0.1}], "big": 2**63 - 1},
            "type": "VisualFact" if at % 3 else "NarrativeText",
            "page": at % 50 + 1,
            "filename": "План №1.pdf",
            "document_id": None,
            "tags": ["Layer/Engagement", "Zone=Liquidity"],
            "alpha": -0.0,
            **more,
        },
        "provider": "acme",
        "model": "maker/embed-8",
    }


def write(path, lines):
    data = b"".join(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["in.ndjson", "in.ndjson.gz"])
def test_a_foreign_file_comes_out_as_it_went_in_byte_for_byte(tmp_path, name):
    lines = [foreign(at, vector) for at, vector in enumerate(vectors(40))]
    lines[7]["vector"] = lines[7]["vector"] * np.float32(37.5)
    source = write(tmp_path / name, lines)
    result = import_file(source, tmp_path)
    assert (result.read, result.added, result.embedded, result.rejected) == (40, 40, 0, ())
    out = tmp_path / f"out.{name}"
    assert export_file(tmp_path, out).records == 40
    went_in, came_out = source.read_bytes(), out.read_bytes()
    if name.endswith(".gz"):
        went_in, came_out = gzip.decompress(went_in), gzip.decompress(came_out)
    assert came_out == went_in
    assert doctor(tmp_path).ok
    with Searcher(tmp_path) as searcher:
        assert searcher.search("платформа").hits[0].id.startswith("запись-")


def test_every_form_of_vector_brings_the_same_bits_and_costs_nothing_the_second_time(tmp_path):
    given = vectors(30)
    import_file(write(tmp_path / "a.ndjson", [foreign(at, vector) for at, vector in enumerate(given)]), tmp_path)
    exported = tmp_path / "b64" / "a.ndjson"
    export_file(tmp_path, exported, "b64")
    first = json.loads(exported.read_text("utf-8").split("\n")[0])
    assert (first["dim"], first["dtype"]) == (DIM, "float32")
    assert base64.b64decode(first["vector_b64"]) == given[0].tobytes()
    assert list(first) == ["id", "text", "vector_b64", "dim", "dtype", "meta", "provider", "model"]
    other = tmp_path / "other"
    other.mkdir()
    import_file(exported, other)
    assert b"".join(export_lines(other)) == b"".join(export_lines(tmp_path))
    again = import_file(exported, tmp_path)
    assert (again.unchanged, again.added, again.updated, again.mirrored) == (30, 0, 0, 0)


def test_any_float32_survives_its_own_digits():
    bits = np.random.default_rng(5).integers(0, 2**32, 60_000, dtype=np.uint64).astype(np.uint32).view("<f4")
    edges = np.array([0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, 0.1, 1 / 3, 16777216.0], dtype=np.float32)
    vector = np.concatenate([edges, bits[np.isfinite(bits)]])
    assert len(vector) > 50_000
    line = orjson.loads(to_line("a", "b", {}, vector, "p", "m", "floats"))
    assert np.array(line["vector"], dtype=np.float64).astype(np.float32).tobytes() == vector.tobytes()


def test_half_floats_come_in_as_what_they_are(tmp_path):
    half = vectors(1)[0].astype(np.float16)
    line = foreign(0, None) | {"vector_b64": base64.b64encode(half.tobytes()).decode(), "dtype": "float16", "dim": DIM}
    (read,) = read_lines(write(tmp_path / "half.ndjson", [line]))
    assert read.vector is not None
    assert read.vector.tobytes() == half.astype(np.float32).tobytes()


def test_without_vectors_the_file_holds_what_is_to_be_embedded(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "Слои"), record("b", "Value stack", page=2)])
    ingest_runs(tmp_path)
    out = tmp_path / "bare.ndjson"
    export_file(tmp_path, out, "none")
    assert [set(json.loads(line)) for line in out.read_text("utf-8").splitlines()] == [{"id", "text", "meta"}] * 2
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(Exception, match="--embedder NAME"):
        import_file(out, other)
    assert import_file(out, other, embedder(OFFLINE)).embedded == 2
    assert b"".join(export_lines(other)) == b"".join(export_lines(tmp_path))


WRONG = {
    "no JSON": (lambda line: b'{"id": ', r"line 41: not JSON"),
    "no object": (lambda line: b"[1]", r"line 41: not a JSON object"),
    "no type": (lambda line: {**line, "meta": {}}, r"line 41: meta.type"),
    "an unknown key": (lambda line: {**line, "score": 1}, r"line 41: score"),
    "words in the vector": (lambda line: {**line, "vector": [1, "2"]}, r"line 41: vector: not a list of numbers"),
    "another length": (lambda line: {**line, "vector": [1.0, 2.0]}, r"line 41: its vector is of acme/maker/embed-8/2,"),
    "another model": (lambda line: {**line, "model": "x"}, r"line 41: its vector is of acme/x/8,"),
    "nobody's vector": (lambda line: {**line, "provider": None}, r"line 41: a vector needs provider"),
    "a zero vector": (lambda line: {**line, "vector": [0] * DIM}, r"line 41: .* is zero"),
    "beyond float32": (lambda line: {**line, "vector": [1e39] * DIM}, r"line 41: .* infinity"),
    "two vectors": (lambda line: {**line, "vector_b64": "AAAA"}, r"line 41: it has both"),
    "cut base64": (lambda line: {**line, "vector": None, "vector_b64": "AAA"}, r"line 41: vector_b64"),
    "odd bytes": (lambda line: {**line, "vector": None, "vector_b64": "AAAA"}, r"line 41: vector_b64"),
    "a wrong dim": (lambda line: {**line, "dim": 9}, r"line 41: dim: says 9"),
    "an unknown dtype": (lambda line: {**line, "vector": None, "vector_b64": "", "dtype": "i8"}, r"line 41: dtype"),
    "no text": (lambda line: {**line, "text": " "}, r"line 41: record запись-000040 has no text"),
    "no vector": (lambda line: {**line, "vector": None}, r"line 41: it has no vector, and none can be made here"),
    "an id with other content": (lambda line: {**line, "id": "запись-000003"}, r"line 41: .*stood in line 4 already"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_line_is_named_and_nothing_is_taken(tmp_path, spoil, sentence):
    good = [foreign(at, vector.tolist()) for at, vector in enumerate(vectors(45))]
    lines = [orjson.dumps(line) for line in good]
    spoilt = spoil(good[40])
    lines[40] = spoilt if isinstance(spoilt, bytes) else orjson.dumps(spoilt)
    source = tmp_path / "in.ndjson"
    source.write_bytes(b"\n".join(lines))
    with pytest.raises((BadLine, RecordFormatError), match=sentence):
        import_file(source, tmp_path)
    assert Layout(tmp_path).current() is None


def test_a_gzip_file_cut_off_is_named_and_nothing_is_taken(tmp_path):
    source = write(tmp_path / "in.ndjson.gz", [foreign(at, vector) for at, vector in enumerate(vectors(3000))])
    source.write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(RecordFormatError, match=r"in\.ndjson\.gz, after line 2\d\d\d: the gzip data is damaged"):
        import_file(source, tmp_path)
    assert Layout(tmp_path).current() is None


def test_vectors_of_another_space_never_meet_an_index_and_can_be_made_anew_by_name(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "Слои")])
    ingest_runs(tmp_path)
    source = write(tmp_path / "in.ndjson", [foreign(at, vector) for at, vector in enumerate(vectors(3))])
    with pytest.raises(BadLine, match=r"line 1: its vector is of acme/maker/embed-8/8, .*--embedder NAME"):
        import_file(source, tmp_path)
    assert stats(tmp_path).records == 1
    assert import_file(source, tmp_path, embedder(OFFLINE)).embedded == 3
    with pytest.raises(SpaceMismatch):
        import_file(source, tmp_path, _Eight())


class _Eight:
    space = type(embedder(OFFLINE).space)("acme", "maker/embed-8", DIM, "v1")
    label, network, noise_cosine = "semantic", False, 0.0

    def embed(self, texts, *, kind):
        raise EmbedderUnavailable("no")


def test_an_export_of_nothing_says_so_and_leaves_no_file(tmp_path):
    with pytest.raises(IndexEmpty):
        export_file(tmp_path, tmp_path / "out.ndjson")
    assert list(tmp_path.iterdir()) == []


def anonymous_bytes():
    """What this process holds in memory of its own, mapped files not counted."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own memory apart")
def test_twenty_thousand_records_stream_in_flat_memory(tmp_path):
    """All but Chroma, whose own graph lies in memory, so that it is written apart (`index.mirroring`)."""
    count, dim = 20_000, 384
    drawn = [base64.b64encode(vector.tobytes()) for vector in vectors(50, dim=dim)]
    source = tmp_path / "in.ndjson"
    with source.open("wb") as out:
        for at in range(count):
            meta = b'{"type":"VisualFact","page":%d}' % (at % 300)
            out.write(b'{"id":"r%d","text":"block %d","vector_b64":"%s",' % (at, at % 500, drawn[at % 50]))
            out.write(b'"dim":384,"dtype":"float32","meta":%s,"provider":"a","model":"m"}\n' % meta)
    held: dict[str, list[int]] = {}

    def look(progress):
        held.setdefault(progress.phase, []).append(anonymous_bytes())

    assert import_file(source, tmp_path, report=look, mirror=False).added == count
    assert export_file(tmp_path, tmp_path / "out.ndjson", "b64", report=look).records == count
    assert (tmp_path / "out.ndjson").read_bytes() == source.read_bytes()
    assert {phase: len(seen) >= 20 for phase, seen in held.items()} == dict.fromkeys(
        ("check", "snapshot", "export"), True
    )
    grown = {phase: max(seen) - seen[2] for phase, seen in held.items()}
    assert max(grown.values()) < 300 * count < count * dim * 4 // 2, grown
