"""Runs on the box: make one Python environment that holds exactly what a requirements file pins, by hash.

Standard library only, Python 3.9 or newer. Its argument is a JSON file: `environment` (the folder to
make), `base` (the interpreter under it), `wheels` and `sources` (lists of requirements), `linked` (distributions taken
from `base` by link), `imports` (modules that must load), `index_url` (or null).

An environment cannot be moved: its scripts name their interpreter. So it is made where it will stay, and its mark is
written last; one without the mark was cut off, and is made anew from the downloads that are kept.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HOPELESS = 64
MARK = "spotter-ready.json"
OLDEST_PIP = (22, 3)
"""The first that installs into another environment than its own."""

NO_USE = re.compile(
    r"DO NOT MATCH THE HASHES|[Hh]ash mismatch|No matching distribution|No solution found|no version of"
    r"|[Nn]o space left|[Pp]ermission denied|Read-only file system"
)
"""What an installer says when trying again is no use …"""

NETWORK = re.compile(r"Retrying \(|[Cc]onnection|timed? ?out|Temporary failure|Could not resolve|error sending request")
"""… unless it could not reach the index: pip then claims that there is no such package."""

LOADS = """
import importlib, sys, traceback
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        traceback.print_exc(limit=-1)
        sys.exit(1)
"""

LINKED = """
import importlib.metadata as metadata, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    distribution = metadata.distribution(name)
    for file in distribution.files or ():
        top = file.parts[0]
        if top not in ("..", "bin", "__pycache__"):
            found[top] = str(distribution.locate_file(top))
print(json.dumps(found))
"""


class CannotInstall(Exception):
    """The box cannot make this environment, however often it is tried."""


def main() -> int:
    """Make the environment that the JSON file names."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    environment = Path(spec["environment"])
    try:
        environment.parent.mkdir(parents=True, exist_ok=True)
        with (environment.parent / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (environment / MARK).is_file():
                make(environment, spec)
    except CannotInstall as error:
        print(error, flush=True)
        return HOPELESS
    except OSError as error:
        print(f"{error.strerror}: {error.filename}", flush=True)
        return HOPELESS
    except subprocess.CalledProcessError as error:
        return error.returncode if 0 < error.returncode < HOPELESS else 1
    return 0


def make(environment: Path, spec: dict[str, Any]) -> None:
    """From nothing to the mark."""
    clear(environment)
    subprocess.run([spec["base"], "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    if spec["linked"]:
        link(environment, python, spec["base"], spec["linked"])
    installer = find_installer(spec["base"], python)
    options = ["--index-url", spec["index_url"]] if spec["index_url"] else []
    for kind, extra in (("wheels", ["--only-binary", ":all:"]), ("sources", ["--no-build-isolation"])):
        if spec[kind]:
            pins = environment / f"spotter-{kind}.txt"
            pins.write_text("".join(line + "\n" for line in spec[kind]), encoding="utf-8")
            install([*installer, "--require-hashes", "--no-deps", *extra, *options, "-r", str(pins)], len(spec[kind]))
    if subprocess.run([str(python), "-c", LOADS, *spec["imports"]], check=False).returncode != 0:
        raise CannotInstall("it was installed as pinned, but does not load on this box")
    told = {"installer": installer_name(installer), "base": spec["base"], "linked": spec["linked"], "at": time.time()}
    draft = environment / f"{MARK}.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(environment / MARK)


def clear(environment: Path) -> None:
    """Remove what a cut-off try left, out of the way first: a file that cannot go does not stop the next try."""
    if environment.is_symlink() or environment.exists():
        dead = environment.with_name(f".{environment.name}.{secrets.token_hex(4)}.dead")
        environment.rename(dead)
    for dead in environment.parent.glob(".*.dead"):
        if dead.is_dir() and not dead.is_symlink():
            shutil.rmtree(dead, ignore_errors=True)
        else:
            dead.unlink()


def link(environment: Path, python: Path, base: str, distributions: list[str]) -> None:
    """Show `distributions` of the image's interpreter to the environment, and nothing else of it."""
    told = subprocess.run([base, "-c", LINKED, json.dumps(distributions)], check=True, stdout=subprocess.PIPE)
    folder = environment / "linked"
    folder.mkdir()
    for name, target in json.loads(told.stdout).items():
        (folder / name).symlink_to(target)
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = subprocess.run([str(python), "-c", where], check=True, stdout=subprocess.PIPE, text=True)
    (Path(packages.stdout.strip()) / "spotter-linked.pth").write_text(f"{folder}\n", encoding="utf-8")


def find_installer(base: str, python: Path) -> list[str]:
    """uv if the image has it, else the image's pip, else the one that Python brings along."""
    home = Path(os.environ.get("HOME") or "/root")
    for uv in (shutil.which("uv"), str(home / ".local/bin/uv"), "/opt/conda/bin/uv", "/venv/main/bin/uv"):
        if uv and os.access(uv, os.X_OK):
            return [uv, "pip", "install", "--no-config", "--python", str(python)]
    flags = ["install", "--ignore-installed", "--no-input", "--disable-pip-version-check"]
    flags += ["--no-warn-script-location", "--progress-bar", "off"]
    asked = subprocess.run([base, "-m", "pip", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    version = re.match(rb"pip (\d+)\.(\d+)", asked.stdout)
    if asked.returncode == 0 and version and tuple(int(part) for part in version.groups()) >= OLDEST_PIP:
        return [base, "-m", "pip", "--python", str(python), *flags]
    brought = [str(python), "-m", "ensurepip"]
    if subprocess.run(brought, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise CannotInstall(f"{base} has neither uv, nor pip 22.3 or newer, nor ensurepip (Debian: python3-venv)")
    return [str(python), "-m", "pip", *flags]


def installer_name(command: list[str]) -> str:
    """`uv 0.9.2`, `pip 26.0`."""
    asked = [command[0], "--version"] if command[1] == "pip" else [*command[:3], "--version"]
    told = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    return " ".join(told.split()[:2])


def install(command: list[str], total: int) -> None:
    """Run an installer, passing its words on and counting the packages that it takes up."""
    environment = dict(os.environ, SAM2_BUILD_CUDA="0", PIP_CONFIG_FILE=os.devnull)
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
    )
    assert process.stdout is not None
    said = []
    done = 0
    for line in process.stdout:
        print(line, end="", flush=True)
        said.append(line)
        if line.startswith("Collecting "):
            done += 1
            told = {"message": line.split()[1], "done": done, "total": total, "unit": "packages"}
            print(f"spotter-progress {json.dumps(told)}", flush=True)
    code = process.wait()
    words = "".join(said)
    if code != 0 and NO_USE.search(words) and not NETWORK.search(words):
        raise CannotInstall("the installer's own words are above")
    if code != 0:
        raise subprocess.CalledProcessError(code, command[0])


if __name__ == "__main__":
    sys.exit(main())
