"""The last step: the very interpreter that jobs will use, the pushed release, the GPUs and the disk."""

from __future__ import annotations

from collections.abc import Mapping

from remote.bootstrap.box import Box
from remote.bootstrap.box_packages import MARK
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.marks import marked
from remote.bootstrap.needs import BoxNeeds
from remote.bootstrap.steps import Step, StepUnmet
from remote.bootstrap.worker import WORKER_ENVIRONMENT
from remote.sync.push import Release

CHECK_MACHINE = f"""
import importlib, os, platform, shutil, subprocess, sys
def tell(name, value):
    print({MARK!r} + name + "=" + str(value))
tell("python", platform.python_version())
tell("cpu_count", os.cpu_count())
disk = shutil.disk_usage(sys.argv[1])
tell("disk_free_gb", round(disk.free / 1e9, 1))
smi = shutil.which("nvidia-smi")
query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
gpus = subprocess.run([smi] + query, capture_output=True, text=True, timeout=60) if smi else None
if gpus is None or gpus.returncode != 0:
    tell("gpus", "none" if gpus is None else "nvidia-smi fails")
else:
    tell("gpus", "; ".join(gpus.stdout.split("\\n")).strip("; ") or "nvidia-smi fails")
for name in sys.argv[2:]:
    tell("import " + name, importlib.import_module(name).__file__)
"""

NO_GPU = ("none", "nvidia-smi fails")


def verification_step(release: Release | None, needs: BoxNeeds) -> Step:
    """With `release`, its `pipeline` must import from there; with a stack for a GPU, nvidia-smi must show one.

    That torch finds it was proven by the environment's own check.
    """
    inputs = hash_of([release.tree_hash if release else None, needs.stack, needs.gpu])
    return Step("verification", inputs, lambda box: _check(box, release, needs), None, 180)


def _check(box: Box, release: Release | None, needs: BoxNeeds) -> Mapping[str, str]:
    """Nothing but the release is on the interpreter's path."""
    python = box.found[WORKER_ENVIRONMENT]["path"]
    environment = ["env", "PYTHONDONTWRITEBYTECODE=1"]
    modules = []
    if release is not None:
        environment.append(f"PYTHONPATH={release.path}")
        modules.append("pipeline")
    output = box.expect([*environment, python, "-c", CHECK_MACHINE, box.root, *modules])
    evidence = dict(told.split("=", 1) for told in marked(output))
    where = evidence.get("import pipeline", "")
    if release is not None and not where.startswith(release.path + "/"):
        raise StepUnmet(f"`import pipeline` finds {where}, not the pushed release {release.path}")
    if needs.stack != "cpu" and needs.gpu and evidence["gpus"] in NO_GPU:
        raise StepUnmet(f"the {needs.stack} stack needs a GPU, and nvidia-smi says: {evidence['gpus']}")
    return evidence
