"""`benchmarks/vision_gpu.py` runs from pages to regions on a processor, too: every arm, the gate, the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "vision_gpu.py"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_benchmark_runs_every_arm_and_its_gate_passes() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick", "--json", "--price", "3.6"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["arms"]) == {"A0", "A1", "A2", "A3", "A4", "A5"}
    assert found["not_run"] == {}
    assert found["gate_passed"]
    assert found["gate"]["boxes"] > 20
    assert found["gate"]["mask_iou_least"] > 0.999
    for arm in found["arms"].values():
        low, high = arm["interval"]
        assert 0 < low <= arm["pages_per_s"] <= high
        assert arm["usd_per_1000_pages"] == pytest.approx(arm["gpu_s_per_1000_pages"] / 1000, rel=0.01)
    assert found["pages_per_s"] == found["arms"]["A5"]["pages_per_s"]
    assert found["a4_vs_a0"] > 0
    assert found["a5_vs_a2"] > 0
    assert 0 < found["ceiling_share"] < 1
