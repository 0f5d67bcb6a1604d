"""Twenty `kill -9` of a real ingest at random moments: whatever was acknowledged is there, and a second writer waits.

One helper process loads everything and forks the ingests, so that twenty of them cost seconds. It kills each at a
random one of its writes (to the vector file, the snapshot, Chroma), a random moment after that write began.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

from index import vectors
from index.doctor import doctor
from index.layout import Layout
from index.reuse import sound
from tests.index.index_world import RUN_1, in_chroma, ingest_runs, record, write_run

KILLS = 20
A_ROUND = 30
HELPER = """
import json, os, random, signal, sys, time
from pathlib import Path
import chromadb
from index import chroma, ingest, snapshot, store, vectors
from index.embed import OFFLINE, embedder
from index.errors import IndexLocked

workspace, kills, a_round, folder = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
ingest.BATCH = store.MAX_BATCH = 10
draw = random.Random(int(sys.argv[5]))

def ingest_and_tell(out):
    def telling(owner, name, said):
        real = getattr(owner, name)
        def told(*args, **kwargs):
            os.write(out, b"begin\\n")
            result = real(*args, **kwargs)
            if said:
                os.write(out, b"ack %d\\n" % len(args[1]))
            return result
        setattr(owner, name, told)
    telling(vectors, "append", False)
    telling(store.Store, "put", True)
    telling(chroma.Mirror, "upsert", False)
    telling(snapshot.Snapshot, "mirrored", False)
    ingest.ingest([folder], workspace, embedder(OFFLINE))

def second_writer(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        ingest.ingest([folder], workspace, embedder(OFFLINE))
    except IndexLocked as error:
        print(json.dumps({"pid": error.pid, "expected": pid, "host": error.host, "said": str(error)}))
    os.kill(pid, signal.SIGCONT)

killed = acknowledged = 0
lines = [line for line in (folder / "all").read_bytes().splitlines(keepends=True)]
while killed < kills:
    upto = (killed + 1) * a_round
    (folder / "records" / "docparse.ndjson").write_bytes(b"".join(lines[:upto]))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            ingest_and_tell(writing)
        finally:
            os._exit(0)
    os.close(writing)
    die_at, events, taken = draw.randint(1, 12), 0, 0
    with os.fdopen(reading, "rb") as told:
        for line in told:
            if line.startswith(b"ack"):
                taken += int(line.split()[1])
            else:
                events += 1
            if events == die_at and line == b"begin\\n":
                if killed == 0:
                    second_writer(pid)
                time.sleep(draw.random() * 0.004)
                os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    acknowledged += taken
    print(json.dumps({"killed": os.WIFSIGNALED(status), "acknowledged": acknowledged}), flush=True)
    sys.stdin.readline()
    killed += os.WIFSIGNALED(status)
"""


def held(workspace):
    """Id to text of what the snapshot holds; every vector must be the one that was written."""
    current = Layout(workspace).current()
    if current is None or not (current.folder / "snapshot.sqlite").exists():
        return {}
    db = sqlite3.connect(current.folder / "snapshot.sqlite")
    try:
        rows = db.execute("SELECT row, id, text, vector_crc FROM record").fetchall()
        (count,) = db.execute("SELECT value FROM meta WHERE key = 'vector_rows'").fetchone()
        matrix = vectors.mapped(current.folder / vectors.FILE_NAME, int(count), current.space.dim)
        assert all(sound(matrix[row], crc) for row, _, _, crc in rows)
        return {record_id: text for _, record_id, text, _ in rows}
    finally:
        db.close()


def test_twenty_kills_lose_nothing_that_was_acknowledged(tmp_path):
    written = {f"r{at:04}": f"Запись {at} about layer{at}" for at in range(KILLS * A_ROUND)}
    folder = write_run(tmp_path, RUN_1, [])
    (folder / "all").write_bytes(b"".join(record(i, text).to_line() for i, text in written.items()))
    command = [sys.executable, "-c", HELPER, tmp_path, KILLS, A_ROUND, folder, 5]
    refused, kills, acknowledged = None, 0, 0
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        for line in helper.stdout:
            said = json.loads(line)
            if "expected" in said:
                refused = said
                continue
            kills += said["killed"]
            acknowledged = said["acknowledged"]
            there = held(tmp_path)
            assert len(there) >= acknowledged
            assert there.items() <= written.items()
            helper.stdin.write("\n")
            helper.stdin.flush()
    assert (helper.returncode, kills) == (0, KILLS)
    assert acknowledged > KILLS
    assert refused is not None
    assert refused["pid"] == refused["expected"]
    assert f"process {refused['pid']} on {refused['host']} (ingest of 1 run(s))" in refused["said"]
    (folder / "records" / "docparse.ndjson").write_bytes((folder / "all").read_bytes())
    result = ingest_runs(tmp_path)
    assert result.added + result.unchanged == len(written)
    assert {record_id: row[0] for record_id, row in in_chroma(tmp_path).items()} == written
    report = doctor(tmp_path)
    assert report.ok, report
