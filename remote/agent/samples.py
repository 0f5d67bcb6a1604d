"""How busy the box is now: CPU, memory, disk, network and GPUs; and rings of such samples in files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RING_BYTES = 4 * 1024 * 1024
GPU_FIELDS = ("index", "name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw")


class Sampler:
    """Takes samples; CPU use is the share since the sample before, so the first one has none."""

    def __init__(self, folder: Path, gpus: Callable[[], list[dict[str, Any]]] | None = None) -> None:
        """`folder` is on the disk that is measured; `gpus` tells the GPUs, by asking nvidia-smi once if left out."""
        self._folder = folder
        self._cpu_before = _cpu_times()
        self._gpus = gpus or gpus_now

    def sample(self) -> dict[str, Any]:
        """One sample; what the system does not tell is None."""
        now = _cpu_times()
        before, self._cpu_before = self._cpu_before, now
        disk = shutil.disk_usage(self._folder)
        memory = _memory_bytes()
        net = _net_bytes()
        return {
            "ts": time.time(),
            "cpu_count": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "cpu_percent": _cpu_percent(before, now),
            "load_1m": os.getloadavg()[0],
            "ram_used_mb": memory and memory[0] >> 20,
            "ram_total_mb": memory and memory[1] >> 20,
            "disk_used_gb": round(disk.used / 1e9, 2),
            "disk_total_gb": round(disk.total / 1e9, 2),
            "net_in_bytes": net and net[0],
            "net_out_bytes": net and net[1],
            "gpus": self._gpus(),
        }


def gpus_now() -> list[dict[str, Any]]:
    """What nvidia-smi says of each GPU, asked once; empty without nvidia-smi."""
    query = gpu_query()
    if query is None:
        return []
    try:
        done = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [{"error": f"nvidia-smi: {error}"}]
    rows = map(gpu_row, done.stdout.decode("utf-8", "replace").splitlines())
    return [row for row in rows if row is not None]


def gpu_query() -> list[str] | None:
    """The command that prints one line a GPU, which `gpu_row` reads; None without nvidia-smi."""
    program = shutil.which("nvidia-smi")
    return (
        None if program is None else [program, "--query-gpu=" + ",".join(GPU_FIELDS), "--format=csv,noheader,nounits"]
    )


def append_to_ring(path: Path, sample: dict[str, Any], ring_bytes: int = RING_BYTES) -> None:
    """Append one line; past `ring_bytes` the older half is dropped."""
    with path.open("ab") as file:
        file.write(json.dumps(sample, separators=(",", ":")).encode() + b"\n")
        size = file.tell()
    if size > ring_bytes:
        newer = path.read_bytes()[-ring_bytes // 2 :]
        draft = path.with_name(path.name + ".tmp")
        draft.write_bytes(newer[newer.index(b"\n") + 1 :])
        draft.replace(path)


def gpu_row(line: str) -> dict[str, Any] | None:
    """One line of nvidia-smi's answer; None when it is none."""
    words = [word.strip() for word in line.split(",")]
    if len(words) < len(GPU_FIELDS) or not words[0].isdigit():
        return None
    index, name, busy, used, total, temperature, power = words[: len(GPU_FIELDS)]
    return {
        "index": int(index),
        "name": name,
        "busy_percent": _number(busy),
        "ram_used_mb": _number(used),
        "ram_total_mb": _number(total),
        "temperature_c": _number(temperature),
        "power_w": _number(power),
    }


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:  # nvidia-smi writes [N/A] for what a card does not measure
        return None


def _cpu_times() -> tuple[int, int] | None:
    """(busy, all) ticks since boot."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _cpu_percent(before: tuple[int, int] | None, now: tuple[int, int] | None) -> float | None:
    if before is None or now is None or now[1] <= before[1]:
        return None
    return round(100 * (now[0] - before[0]) / (now[1] - before[1]), 1)


def _net_bytes() -> tuple[int, int] | None:
    """(received, sent) since boot over all interfaces but loopback."""
    try:
        rows = [line.split(":", 1) for line in Path("/proc/net/dev").read_text().splitlines() if ":" in line]
        counts = [numbers.split() for name, numbers in rows if name.strip() != "lo"]
        return sum(int(words[0]) for words in counts), sum(int(words[8]) for words in counts)
    except (OSError, ValueError, IndexError):
        return None


def _memory_bytes() -> tuple[int, int] | None:
    """(used, total), of the container where it has a limit."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        total = int(rows["MemTotal"].split()[0]) << 10
        used = total - (int(rows["MemAvailable"].split()[0]) << 10)
    except (OSError, KeyError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        if limit < total:
            return int(Path("/sys/fs/cgroup/memory.current").read_text()), limit
    except (OSError, ValueError):  # no container limit: the machine's own numbers stand
        return used, total
    return used, total
