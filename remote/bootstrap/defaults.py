"""The steps that every box goes through: interpreter, agent, worker environment, verification."""

from __future__ import annotations

import hashlib
import json
import posixpath
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata

from remote.bootstrap.box import Box
from remote.bootstrap.box_probe import digest_of
from remote.bootstrap.install import NO_INTERPRETER, agent_files, find_interpreter
from remote.bootstrap.steps import Step, StepResult, StepUnmet
from remote.sync.push import Release
from remote.transport import CommandFailed

WORKER_MINIMUM = (3, 11)
WORKER_IMPORTS = {
    "pymupdf": "pymupdf",
    "opencv-python-headless": "cv2",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "orjson": "orjson",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "python-ulid": "ulid",
}
"""What the worker needs: distribution → the module that proves it loads."""

MARK = "spotter-evidence "
TELL_PYTHON = f"import platform, sys; print({MARK!r} + sys.executable); print({MARK!r} + platform.python_version())"
CHECK_PACKAGES = f"""
import importlib, json, sys
from importlib import metadata
wanted, imports = json.loads(sys.argv[1])
wrong = []
for name, version in wanted.items():
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    if found != version:
        wrong.append(name + " " + (found or "is missing") + ", " + version + " is wanted")
if wrong:
    sys.exit("; ".join(wrong))
for name in imports:
    importlib.import_module(name)
print({MARK!r} + "loaded")
"""
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
tell("gpus", "none" if gpus is None else "; ".join(gpus.stdout.split("\\n")).strip("; ") or "nvidia-smi fails")
for name in sys.argv[2:]:
    tell("import " + name, importlib.import_module(name).__file__)
"""


def worker_requirements() -> list[str]:
    """The worker's third-party packages pinned to the versions installed here, `name==version` each."""
    return [f"{name}=={metadata.version(name)}" for name in WORKER_IMPORTS]


def default_steps(release: Release | None = None, requirements: Sequence[str] | None = None) -> list[Step]:
    """Interpreter, agent, worker environment, verification; with `release`, its `pipeline` must import too."""
    pins = dict(each.split("==", 1) for each in (worker_requirements() if requirements is None else requirements))
    return [
        Step("interpreter", _hash(WORKER_MINIMUM), _check_interpreter, None, 60),
        Step("agent", digest_of(agent_files()), _check_agent, None, 60),
        Step(
            "worker-environment",
            _hash(pins),
            lambda box: _check_packages(box, pins),
            lambda box: _install_packages(box, pins),
            1800,
        ),
        Step(
            "verification",
            _hash(release.tree_hash if release else None),
            lambda box: _check_machine(box, release),
            None,
            180,
        ),
    ]


def worker_python(results: Sequence[StepResult]) -> str:
    """The absolute path of the interpreter that jobs on this box must use, as the bootstrap recorded it."""
    return next(result.evidence["path"] for result in results if result.id == "worker-environment")


def _check_interpreter(box: Box) -> Mapping[str, str]:
    """The path that was recorded once if it still is the same Python, else the first that is new enough."""
    if box.recorded:
        done = box.run([box.recorded["path"], "-S", "-c", TELL_PYTHON])
        if done.exit_code == 0 and _marked(done.stdout)[-1:] == [box.recorded["version"]]:
            return box.recorded
    done = box.run(f"{find_interpreter(WORKER_MINIMUM)} {shlex.join(['-S', '-c', TELL_PYTHON])}")
    if done.exit_code == NO_INTERPRETER:
        wanted = ".".join(map(str, WORKER_MINIMUM))
        raise StepUnmet(f"the box has no Python {wanted} or newer; choose an image that has one")
    told = _marked(done.stdout)
    if len(told) != 2:
        raise StepUnmet(done.last_lines())
    return {"path": told[0], "version": told[1]}


def _check_agent(box: Box) -> Mapping[str, str]:
    hello = box.agent.hello()
    return {"python": str(hello["python"]), "root": str(hello["root"]), "system": str(hello["system"])}


def _check_packages(box: Box, pins: Mapping[str, str]) -> Mapping[str, str]:
    """In the environment that was made here if there is one, else in the image's own interpreter."""
    own = _own_python(box)
    candidates = [own] if box.run(["test", "-x", own]).exit_code == 0 else []
    unmet = None
    for python in [*candidates, box.found["interpreter"]["path"]]:
        imports = [WORKER_IMPORTS[name] for name in pins if name in WORKER_IMPORTS]
        try:
            box.expect([python, "-c", CHECK_PACKAGES, json.dumps([dict(pins), imports])])
        except StepUnmet as error:
            unmet = unmet or error
        else:
            return {"path": python, **pins}
    assert unmet is not None
    raise unmet


def _install_packages(box: Box, pins: Mapping[str, str]) -> None:
    """Make `<root>/env` anew with exactly the pinned packages."""
    own = _own_python(box)
    environment = posixpath.dirname(posixpath.dirname(own))
    text = "".join(f"{name}=={version}\n" for name, version in pins.items())
    requirements = box.agent.write("bootstrap/requirements.txt", text.encode())
    base = box.found["interpreter"]["path"]
    pip = [own, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-r", requirements]
    for command in ([base, "-m", "venv", "--clear", environment], pip):
        done = box.run(command)
        if done.exit_code != 0:
            raise CommandFailed(box.command, done.exit_code, done.last_lines())


def _check_machine(box: Box, release: Release | None) -> Mapping[str, str]:
    """With the very interpreter that jobs will use, and nothing but the release on its path."""
    python = box.found["worker-environment"]["path"]
    environment = ["env", "PYTHONDONTWRITEBYTECODE=1"]
    modules = []
    if release is not None:
        environment.append(f"PYTHONPATH={release.path}")
        modules.append("pipeline")
    output = box.expect([*environment, python, "-c", CHECK_MACHINE, box.root, *modules])
    evidence = dict(told.split("=", 1) for told in _marked(output.encode()))
    where = evidence.get("import pipeline", "")
    if release is not None and not where.startswith(release.path + "/"):
        raise StepUnmet(f"`import pipeline` finds {where}, not the pushed release {release.path}")
    return evidence


def _own_python(box: Box) -> str:
    return f"{box.root}/env/bin/python"


def _marked(output: bytes) -> list[str]:
    """Our own lines: a login shell may print others."""
    lines = output.decode("utf-8", "replace").splitlines()
    return [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
