"""A busy log followed over a bad line: what is lost, what is doubled, what it costs, how late it comes.

A job on a real OpenSSH server prints 10,000 lines a second, each with its number and the moment at which it was
printed. It is followed through the agent, as every run's log is, while the session's sshd is killed three times. Beside
it, in the same run and over the same cuts, the naive way: `tail -f` over a plain paramiko channel, opened again after
each cut. Both clients are processes of their own, so that their CPU can be told apart; `cpu_percent` is process CPU
time ÷ wall time. Latency is from the print to the line in the client's hand, with the reconnects in `p99_ms` as they
are, and without the lines that waited for one in `p99_calm_ms`. What `tail -f` lost has no latency, so that its figures
leave out just the late lines.

Run: `uv run python benchmarks/logs.py [--quick] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server is the tests' own

from remote.cloud import Endpoint
from remote.jobs import Agent, JobSpec
from remote.transport import Transport, connect
from tests.remote.sshd import Sshd

LINES_PER_S = 10_000
CUTS = 3
JOB = "talker"
CALM_S = 1.0
"""Lines that were printed less than this before a cut was noticed, or until the client was back, waited for it."""
PATIENCE_S = 60.0

TALKER = """
import sys, time
per_s, seconds = int(sys.argv[1]), float(sys.argv[2])
began, number, out = time.time(), 0, sys.stdout
total = int(per_s * seconds)
while number < total:
    due = min(total, int((time.time() - began) * per_s))
    while number < due:
        print(number, f"{time.time():.6f}", "item page-0001 detect 12 regions")
        number += 1
    out.flush()
    time.sleep(0.001)
