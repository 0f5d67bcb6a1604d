"""Eight boxes for an hour of virtual time, a bit of every misfortune by chance: nothing lost, nothing leaked."""

from __future__ import annotations

import gc
import threading
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal
from urllib.error import HTTPError

import psutil
import pytest

from remote.cloud import CloudError, OfferQuery
from remote.jobs import Agent, AgentError, JobSpec
from remote.localcloud.daemon import address
from remote.money import A_CENT_USD
from remote.progress import Progress
from remote.provision import NotDestroyed, ProvisionError, RentRequest
from remote.states import Limits, State
from remote.transport import Transport, TransportError, connect
from tests.remote.cloud_fixtures import living, until
from tests.remote.stepped import Bench, stepped_market

SEED = 20261121
SPEED = 60.0
HOUR_S = 3600.0
BOXES = 8
LINES = 200
LAST_BEGIN_S = 1200.0
FAULT_EVERY_S = 90.0
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop_connections"},
    {"kind": "freeze", "for_s": 240},
    {"kind": "offline", "for_s": 200},
    {"kind": "offline", "for_s": 1200},
    {"kind": "reboot", "for_s": 60},
    {"kind": "exit"},
    {"kind": "outbid"},
)
"""What befalls a box of the eight, drawn by chance, beside what the scenario does to creates and calls."""
REQUEST = RentRequest(OfferQuery(disk_gb=20), "pytorch/pytorch:test", image_gb=1)
LIMITS = Limits(
    connect_s=3, allocated_s=1800, pulling_least_s=1800, refused_s=1800, silent_s=240, rebooted_s=900, authed_s=900,
    verified_s=30, destroying_s=1800, unanswered_s=900, poll_s=15, rentals_usd=5.0,
)  # fmt: skip
"""What takes real time here (boxes that start, SSH) takes sixty times as much of the marketplace's."""
GIVEN_UP_S = 3000.0
"""A job that gets no further for this long, on a box that its cloud calls well, is a mistake of ours."""
PROGRAM = """
cd "$HOME/spotter"; i=$(cat lines 2>/dev/null | wc -l)
while [ "$i" -lt {lines} ]; do i=$((i+1)); echo "{name} line $i" >> lines; [ $((i % 5)) -gt 0 ] || sleep 0.25; done
"""
"""Goes on where an earlier attempt was ended."""
TOLERATED_FDS, TOLERATED_THREADS = 6, 2
TOLERATED_GROWTH_BYTES = 96 * 1024**2
ROUGHLY = 0.35
"""How far what was counted at this speed may be off before it is settled: a second is a minute of somebody's bill."""

Outcome = Literal["complete", "lost"]


