"""What a box said of how busy it is, as values: samples, and the names by which charts ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GPU_METRICS = {
    "gpu": "busy_percent",
    "vram": "vram_used_mb",
    "watts": "power_w",
    "temperature": "temperature_c",
}
"""Metrics that each GPU has; `gpu.1` is that of the second one alone, `gpu` the mean over all."""
BOX_METRICS = {
    "cpu": "cpu_percent",
    "ram": "ram_used_mb",
    "disk": "disk_used_gb",
    "net_in": "net_in_bytes_per_s",
    "net_out": "net_out_bytes_per_s",
}
"""Metrics that a box has once."""
FAR_OFF_S = 2.0
"""A box's clock that differs by less is taken at its word: the way there and back takes as long."""


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One GPU at one moment; what the card does not measure is None."""

    index: int
    name: str = ""
    busy_percent: float | None = None
    vram_used_mb: float | None = None
    vram_total_mb: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """How busy a box was at one moment; what its system does not tell is None."""

    at: float
    """Unix seconds by this machine's clock."""
    gpus: tuple[GpuLoad, ...] = ()
    gpu_problem: str = ""
    """Why nothing is known of its GPUs though it should be."""
    cpu_percent: float | None = None
    cpu_count: float | None = None
    ram_used_mb: float | None = None
    ram_total_mb: float | None = None
    disk_used_gb: float | None = None
    disk_total_gb: float | None = None
    net_in_bytes: float | None = None
    """Since the box's boot."""
    net_out_bytes: float | None = None
    net_in_bytes_per_s: float | None = None
    """Since the sample before; None in the first one."""
    net_out_bytes_per_s: float | None = None

    @property
    def gpu_percent(self) -> float | None:
        """Mean use of the GPUs that tell theirs."""
        return mean([gpu.busy_percent for gpu in self.gpus])

    @property
    def vram_used_mb(self) -> float | None:
        """Over all GPUs."""
        return _sum([gpu.vram_used_mb for gpu in self.gpus])

    @property
    def vram_total_mb(self) -> float | None:
        """Over all GPUs."""
        return _sum([gpu.vram_total_mb for gpu in self.gpus])

    @property
    def temperature_c(self) -> float | None:
        """Of the hottest GPU."""
        return max((gpu.temperature_c for gpu in self.gpus if gpu.temperature_c is not None), default=None)

    @property
    def power_w(self) -> float | None:
        """Over all GPUs."""
        return _sum([gpu.power_w for gpu in self.gpus])


def sample_of(told: Mapping[str, Any], ahead_s: float = 0.0) -> Sample:
    """A sample as the agent on a box tells it (`remote.agent.samples`).

    Args:
        told: its JSON; an older agent tells less.
        ahead_s: by how much the box's clock is ahead of this machine's.
    """
    rows = [row for row in told.get("gpus") or () if isinstance(row, Mapping)]
    gpus = tuple(
        GpuLoad(
            int(row["index"]),
            str(row.get("name", "")),
            _number(row.get("busy_percent")),
            _number(row.get("ram_used_mb")),
            _number(row.get("ram_total_mb")),
            _number(row.get("temperature_c")),
            _number(row.get("power_w")),
        )
        for row in rows
        if "index" in row
    )
    return Sample(
        at=float(told["ts"]) - (0.0 if abs(ahead_s) < FAR_OFF_S else round(ahead_s)),
        gpus=gpus,
        gpu_problem=next((str(row["error"]) for row in rows if "error" in row), ""),
        **{
            name: _number(told.get(name))
            for name in (
                "cpu_percent", "cpu_count", "ram_used_mb", "ram_total_mb", "disk_used_gb", "disk_total_gb",
                "net_in_bytes", "net_out_bytes",
            )
        },
    )  # fmt: skip


def rate(before: float | None, after: float | None, seconds: float) -> float | None:
    """Growth of a counter by the second; None when it was set back, as by a boot, or one end is missing."""
    if before is None or after is None or seconds <= 0 or after < before:
        return None
    return (after - before) / seconds


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
