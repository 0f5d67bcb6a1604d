"""How fast files travel: Spotter's own stream beside rsync and naive SFTP, in the same run, in turn, medians.

A real OpenSSH server on loopback, reached directly (`loopback_…`) and through a link of 80 ms round trip and
200 Mbit/s (`wan_…`). Every figure starts from nothing: connecting, asking what is there, sending, verifying, renaming;
ours also fsyncs and checks every sha256, which the others do not. All three use the same cipher.
`…_vs_rsync` is our time divided by rsync's: below 1 we are faster. Naive SFTP is paramiko's put and get, one file
after the other; over the link a sample of it is timed and the rest extrapolated from it (`sftp_sample_files`).

Small files measure the disk as much as the way: `TMPDIR=/dev/shm` takes the disk out of it.

Run: `uv run python benchmarks/sync.py [--quick] [--json] [--only loopback|wan] [--skip-sftp]`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server is the tests' own

from remote.cloud import Endpoint
from remote.localcloud.link import DelayProxy
from remote.release import ReleaseFile
from remote.sync.hashes import HashCache
from remote.sync.pull import pull_artifacts
from remote.sync.push import push_blobs, push_release
from remote.transport import Transport, connect
from tests.remote.sshd import Sshd

if TYPE_CHECKING:
    import paramiko

CIPHER = "aes128-gcm@openssh.com"
RTT_MS = 80
MBIT_PER_S = 200
SFTP_SAMPLE_FILES = 40
SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server")


@dataclass(frozen=True)
class Load:
    """What travels: a tree of small files and one large file, and how often each is measured."""

    small_files: int
    small_bytes: int
    large_bytes: int
    runs: dict[str, int]


FULL = Load(5000, 8 * 1024, 512 << 20, {"loopback": 5, "wan": 3})
QUICK = Load(1000, 8 * 1024, 64 << 20, {"loopback": 3, "wan": 1})


@dataclass
class Bench:
    """One server, the material on both sides, and the link that is measured."""

    server: Sshd
    folder: Path
    load: Load
    link: str
    port: int

    @property
    def tree(self) -> Path:
        return self.folder / "material" / "tree"

    @property
    def large(self) -> Path:
        return self.folder / "material" / "large" / "large.bin"

    @property
    def box(self) -> Path:
        """Spotter's root on the box."""
        return self.server.home / "spotter"

    @property
    def landing(self) -> Path:
        """Where pulls go, on the laptop."""
        return self.folder / "pulled"

    @contextlib.contextmanager
    def reach(self) -> Iterator[Transport]:
        endpoint = Endpoint("direct", "127.0.0.1", self.port)
        server = self.server
        pin = server.pin_path.with_name(f"{self.link}-pin")
        with connect([endpoint], user=server.user, key_path=server.key_path, pin_path=pin) as transport:
            yield transport

    # ours

    def our_small_push(self) -> None:
        files = [ReleaseFile(path.name, path) for path in self.tree.iterdir()]
        with self.reach() as transport, HashCache(self.folder / "hashes.db") as hashes:
            push_release(transport, "spotter", files, hashes=hashes)

    def our_large_push(self) -> None:
        with self.reach() as transport, HashCache(self.folder / "hashes.db") as hashes:
            push_blobs(transport, "spotter", lambda: {hashes.sha256_of(self.large): self.large})

    def our_small_pull(self) -> None:
        self._our_pull("small")

    def our_large_pull(self) -> None:
        self._our_pull("large")

    def _our_pull(self, run: str) -> None:
        with self.reach() as transport:
            pulled = pull_artifacts(transport, f"spotter/runs/{run}", self.landing / run)
        assert pulled.missing == ()

    # rsync

    def rsync(self, source: str, target: str) -> None:
        server = self.server
        ssh = [
            *(
                "ssh",
                "-F",
                "none",
                "-p",
                str(self.port),
                "-i",
                str(server.key_path),
                "-c",
                CIPHER,
                "-o",
                "BatchMode=yes",
            ),
            *("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}"),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        ]
        subprocess.run(["rsync", "-a", "-e", " ".join(ssh), source, target], check=True, stderr=subprocess.DEVNULL)

    def remote(self, path: Path) -> str:
        return f"{self.server.user}@127.0.0.1:{path}/"

    def rsync_small_push(self) -> None:
        self.rsync(f"{self.tree}/", self.remote(self.server.home / "rsync" / "tree"))

    def rsync_large_push(self) -> None:
        self.rsync(f"{self.large.parent}/", self.remote(self.server.home / "rsync" / "large"))

    def rsync_small_pull(self) -> None:
        self.rsync(self.remote(self.box / "runs" / "small" / "artifacts"), f"{self.landing}/rsync-small/")

    def rsync_large_pull(self) -> None:
        self.rsync(self.remote(self.box / "runs" / "large" / "artifacts"), f"{self.landing}/rsync-large/")

    # naive SFTP

    def sftp_seconds(self, pull: bool) -> tuple[float, int]:
        """The time for the whole small tree, and of how many files it was extrapolated."""
        import paramiko

        program = next((path for path in SFTP_SERVERS if Path(path).exists()), None)
        if program is None:
            raise SystemExit("benchmarks/sync.py: no sftp-server is installed: apt-get install openssh-sftp-server")
        sample = min(self.load.small_files, SFTP_SAMPLE_FILES if self.link == "wan" else self.load.small_files)
        names = [path.name for path in sorted(self.tree.iterdir())[:sample]]
        away = self.server.home / "sftp"
        here = self.landing / "sftp"
        for folder in (away, here):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        began = time.perf_counter()
        client.connect("127.0.0.1", self.port, username=self.server.user, key_filename=str(self.server.key_path))
        connected = time.perf_counter()
        sftp = self._sftp(client, program)
        for name in names:
            if pull:
                sftp.get(str(self.tree / name), str(here / name))
            else:
                sftp.put(str(self.tree / name), str(away / name))
        ended = time.perf_counter()
        client.close()
        return (connected - began) + (ended - connected) * self.load.small_files / sample, sample

    @staticmethod
    def _sftp(client: paramiko.SSHClient, program: str) -> paramiko.SFTPClient:
        import paramiko

        wire = client.get_transport()
        assert wire is not None
        channel = wire.open_session()
        channel.exec_command(program)
        return paramiko.SFTPClient(channel)

    # before each measurement

    def forget_small_push(self) -> None:
        self._away(self.box / "releases", self.server.home / "rsync" / "tree")
        (self.server.home / "rsync" / "tree").mkdir(parents=True)

    def forget_large_push(self) -> None:
        for folder in (self.box / "blobs", self.server.home / "rsync" / "large"):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / "hashes.db").unlink(missing_ok=True)
        (self.server.home / "rsync" / "large").mkdir(parents=True)

    def forget_small_pull(self) -> None:
        self._away(self.landing)
        self.landing.mkdir()

    def forget_large_pull(self) -> None:
        shutil.rmtree(self.landing, ignore_errors=True)
        self.landing.mkdir()

    def _away(self, *folders: Path) -> None:
        """Out of the way, not deleted: for seconds after many deletions ext4 makes new files ten times slower."""
        (self.folder / "hashes.db").unlink(missing_ok=True)
        for folder in folders:
            if folder.exists():
                trash = self.folder / "trash"
                trash.mkdir(exist_ok=True)
                folder.rename(trash / str(time.monotonic_ns()))

    def keep(self) -> None:
        """Leave everything where it is: the next measurement has nothing to do."""