@dataclass
class Soak:
    """What eight consoles did."""

    bench: Bench
    ends_at: float
    outcomes: list[tuple[str, int, Outcome, bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)
    most_boxes: int = 0

    @property
    def over(self) -> bool:
        return self.bench.clock.time() >= self.ends_at

    @property
    def too_late_to_begin(self) -> bool:
        """Whether a job that began now would outlast the hour."""
        return self.bench.clock.time() >= self.ends_at - LAST_BEGIN_S

    def hear(self, progress: Progress) -> None:
        self.heard[progress.phase] += 1


@pytest.mark.slow
def test_eight_boxes_for_an_hour_of_misfortunes_lose_nothing_and_leak_nothing(tmp_path: Path) -> None:
    with stepped_market(tmp_path, speed=SPEED, stepping=False) as bench:
        warm_up(bench)
        where = address(bench.directory)
        assert where is not None
        here, daemon = psutil.Process(), psutil.Process(where.pid)
        before = (here.num_fds(), threading.active_count(), daemon.num_fds())
        bench.scenario("soak", SEED)
        soak = Soak(bench, bench.clock.time() + HOUR_S)
        consoles = [threading.Thread(target=console, args=(soak, number), name=f"box {number}") for number in range(8)]
        for each in consoles:
            each.start()
        grown = watch(soak, here)
        for each in consoles:
            each.join()
        bench.control("DELETE", "scenario")
        provisioner = bench.provisioner(LIMITS)
        for row in bench.ledger.instances(alive_only=True, cloud="local"):
            provisioner.destroy(row.instance_id)
        counted = sum(
            each.usd(bench.clock.time())
            for row in bench.ledger.instances(cloud="local")
            for each in bench.ledger.meters("local", row.instance_id)
        )
        bench.clock.sleep(LIMITS.reconciling_s + 1)
        provisioner.reconcile()
        print(f"{Counter(outcome for _job, _box, outcome, _lines in soak.outcomes)}, most boxes {soak.most_boxes}")
        print(f"{len(bench.ledger.instances())} rentals, {dict(soak.heard)}")

        assert soak.problems == []
        assert bench.alive == bench.known == set()
        assert bench.ledger.intents(unsettled_only=True) == []
        bench.assert_settled(tolerated_usd=SPEED * A_CENT_USD)
        charged = sum(sum(kinds.values()) for kinds in bench.charged().values())
        assert counted == pytest.approx(charged, rel=ROUGHLY)
        assert_no_line_is_lost(soak)
        assert len(soak.outcomes) >= BOXES
        assert {outcome for _job, _box, outcome, _lines in soak.outcomes} == {"complete", "lost"}
        until(lambda: len(living(bench.directory)) == 1, "of the marketplace only its daemon is left")
        assert_nothing_leaked(before, here, daemon)
        assert grown < TOLERATED_GROWTH_BYTES


def warm_up(bench: Bench) -> None:
    """Once through everything, so that what is imported and opened once is not taken for a leak."""
    soak = Soak(bench, 0.0)
    one_job(soak, "warm-up", lines=10)
    assert soak.problems == []
    assert [outcome for _job, _box, outcome, _lines in soak.outcomes] == ["complete"]


def watch(soak: Soak, here: psutil.Process) -> int:
    """Follow the boxes as an open console does, and let faults befall them.

    Returns by how many bytes this process grew after its first third.
    """
    provisioner = soak.bench.provisioner(LIMITS)
    draw = Random(SEED)
    began = struck_at = soak.bench.clock.time()
    settled_bytes = 0
    while not soak.over:
        if soak.bench.clock.time() - struck_at > FAULT_EVERY_S:
            struck_at = soak.bench.clock.time()
            strike(soak, draw)
        try:
            listed = provisioner.look_after(soak.hear)
            soak.most_boxes = max(soak.most_boxes, len(listed))
        except CloudError as error:
            soak.heard[type(error).__name__] += 1
        if not settled_bytes and soak.bench.clock.time() - began > HOUR_S / 3:
            settled_bytes = here.memory_info().rss
        soak.bench.clock.sleep(30)
    return here.memory_info().rss - settled_bytes


def strike(soak: Soak, draw: Random) -> None:
    """One fault for one box that is in use, if there is one."""
    rows = soak.bench.ledger.instances(alive_only=True, cloud="local")
    in_use = [row.instance_id for row in rows if row.state == State.VERIFIED]
    fault = draw.choice(FAULTS)
    if in_use:
        try:
            soak.bench.control("POST", "fault", {**fault, "instance": draw.choice(in_use)})
        except HTTPError as error:
            if error.code != 404:  # destroyed a moment ago
                raise
        else:
            soak.heard[f"struck by {fault['kind']}"] += 1


def console(soak: Soak, number: int) -> None:
    """Rent, work, destroy, again and again."""
    turn = 0
    while not soak.too_late_to_begin:
        turn += 1
        try:
            one_job(soak, f"job-{number}-{turn}")
        except (ProvisionError, CloudError) as error:
            soak.heard[type(error).__name__] += 1
            if isinstance(error, NotDestroyed):
                soak.problems.append(str(error))
            soak.bench.clock.sleep(60)
        except BaseException:
            soak.problems.append(traceback.format_exc())
            return


def one_job(soak: Soak, name: str, *, lines: int = LINES) -> None:
    provisioner = soak.bench.provisioner(LIMITS)
    rental = provisioner.provision(REQUEST, soak.hear)
    box = rental.instance.id
    try:
        outcome, fetched = work(soak, name, box, lines)
        soak.outcomes.append((name, box, outcome, fetched))
    finally:
        destroy(soak, box)


def destroy(soak: Soak, box: int) -> None:
    for _ in range(20):
        try:
            soak.bench.provisioner(LIMITS).destroy(box, soak.hear)
        except CloudError as error:
            soak.heard[type(error).__name__] += 1
            soak.bench.clock.sleep(60)
        else:
            return
    soak.problems.append(f"instance {box} could not be destroyed")


def work(soak: Soak, name: str, box: int, lines: int) -> tuple[Outcome, bytes]:
    """Run the job to its end and fetch its lines, over cuts, reboots and absences; or see that the box is lost."""
    bench, copy, attempt = soak.bench, b"", 0
    agent: Agent | None = None
    moved_at = bench.clock.time()

    def reach() -> Transport:
        instance = bench.cloud.instance(box)
        endpoints = instance.endpoints if instance is not None else ()
        pin = bench.base / "pins" / str(box)
        return connect(
            endpoints, user="root", key_path=bench.key.private_path, pin_path=pin, timeout_s=LIMITS.connect_s
        )

    try:
        while True:
            try:
                if agent is None:
                    agent = Agent.start(reach(), "spotter", reconnect=reach)
                program = PROGRAM.format(name=name, lines=lines)
                status = agent.launch(JobSpec(f"{name}-{attempt}", ("sh", "-c", program)), timeout_s=10)
                piece = agent.follow("lines", len(copy), wait_s=0.5, timeout_s=10)
                copy += piece
                if piece:
                    moved_at = bench.clock.time()
                elif status.ended and status.exit_code == 0:
                    return "complete", copy
                elif status.ended:
                    attempt += 1
            except (TransportError, AgentError, CloudError) as error:
                soak.heard[type(error).__name__] += 1
                bench.clock.sleep(20)
            row = bench.ledger.instance("local", box)
            assert row is not None
            if row.state in (State.LOST, State.STOPPED, State.GONE):
                return "lost", copy
            if bench.clock.time() - moved_at > GIVEN_UP_S:
                raise AssertionError(
                    f"{name} stands still at {len(copy.splitlines())} lines on a box that is {row.state}"
                )
    finally:
        if agent is not None:
            transport = agent.transport
            agent.close()
            transport.close()


def assert_no_line_is_lost(soak: Soak) -> None:
    """Every job's lines are here, once and in order; or its box's loss is on the ledger, and what came is a start."""
    for name, box, outcome, lines in soak.outcomes:
        wanted = "".join(f"{name} line {number}\n" for number in range(1, LINES + 1)).encode()
        if outcome == "complete":
            assert lines == wanted
        else:
            assert wanted.startswith(lines)
            states = {row.state for row in soak.bench.ledger.history("local", box)}
            assert states & {"lost", "stopped", "gone"}


def assert_nothing_leaked(before: tuple[int, int, int], here: psutil.Process, daemon: psutil.Process) -> None:
    def flat() -> bool:
        gc.collect()
        fds, threads, daemon_fds = here.num_fds(), threading.active_count(), daemon.num_fds()
        return (
            fds <= before[0] + TOLERATED_FDS
            and threads <= before[1] + TOLERATED_THREADS
            and daemon_fds <= before[2] + TOLERATED_FDS
        )

    until(flat, f"descriptors and threads are what they were before: {before}", timeout_s=20)