print("end", flush=True)
"""


@dataclass(frozen=True)
class Seen:
    """What one client saw of the log."""

    lost: int
    doubled: int
    cpu_percent: float
    p50_ms: float
    p99_ms: float
    p99_calm_ms: float
    requests: int
    cuts: int


class Tally:
    """Counts lines by number, and how late each came."""

    def __init__(self, total: int) -> None:
        self._times = bytearray(total)
        self._late: list[tuple[float, float]] = []
        self._rest = b""
        self.ended = False

    def take(self, data: bytes) -> None:
        """Bytes of the log, as they came just now."""
        now = time.time()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line == b"end":
                self.ended = True
                continue
            words = line.split(b" ", 2)
            if len(words) == 3 and words[0].isdigit() and int(words[0]) < len(self._times):
                number = int(words[0])
                self._times[number] = min(255, self._times[number] + 1)
                printed = float(words[1])
                self._late.append((printed, now - printed))

    def seen(self, cpu_percent: float, requests: int, cuts: list[float]) -> Seen:
        """The figures. `cuts` are the moments at which a broken line was noticed."""
        late = sorted(each for _printed, each in self._late)
        calm = sorted(each for printed, each in self._late if not any(abs(printed - cut) < CALM_S for cut in cuts))
        return Seen(
            lost=self._times.count(0),
            doubled=sum(each - 1 for each in self._times if each > 1),
            cpu_percent=round(cpu_percent, 2),
            p50_ms=_percentile_ms(late, 0.5),
            p99_ms=_percentile_ms(late, 0.99),
            p99_calm_ms=_percentile_ms(calm, 0.99),
            requests=requests,
            cuts=len(cuts),
        )


def _percentile_ms(ordered: list[float], share: float) -> float:
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else float("nan")


@dataclass(frozen=True)
class Box:
    """Where the server is, and how to get in."""

    port: int
    user: str
    key: Path
    pin: Path

    def reach(self) -> Transport:
        """A new connection of ours."""
        endpoint = Endpoint("direct", "127.0.0.1", self.port)
        return connect([endpoint], user=self.user, key_path=self.key, pin_path=self.pin)


def follow_with_agent(box: Box, tally: Tally) -> tuple[int, list[float]]:
    """As `spotter run` does it: the offset to ask for is what is here."""
    offset, requests, cuts = 0, 0, []
    transport = box.reach()

    def again() -> Transport:
        cuts.append(time.time())
        return box.reach()

    with transport, Agent.start(transport, "spotter", reconnect=again) as agent:
        deadline = time.monotonic() + PATIENCE_S
        print("ready", flush=True)
        while not tally.ended and time.monotonic() < deadline:
            data = agent.follow(f"jobs/{JOB}/log", offset, wait_s=0.5)
            requests += 1
            if data:
                offset += len(data)
                tally.take(data)
                deadline = time.monotonic() + PATIENCE_S
        agent.transport.close()
    return requests, cuts


def follow_with_tail(box: Box, tally: Tally) -> tuple[int, list[float]]:
    """A plain paramiko client that runs `tail -f` from the beginning, and after a cut from where the file is then."""
    import paramiko

    cuts: list[float] = []
    pieces = 0
    command = f"tail -n +1 -f spotter/jobs/{JOB}/log"
    while not tally.ended:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            client.connect("127.0.0.1", box.port, username=box.user, key_filename=str(box.key), timeout=10)
            channel = client.get_transport().open_session()  # type: ignore[union-attr]
            channel.settimeout(PATIENCE_S)
            channel.exec_command(command)
            if not pieces:
                print("ready", flush=True)
            while not tally.ended:
                data = channel.recv(1 << 20)
                if not data:
                    break
                pieces += 1
                tally.take(data)
        except (paramiko.SSHException, OSError, EOFError):
            time.sleep(0.05)
        finally:
            client.close()
        if not tally.ended:
            cuts.append(time.time())
            command = f"tail -n 0 -f spotter/jobs/{JOB}/log"
    return pieces, cuts


CLIENTS: dict[str, Callable[[Box, Tally], tuple[int, list[float]]]] = {
    "agent": follow_with_agent,
    "tail": follow_with_tail,
}


def client(which: str, total: int, box: Box) -> None:
    """One client process: prints `ready`, then its figures as JSON."""
    tally = Tally(total)
    began, cpu_began = time.monotonic(), time.process_time()
    requests, cuts = CLIENTS[which](box, tally)
    cpu_percent = 100 * (time.process_time() - cpu_began) / (time.monotonic() - began)
    print(json.dumps(asdict(tally.seen(cpu_percent, requests, cuts))), flush=True)


def measure(seconds: float) -> dict[str, Seen]:
    """Both clients on one job, over the same cuts."""
    total = int(LINES_PER_S * seconds)
    with tempfile.TemporaryDirectory() as folder:
        server = Sshd(Path(folder) / "box").start()
        try:
            with server.connect() as transport, Agent.start(transport, "spotter") as agent:
                spec = JobSpec(JOB, ("python3", "-c", f"{WAIT}{TALKER}", str(LINES_PER_S), str(seconds)))
                agent.launch(spec)
                clients = {which: _start(which, total, server) for which in CLIENTS}
            for each in clients.values():
                assert each.stdout is not None
                assert each.stdout.readline() == "ready\n"
            (server.home / "spotter" / "go").touch()
            for _cut in range(CUTS):
                time.sleep(seconds / (CUTS + 1))
                server.cut()
            found = {}
            for which, each in clients.items():
                out, _ = each.communicate(timeout=seconds + 2 * PATIENCE_S)
                found[which] = Seen(**json.loads(out.splitlines()[-1]))
            return found
        finally:
            server.stop()
            _end_everything(server)


WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"


def _start(which: str, total: int, server: Sshd) -> subprocess.Popen[str]:
    where = [str(server.port), server.user, str(server.key_path), str(server.pin_path)]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--client", which, str(total), *where],
        stdout=subprocess.PIPE,
        text=True,
    )


def _end_everything(server: Sshd) -> None:
    deadline = time.monotonic() + 20
    while server.leftovers() and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in server.leftovers():
        process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 s instead of 30")
    parser.add_argument("--json", action="store_true", help="only the last line, which is JSON always")
    arguments = parser.parse_args()
    seconds = 5.0 if arguments.quick else 30.0
    found = measure(seconds)
    ours, naive = found["agent"], found["tail"]
    figures = {
        **asdict(ours),
        **{f"tail_{name}": value for name, value in asdict(naive).items()},
        "cpu_vs_tail": _ratio(ours.cpu_percent, naive.cpu_percent),
        "p99_vs_tail": _ratio(ours.p99_calm_ms, naive.p99_calm_ms),
        "lines": int(LINES_PER_S * seconds),
        "seconds": seconds,
    }
    if not arguments.json:
        print(f"{figures['lines']} lines at {LINES_PER_S} a second, {CUTS} cuts        agent    tail -f")
        for name in asdict(ours):
            print(f"{name:>50} {getattr(ours, name):>10} {getattr(naive, name):>10}")
        print(f"agent ÷ tail -f: CPU {figures['cpu_vs_tail']}, calm p99 {figures['p99_vs_tail']}")
    print(json.dumps(figures))


def _ratio(one: float, other: float) -> float | None:
    return round(one / other, 2) if other else None


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        which, total, port, user, key, pin = sys.argv[2:]
        client(which, int(total), Box(int(port), user, Path(key), Path(pin)))
    else:
        main()
