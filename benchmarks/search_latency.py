"""From keystroke to ranked list, beside the memory's own speed and beside Chroma's query, on the same data.

    python benchmarks/search_latency.py [--quick] [--json] [--chroma-records N] [--keep DIR]

An index of 10,000 and one of 100,000 records × 3072 numbers are written by the index's own writer: 92 % visual facts of
some 15 words, 8 % chunks of some 150, half Russian and half English, words by Zipf's law around 64 topics, three tags a
record, vectors of topics and words in a 96-dimensional space mixed into 3072 with noise. Then a person types: phrases
taken from the records, some with a mistake, letter by letter; every letter is a search by `Searcher` with boosts for
types and 262 tags, words and vectors over all records, 20 hits with snippets. The query's vector is computed, not
cached, and costs about as little as the offline embedder's.

- `p95_ms_*`: one search, wall time, 95th percentile over all keystrokes (`p50`, `max` beside it)
- `scan_ms_*`: the products of the query with all rows, int8
- `exact_ms_*`: all of what the search asks for: that scan, the bounds, the weights and the look-up in float32, which
  give the exact best 100 text and 100 visual rows by weighted cosine; `rescored_rows_*` is how many were looked up
- `floor_ms_*`: the time to read what the scan must read, once: the greatest of all int8 values (`np.max`), in the same
  blocks of the same mapped file by as many threads as the scan has. In cache that loop is three times as fast as from
  memory, so memory is what it waits for; no arithmetic over the same bytes can be faster. `floor_one_thread_ms_*` is
  the same by one thread. Scan and floor take turns; medians
- `scan_vs_floor_*`: the scan over the floor of as many threads
- `stall_ms_*`: how long another thread, which wakes every millisecond, was kept waiting while searches ran
- `open_ms_*`: `Searcher(...)` until it can search, files in the page cache; `open_first_ms_*`: the very first time,
  when the columns are read from the database and kept
- `chroma_p95_ms_*`: Chroma's own query (its approximate index, 20 hits, no words, no weights) for the same vectors

Chroma takes some 100 to 400 records a second, so by default it gets 10,000 records, and `chroma_p95_ms_100k` is null;
`--chroma-records 100000` fills it (once stopped midway, Chroma 1.5.9 crashed at every query of that folder). `--keep`
keeps the indexes in a folder and uses what is there. On a machine that is not quiet:
`TMPDIR=/dev/shm chrt -r 10 python benchmarks/search_latency.py`; the kernel then stops it for 50 ms in every second,
which shows in `max_ms` and `stall_ms`. Needs 3 GB in TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from index import columns, scan
from index.boosts import Boosts
from index.embed import Space
from index.layout import Layout
from index.quantised import quantise
from index.ranking import CANDIDATES
from index.search import Searcher
from index.snapshot import NewRecord
from index.store import Store
from index.view import View
from index.words import folded_words

Matrix = npt.NDArray[np.float32]

DIM, LATENT, TOPICS = 3072, 96, 64
VOCABULARY = 24_000
TAGS = [f"Group{at % 29}:Tag{at}" for at in range(262)]
BOOSTS = Boosts(
    types={"VisualFact": 1.05, "VisualCaption": 1.1, "Text": 1.2},
    tags={tag: 1 + (at % 7) / 100 for at, tag in enumerate(TAGS)},
)
LETTERS = {
    "ru": ("оеаинтсрвлкмдпуяыьгзбчйхжш", "овать ение ами ого ость ный"),
    "en": ("etaoinshrdlcumwfgypb", "s ing ed er tion ly"),
}
FACT_WORDS, CHUNK_WORDS, TEXT_SHARE = 15, 150, 0.08
BATCH = 2_000
SHOWN = (
    "scan_ms", "floor_ms", "floor_one_thread_ms", "scan_vs_floor", "scan_vs_floor_one_thread", "floor_gb_per_s",
    "exact_ms", "exact_vs_floor", "rescored_rows", "threads", "open_ms", "open_first_ms", "stall_p99_ms", "stall_ms",
    "searches", "stages_p95_ms", "write_s",
)  # fmt: skip


class TopicEmbedder:
    """Vectors by topic and word, for texts of this benchmark's vocabulary; queries carry no noise."""

    space = Space("benchmark", "topics", DIM, "v1")
    label: Literal["semantic"] = "semantic"
    network = False
    noise_cosine = 0.15

    def __init__(self) -> None:
        chance = np.random.default_rng(5)
        topics = chance.standard_normal((TOPICS, LATENT))
        self._words = (topics[np.arange(VOCABULARY) % TOPICS] + chance.standard_normal((VOCABULARY, LATENT))).astype(
            "f4"
        )
        self._mixing = chance.standard_normal((LATENT, DIM)).astype("f4")
        self._noise = chance.standard_normal((4_099, DIM)).astype("f4")
        self._codes = {word: code for code, word in enumerate(vocabulary())}

    def embed(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Matrix:
        """A vector for each text; words that are not known yet say nothing."""
        latent = np.zeros((len(texts), LATENT), dtype=np.float32)
        for row, text in enumerate(texts):
            codes = [self._codes[word] for word in folded_words(text) if word in self._codes]
            latent[row] = self._words[codes].mean(axis=0) if codes else 0.01
        mixed = latent @ self._mixing
        if kind == "doc":
            drawn = np.random.default_rng(zlib.crc32(texts[0].encode())).integers(0, len(self._noise), len(texts))
            scale = 0.7 * np.linalg.norm(mixed, axis=1, keepdims=True) / np.sqrt(DIM)
            mixed += scale * self._noise[drawn]
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), dtype=np.float32)


