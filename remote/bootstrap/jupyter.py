"""Jupyter's kernel on the one environment, so that a notebook runs what jobs run."""

from __future__ import annotations

import json
from collections.abc import Mapping

from remote.bootstrap.box import Box
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.steps import Step, StepUnmet
from remote.bootstrap.worker import WORKER_ENVIRONMENT

KERNEL = "spotter"
KERNEL_FILE = f"jupyter/kernels/{KERNEL}/kernel.json"
"""Below the root; JUPYTER_PATH of the environment file leads there."""

DISPLAY_NAME = "Python (Spotter)"
VERSIONS = "import ipykernel, jupyterlab, jupyter_server; print(jupyterlab.__version__, ipykernel.__version__)"


def kernel_step() -> Step:
    """Register the kernel, and prove that Jupyter loads. Jupyter itself came with the worker's environment."""
    return Step("jupyter-kernel", hash_of([KERNEL_FILE, DISPLAY_NAME]), _check, _register, 120)


def _kernel(box: Box) -> bytes:
    """What notebooks get beyond a job's environment: the newest release on the path."""
    spec = {
        "argv": [box.found[WORKER_ENVIRONMENT]["path"], "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": DISPLAY_NAME,
        "language": "python",
        "env": {**box.found["caches"], "PYTHONPATH": f"{box.root}/current", "PYTHONDONTWRITEBYTECODE": "1"},
    }
    return json.dumps(spec, indent=1).encode()


def _check(box: Box) -> Mapping[str, str]:
    if box.agent.follow(KERNEL_FILE, 0) != _kernel(box):
        raise StepUnmet(f"the kernel {DISPLAY_NAME} is not registered")
    python = box.found[WORKER_ENVIRONMENT]["path"]
    lab, kernel = box.expect([python, "-c", VERSIONS]).split()[-2:]
    return {"kernel": f"{box.root}/{KERNEL_FILE}", "python": python, "jupyterlab": lab, "ipykernel": kernel}


def _register(box: Box) -> None:
    box.agent.write(KERNEL_FILE, _kernel(box))