def measure(
    bench: Bench, name: str, forget: Callable[[], None], ours: Callable[[], None], theirs: Callable[[], None]
) -> dict[str, float]:
    """Both in turn, who goes first changing from run to run; medians."""
    times: dict[str, list[float]] = {"ours": [], "rsync": []}
    for number in range(bench.load.runs[bench.link]):
        forget()
        turn = [("ours", ours), ("rsync", theirs)]
        for who, act in turn if number % 2 == 0 else turn[::-1]:
            began = time.perf_counter()
            act()
            times[who].append(time.perf_counter() - began)
    mine, rsyncs = (statistics.median(times[who]) for who in ("ours", "rsync"))
    print(
        f"{bench.link:9} {name:11} ours {mine:7.2f} s   rsync {rsyncs:7.2f} s   {mine / rsyncs:5.2f}×", file=sys.stderr
    )
    return {f"{name}_s": mine, f"rsync_{name}_s": rsyncs, f"{name}_vs_rsync": mine / rsyncs}


def measure_link(bench: Bench, *, sftp: bool) -> dict[str, float]:
    """Everything over one link."""
    found: dict[str, float] = {}
    plan = [
        ("small_push", bench.forget_small_push, bench.our_small_push, bench.rsync_small_push),
        ("noop", bench.keep, bench.our_small_push, bench.rsync_small_push),
        ("small_pull", bench.forget_small_pull, bench.our_small_pull, bench.rsync_small_pull),
        ("noop_pull", bench.keep, bench.our_small_pull, bench.rsync_small_pull),
        ("large_push", bench.forget_large_push, bench.our_large_push, bench.rsync_large_push),
        ("large_pull", bench.forget_large_pull, bench.our_large_pull, bench.rsync_large_pull),
    ]
    for name, forget, ours, theirs in plan:
        found |= measure(bench, name, forget, ours, theirs)
    if sftp:
        for name, pull in (("small_push", False), ("small_pull", True)):
            seconds, sample = bench.sftp_seconds(pull)
            found |= {f"sftp_{name}_s": seconds, f"{name}_vs_naive_sftp": seconds / found[f"{name}_s"]}
            said = "" if sample == bench.load.small_files else f" (extrapolated from {sample} files)"
            print(f"{bench.link:9} {name:11} naive SFTP {seconds:7.1f} s{said}", file=sys.stderr)
        found["sftp_sample_files"] = sample
    return {f"{bench.link}_{key}": round(value, 3) for key, value in found.items()}