def vocabulary() -> list[str]:
    """Words of 3 to 14 letters, Russian and English in turn, each with one of the usual endings."""
    draw = random.Random(3)
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        letters, endings = LETTERS["ru" if len(words) % 2 else "en"]
        stem = "".join(draw.choices(letters, range(len(letters), 0, -1), k=draw.randint(3, 8)))
        words[stem + draw.choice(["", "", *endings.split()])] = None
    return list(words)


def texts(count: int) -> list[tuple[str, str]]:
    """Type and text of so many records, always the same."""
    words = vocabulary()
    draw = random.Random(17)
    by_topic = [words[topic::TOPICS] for topic in range(TOPICS)]
    zipf = [1 / (rank + 3) for rank in range(VOCABULARY // TOPICS)]
    common = words[:2_000]
    common_zipf = [1 / (rank + 3) for rank in range(len(common))]
    made = []
    for _ in range(count):
        is_text = draw.random() < TEXT_SHARE
        length = int((CHUNK_WORDS if is_text else FACT_WORDS) * draw.uniform(0.6, 1.4))
        topic = draw.randrange(TOPICS)
        spoken = draw.choices(by_topic[topic], zipf, k=length * 2 // 3) + draw.choices(
            common, common_zipf, k=length // 3
        )
        draw.shuffle(spoken)
        kind = (
            draw.choice(("NarrativeText", "ListItem", "Table"))
            if is_text
            else draw.choice(("VisualFact", "VisualFact", "VisualFact", "VisualCaption"))
        )
        made.append((kind, " ".join(spoken)))
    return made


def write(workspace: Path, records: Sequence[tuple[str, str]]) -> float:
    """Write an index by its own writer, without Chroma; returns seconds."""
    started = time.perf_counter()
    draw = random.Random(23)
    embedder = TopicEmbedder()
    with Store(workspace, embedder.space, "benchmark") as store:
        with store.snapshot.transaction():
            run = store.snapshot.run_key("run", "out/runs/run", 1)
        for first in range(0, len(records), BATCH):
            batch = []
            for at, (kind, text) in enumerate(records[first : first + BATCH], first):
                document, page = f"d{at // 400:04}", at // 20 % 20 + 1
                region = None if kind in ("NarrativeText", "ListItem", "Table") else f"region-{at // 4 % 5:04}"
                meta: dict[str, Any] = {
                    "type": kind, "filename": f"{document}.pdf", "source_file": f"data/{document}.pdf",
                    "document_id": document, "page": page, "region_id": region, "tags": draw.sample(TAGS, 3),
                    "bbox_px": [10.0, 20.0, 300.0, 40.0], "page_size_px": [1240, 1754],
                    "crop": f"artifacts/{document}/p{page:04}/regions/{region}.png",
                }  # fmt: skip
                batch.append(
                    NewRecord(
                        row=0, id=f"r{at:06}", hash=f"{at:064}", text=text, type=kind, producer="benchmark",
                        filename=meta["filename"], source_file=meta["source_file"], document_id=document, page=page,
                        carried=True, run_key=run, meta=json.dumps(meta).encode(), region_id=region,
                    )
                )  # fmt: skip
            store.put(batch, embedder.embed([record.text for record in batch], kind="doc"), [])
    return time.perf_counter() - started


def phrases(records: Sequence[tuple[str, str]], count: int) -> list[str]:
    """What people type: two to four words that stand together in some record; every fifth has a letter wrong."""
    draw = random.Random(29)
    typed = []
    for at in range(count):
        words = draw.choice(records)[1].split()
        first = draw.randrange(max(1, len(words) - 4))
        phrase = " ".join(words[first : first + draw.randint(2, 4)])
        if at % 5 == 4:
            wrong = draw.randrange(len(phrase))
            phrase = phrase[:wrong] + phrase[wrong + 1 :]
        typed.append(phrase)
    return typed


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def keystrokes(searcher: Searcher, typed: Sequence[str]) -> dict[str, Any]:
    """Search after every letter; the first phrase warms up, as the console's own warming does."""
    times: list[float] = []
    stages: dict[str, list[float]] = {}
    for number, phrase in enumerate(typed):
        for end in range(1, len(phrase) + 1):
            started = time.perf_counter()
            result = searcher.search(phrase[:end], 20)
            took = (time.perf_counter() - started) * 1000
            if number:
                times.append(took)
                for stage, stage_ms in result.stages_ms.items():
                    stages.setdefault(stage, []).append(stage_ms)
    return {
        "searches": len(times),
        "p50_ms": percentile(times, 0.5),
        "p95_ms": percentile(times, 0.95),
        "max_ms": max(times),
        "stages_p95_ms": {stage: round(percentile(values, 0.95), 2) for stage, values in stages.items()},
    }


def scan_and_floor(view: View, queries: Matrix, repeats: int) -> dict[str, float]:
    """The scan as the search asks for it, and the time to read the same bytes, taking turns."""
    weights = view.weights(BOOSTS)
    masks = [view.alive & view.is_text, view.alive & ~view.is_text]
    copies = view.quantised
    assert copies is not None, "the index holds no int8 copies"
    assert view.scan.engine == "int8", "the benchmark is about the int8 scan"
    values = copies.values
    threads = scan.available_threads()
    greatest = np.zeros(1)

    def best(query: Matrix) -> Callable[[], object]:
        return lambda: view.scan.best_of_each(query, weights, masks, CANDIDATES, above=0.15)

    def scan_all(query: Matrix) -> Callable[[], object]:
        vector = quantise(query[None]).values
        return lambda: scan.int8_products(copies, vector, threads)

    def read(threads: int) -> Callable[[], None]:
        def block(start: int, end: int) -> None:
            greatest[0] = max(greatest[0], values[start:end].max())

        return lambda: scan.in_blocks(
            block, len(values), scan.block_rows(len(values), values.shape[1], threads), threads
        )

    times: dict[str, list[float]] = {"scan_ms": [], "floor_ms": [], "floor_one_thread_ms": [], "exact_ms": []}
    rescored = []
    for repeat in range(repeats + 2):
        once = {
            "scan_ms": milliseconds(scan_all(queries[repeat % len(queries)])),
            "floor_ms": milliseconds(read(threads)),
            "floor_one_thread_ms": milliseconds(read(1)),
            "exact_ms": milliseconds(best(queries[repeat % len(queries)])),
        }
        if repeat >= 2:
            rescored.append(view.scan.rescored)
            for name, value in once.items():
                times[name].append(value)
    found = {name: median(values) for name, values in times.items()}
    return {
        **found,
        "scan_vs_floor": found["scan_ms"] / found["floor_ms"],
        "scan_vs_floor_one_thread": found["scan_ms"] / found["floor_one_thread_ms"],
        "exact_vs_floor": found["exact_ms"] / found["floor_ms"],
        "floor_gb_per_s": values.nbytes / found["floor_ms"] / 1e6,
        "rescored_rows": median(rescored),
        "threads": threads,
    }


def stalls(searcher: Searcher, typed: Sequence[str]) -> dict[str, float]:
    """How late a thread that wakes every millisecond is while another searches."""
    done = threading.Event()

    def search() -> None:
        try:
            for phrase in typed:
                searcher.search(phrase, 20)
        finally:
            done.set()

    worker = threading.Thread(target=search)
    worker.start()
    late = []
    while not done.is_set():
        late.append(milliseconds(lambda: time.sleep(0.001)) - 1)
    worker.join()
    return {"stall_p99_ms": percentile(late, 0.99), "stall_ms": max(late)}


def opening(workspace: Path, folder: Path) -> dict[str, float]:
    """Seconds until a searcher can search: the first time, and every later time."""

    embedder = TopicEmbedder()

    def once() -> None:
        Searcher(workspace, embedder, boosts=BOOSTS).close()

    (folder / columns.FILE_NAME).unlink(missing_ok=True)
    first = milliseconds(once)
    return {"open_first_ms": first, "open_ms": median(milliseconds(once) for _ in range(9))}


def chroma(folder: Path, vectors: Matrix, queries: Matrix) -> dict[str, float]:
    """Chroma's own query for the same vectors; what is in the folder already is used."""
    import chromadb

    client = chromadb.PersistentClient(path=str(folder))
    collection = client.get_or_create_collection(
        "benchmark", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    started = time.perf_counter()
    for first in range(collection.count(), len(vectors), 500):
        rows = range(first, min(first + 500, len(vectors)))
        collection.add(
            ids=[f"r{row:06}" for row in rows],
            embeddings=vectors[rows.start : rows.stop],
            documents=[f"record {row}" for row in rows],
            metadatas=[{"type": "VisualFact", "page": 1} for _ in rows],
        )
    built = time.perf_counter() - started
    times = [
        milliseconds(lambda: collection.query(query_embeddings=[query], n_results=20))  # noqa: B023 - called at once
        for query in queries
    ][3:]
    return {"chroma_p50_ms": percentile(times, 0.5), "chroma_p95_ms": percentile(times, 0.95), "chroma_write_s": built}


def measure(records: int, root: Path, quick: bool) -> dict[str, Any]:
    """All figures of one size but Chroma's."""
    workspace = root / str(records)
    made = texts(records)
    seconds = None
    if Layout(workspace).current() is None:
        seconds = write(workspace, made)
    current = Layout(workspace).current()
    assert current is not None
    typed = phrases(made, 8 if quick else 30)
    figures: dict[str, Any] = {"records": records, "write_s": seconds, **opening(workspace, current.folder)}
    embedder = TopicEmbedder()
    with Searcher(workspace, embedder, boosts=BOOSTS) as searcher:
        figures |= keystrokes(searcher, typed)
        figures |= stalls(searcher, typed)
    view = View(current)
    figures |= scan_and_floor(view, embedder.embed(typed, kind="query"), 9 if quick else 25)
    view.close()
    return figures


def summary(figures: dict[str, dict[str, Any]], in_chroma: int, beside: dict[str, float] | None) -> dict[str, Any]:
    """All figures under one level of keys, the size at their end; null where nothing was run."""
    result: dict[str, Any] = {}
    for size in ("10k", "100k"):
        for name in ("p50_ms", "p95_ms", "max_ms", *SHOWN):
            found = figures.get(size, {}).get(name)
            result[f"{name}_{size}"] = round(found, 2) if isinstance(found, float) else found
        chroma_here = beside if beside is not None and in_chroma == {"10k": 10_000, "100k": 100_000}[size] else {}
        for name in ("chroma_p50_ms", "chroma_p95_ms", "chroma_write_s"):
            result[f"{name}_{size}"] = round(chroma_here[name], 2) if name in chroma_here else None
    if beside is None or in_chroma != 100_000:
        result["chroma_p95_ms_100k_reason"] = f"Chroma got {in_chroma} records; for all: --chroma-records 100000"
    if beside is not None:
        result |= {"chroma_records": in_chroma, "chroma_p95_ms": round(beside["chroma_p95_ms"], 2)}
    return result


def as_text(result: dict[str, Any], figures: dict[str, dict[str, Any]]) -> str:
    """The figures as lines for people."""
    lines = []
    for size, found in figures.items():
        lines += [
            f"{size}: keystroke to list p50 {found['p50_ms']:.1f} ms, p95 {found['p95_ms']:.1f} ms, "
            f"max {found['max_ms']:.1f} ms ({found['searches']} searches)",
            f"  by stage, p95: {found['stages_p95_ms']}",
            f"  scan {found['scan_ms']:.1f} ms, floor {found['floor_ms']:.1f} ms by {found['threads']} threads "
            f"({found['floor_gb_per_s']:.1f} GB/s), {found['floor_one_thread_ms']:.1f} ms by one: "
            f"{found['scan_vs_floor']:.2f}×, {found['scan_vs_floor_one_thread']:.2f}×",
            f"  exact best {found['exact_ms']:.1f} ms, {found['exact_vs_floor']:.2f}× of the floor, with "
            f"{found['rescored_rows']:.0f} rows looked up in float32",
            f"  open {found['open_ms']:.1f} ms, the first time {found['open_first_ms']:.0f} ms",
            f"  another thread kept waiting: p99 {found['stall_p99_ms']:.1f} ms, at most {found['stall_ms']:.1f} ms",
        ]
    if "chroma_p95_ms" in result:
        lines.append(f"Chroma's query, {result['chroma_records']} records: p95 {result['chroma_p95_ms']:.1f} ms")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 records only, fewer keystrokes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--chroma-records", type=int, help="records that Chroma gets; default 10000, with --quick 2000")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the indexes here, and use those that are here")
    arguments = parser.parse_args()
    in_chroma = (
        arguments.chroma_records if arguments.chroma_records is not None else 2_000 if arguments.quick else 10_000
    )
    root = arguments.keep or Path(tempfile.mkdtemp(prefix="search-latency-"))
    try:
        sizes = {"10k": 10_000} if arguments.quick else {"10k": 10_000, "100k": 100_000}
        figures = {name: measure(records, root, arguments.quick) for name, records in sizes.items()}
        beside = None
        if in_chroma:
            view = View(Layout(root / str(max(sizes.values()))).current())  # type: ignore[arg-type]
            queries = TopicEmbedder().embed(phrases(texts(2_000), 200), kind="query")
            beside = chroma(root / "chroma", view.matrix[:in_chroma], queries)
            view.close()
    finally:
        if arguments.keep is None:
            shutil.rmtree(root, ignore_errors=True)
    result = summary(figures, in_chroma, beside)
    print(json.dumps(result, indent=2) if arguments.json else as_text(result, figures))


if __name__ == "__main__":
    main()
