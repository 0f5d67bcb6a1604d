"""Is the box what was rented? One command's output, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from remote.cloud import Instance

PROBE = r"""
if [ -n "$CONTAINER_ID" ]; then echo "container $CONTAINER_ID"
else tr '\0' '\n' 2>/dev/null </proc/1/environ | sed -n 's/^CONTAINER_ID=/container /p'; fi
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits 2>&1 | sed 's/^/gpu /'
df -Pk "$HOME" | awk 'NR==2 {print "disk", $2, $4}'
python3 -c 'import sys; print("python", "%d.%d.%d" % sys.version_info[:3], sys.executable)' 2>&1
date '+clock %s'
"""
"""Shell; each line of its output begins with what it is about. `CONTAINER_ID` may miss in an SSH session."""

LEAST_PYTHON = (3, 9)
KB_PER_GB = 1_000_000
TOLERATED_SKEW_S = 120.0
"""Of its clock: with more, certificates fail and deadlines that are set in its time mean another moment."""
TOLERATED_SHORTFALL = 0.9
"""Of disk and VRAM: file systems and ECC take their share."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card, as nvidia-smi calls it."""

    name: str
    ram_mb: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What the box says of itself; what it did not say is None."""

    container_id: int | None
    gpus: tuple[Gpu, ...]
    driver: str
    disk_gb: float | None
    disk_free_gb: float | None
    python: tuple[int, ...] | None
    python_path: str
    clock_at: float | None = None
    """Unix seconds, as its `date` tells."""

    @property
    def summary(self) -> str:
        """One line for a screen."""
        names = ", ".join(sorted({gpu.name for gpu in self.gpus})) or "no GPU"
        version = ".".join(map(str, self.python or ())) or "none"
        return f"{len(self.gpus)}× {names}, {self.disk_gb or 0:.0f} GB of disk, Python {version}"


def parse_probe(output: str) -> Probe:
    """Read the output of `PROBE`; a line that is not understood says nothing."""
    container_id: int | None = None
    gpus: list[Gpu] = []
    driver = ""
    disk: tuple[float, float] | None = None
    python: tuple[int, ...] | None = None
    python_path = ""
    clock_at: float | None = None
    for line in output.splitlines():
        about, _, rest = line.partition(" ")
        if about == "container" and (number := re.search(r"\d+", rest)):
            container_id = int(number.group())
        elif about == "gpu" and (card := re.fullmatch(r"(.+), *(\d+)(?:\.\d+)?, *(\S+)", rest)):
            gpus.append(Gpu(card.group(1).strip(), int(card.group(2))))
            driver = card.group(3)
        elif about == "disk" and (sizes := re.fullmatch(r"(\d+) (\d+)", rest)):
            disk = (int(sizes.group(1)) / KB_PER_GB, int(sizes.group(2)) / KB_PER_GB)
        elif about == "python" and (found := re.fullmatch(r"(\d+)\.(\d+)\.(\d+) (.+)", rest)):
            python = (int(found.group(1)), int(found.group(2)), int(found.group(3)))
            python_path = found.group(4)
        elif about == "clock" and rest.isdigit():
            clock_at = float(rest)
    total, free = disk or (None, None)
    return Probe(container_id, tuple(gpus), driver, total, free, python, python_path, clock_at)


def problems_of(probe: Probe, instance: Instance, *, asked_at: float | None = None) -> list[str]:
    """What differs from the order; empty when the box will do. `asked_at`: this machine's time of the probe."""
    found = []
    if probe.container_id is None:
        found.append("it does not say which container it is")
    elif probe.container_id != instance.id:
        found.append(f"it is container {probe.container_id}: another machine answers at this address")
    if len(probe.gpus) != instance.gpu_count:
        found.append(f"nvidia-smi shows {len(probe.gpus)} GPUs instead of {instance.gpu_count}")
    for gpu in probe.gpus:
        if not _same_model(gpu.name, instance.gpu_name):
            found.append(f"its GPU is a {gpu.name} instead of a {instance.gpu_name}")
        if gpu.ram_mb < instance.gpu_ram_mb * TOLERATED_SHORTFALL:
            found.append(f"its GPU has {gpu.ram_mb} MB instead of {instance.gpu_ram_mb} MB")
    if probe.disk_gb is None:
        found.append("df tells nothing of its disk")
    elif probe.disk_gb < instance.disk_gb * TOLERATED_SHORTFALL:
        found.append(f"its disk has {probe.disk_gb:.0f} GB instead of {instance.disk_gb:.0f} GB")
    if probe.python is None or probe.python < LEAST_PYTHON:
        version = ".".join(map(str, probe.python or ())) or "none"
        found.append(f"python3 is {version}, at least {'.'.join(map(str, LEAST_PYTHON))} is needed in the image")
    if probe.clock_at is not None and asked_at is not None and abs(probe.clock_at - asked_at) > TOLERATED_SKEW_S:
        found.append(f"its clock is {probe.clock_at - asked_at:+.0f} s off")
    return list(dict.fromkeys(found))


def _same_model(reported: str, rented: str) -> bool:
    """Whether the model number of the rented name ("RTX 4090", "A100 SXM4") is a word of the reported one."""
    words = re.findall(r"[A-Z]*\d+[A-Z]*", rented.upper())
    return not words or words[0] in re.findall(r"[A-Z0-9]+", reported.upper())
