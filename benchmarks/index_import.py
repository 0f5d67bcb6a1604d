"""How much memory and time an NDJSON import takes, and the mirroring to Chroma apart from it, at two sizes.

    python benchmarks/index_import.py                  # 20,000 and 100,000 records x 3,072; minutes, and 6 GB of disk
    python benchmarks/index_import.py --quick          # 2,000 and 10,000 records x 256
    python benchmarks/index_import.py --no-mirror      # the import alone

Each step is a process of its own whose peak memory the kernel tells at its end (`ru_maxrss`), so that no step hides in
another: the import into the ranking snapshot, the same import again (unchanged: nothing is embedded or written), and
the mirroring to Chroma, whose graph lives in memory. The folder for all this is that of TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

GENERATE = """
import base64, sys
import numpy as np
import orjson
path, first, records, dim = sys.argv[1], 0, int(sys.argv[2]), int(sys.argv[3])
draw = np.random.default_rng(1)
words = [f"word{at}" for at in range(5000)]
with open(path, "wb") as out:
    for at in range(records):
        vector = draw.standard_normal(dim, dtype=np.float32)
        vector /= np.linalg.norm(vector)
        line = {
            "id": f"record-{at:08}", "text": " ".join(words[i] for i in draw.integers(0, 5000, 40)),
            "vector_b64": base64.b64encode(vector.tobytes()).decode(), "dim": dim, "dtype": "float32",
            "meta": {"type": "NarrativeText", "source_file": f"data/{at // 200}.pdf", "page": at % 200 + 1},
            "provider": "bench", "model": "random",
        }
        out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
"""
IMPORT = """
import sys
from pathlib import Path
from index.transfer import import_file
result = import_file(Path(sys.argv[1]), Path(sys.argv[2]), mirror=False)
print(result.added, result.unchanged, result.embedded)
"""
GENERATE_RUN = """
import sys
from pathlib import Path
import orjson
folder = Path(sys.argv[1]) / "out" / "runs" / "01k9z0000000000000000000a1" / "records"
folder.mkdir(parents=True)
with (folder / "docparse.ndjson").open("wb") as out:
    for at in range(int(sys.argv[2])):
        meta = {"type": "VisualFact", "source_file": f"data/{at // 200}.pdf", "page": at % 200 + 1, "tags": ["A", "B"]}
        text = f"block {at} of the diagram shows layer {at % 77} and word{at % 5000}"
        line = {"id": f"r{at}", "text": text, "meta": meta}
        out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
"""
INGEST = """
import sys
from pathlib import Path
from index.embed import OFFLINE, embedder
from index.ingest import ingest
workspace = Path(sys.argv[1])
result = ingest([workspace / "out" / "runs"], workspace, embedder(OFFLINE), mirror=False)
print(result.added, result.unchanged, result.embedded)
"""


@dataclass(frozen=True)
class Step:
    """One process at its end."""

    records: int
    seconds: float
    peak_rss_mb: float
    said: str


def measured(records: int, *command: object) -> Step:
    """Run a process from the repository's root and read what it took. Raises CalledProcessError."""
    began = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Step(records, time.perf_counter() - began, usage.ru_maxrss / 1024, said)


def at_size(folder: Path, records: int, dim: int, *, mirror: bool) -> dict[str, Step]:
    """All steps at one size, in a workspace of their own, which is deleted again."""
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        file = Path(workspace) / "records.ndjson"
        measured(records, sys.executable, "-c", GENERATE, file, records, dim)
        commands: dict[str, tuple[object, ...]] = {
            "import": ("-c", IMPORT, file, workspace),
            "import_unchanged": ("-c", IMPORT, file, workspace),
            "mirror": ("-m", "index", "mirror", "--workspace", workspace),
        }
        steps = {}
        for name, command in commands.items():
            if name == "mirror":
                file.unlink()
                if not mirror:
                    break
            steps[name] = measured(records, sys.executable, *command)
            print(f"{name}, {records:,} records: {steps[name].peak_rss_mb:.0f} MB", file=sys.stderr)
        return steps


def unchanged_run(folder: Path, records: int) -> float:
    """Seconds per 10,000 records of a run that the index holds already."""
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        measured(records, sys.executable, "-c", GENERATE_RUN, workspace, records)
        measured(records, sys.executable, "-c", INGEST, workspace)
        again = measured(records, sys.executable, "-c", INGEST, workspace)
        if again.said != f"0 {records} 0":
            raise RuntimeError(f"something was written or embedded: {again.said}")
        return again.seconds * 10_000 / records


def main() -> int:
    """Measure both sizes and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=100_000, help="the greater size; the other is a fifth")
    parser.add_argument("--dim", type=int, default=3072)
    parser.add_argument("--quick", action="store_true", help="10,000 records x 256")
    parser.add_argument("--no-mirror", action="store_true", help="leave Chroma out")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    records, dim = (10_000, 256) if arguments.quick else (arguments.records, arguments.dim)
    folder = Path(tempfile.gettempdir())
    sizes = [
        (size, at_size(folder, size, dim, mirror=not arguments.no_mirror)) for size in (max(1, records // 5), records)
    ]
    unchanged_s = unchanged_run(folder, 10_000)
    small, great = sizes[0][1], sizes[1][1]
    figures = {
        "dim": dim,
        "steps": [{"step": name, **asdict(step)} for _, steps in sizes for name, step in steps.items()],
        "import_rss_mb_small": small["import"].peak_rss_mb,
        "import_rss_mb_great": great["import"].peak_rss_mb,
        "import_rss_growth_mb": great["import"].peak_rss_mb - small["import"].peak_rss_mb,
        "unchanged_s_per_10k": unchanged_s,
    }
    if arguments.json:
        print(json.dumps(figures))
        return 0
    print(f"{'step':18} {'records':>9} {'seconds':>9} {'records/s':>10} {'peak RSS MB':>12}")
    for _, steps in sizes:
        for name, step in steps.items():
            rate = step.records / step.seconds
            print(f"{name:18} {step.records:9,} {step.seconds:9.1f} {rate:10,.0f} {step.peak_rss_mb:12.0f}")
    print(f"vectors of {dim} numbers; a run of 10,000 unchanged records without vectors: {unchanged_s:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