def make_material(bench: Bench) -> None:
    """The same bytes as a tree to push and as two runs on the box to pull."""
    bench.tree.mkdir(parents=True)
    bench.large.parent.mkdir(parents=True)
    for number in range(bench.load.small_files):
        (bench.tree / f"file-{number:05}.bin").write_bytes(os.urandom(bench.load.small_bytes))
    with bench.large.open("wb") as file:
        for _ in range(bench.load.large_bytes >> 20):
            file.write(os.urandom(1 << 20))
    for name, source in (("small", bench.tree), ("large", bench.large.parent)):
        run = bench.box / "runs" / name
        shutil.copytree(source, run / "artifacts")
        with (run / "artifacts.jsonl").open("w") as listing:
            for path in sorted((run / "artifacts").iterdir()):
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                row = {"path": f"artifacts/{path.name}", "sha256": digest, "bytes": path.stat().st_size}
                listing.write(json.dumps(row) + "\n")
    os.sync()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller files, fewer runs")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--only", choices=("loopback", "wan"))
    parser.add_argument("--skip-sftp", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends with us
    load = QUICK if arguments.quick else FULL
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spotter-bench-sync-") as name:
        folder = Path(name)
        server = Sshd(folder / "box").start()
        try:
            bench = Bench(server, folder, load, "loopback", server.port)
            make_material(bench)
            if arguments.only != "wan":
                figures |= measure_link(bench, sftp=not arguments.skip_sftp)
            if arguments.only != "loopback":
                target = ("127.0.0.1", server.port)
                with DelayProxy(target, rtt_ms=RTT_MS, mbit_per_s=MBIT_PER_S, process=True) as line:
                    bench = Bench(server, folder, load, "wan", line.port)
                    figures |= measure_link(bench, sftp=not arguments.skip_sftp)
        finally:
            server.stop()
    figures |= {"small_files": load.small_files, "large_mib": load.large_bytes >> 20}
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
