"""An installed Spotter is a whole one: from its wheel it pushes the same code and makes a box ready."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from remote.agent.files import TreeEntry, sha256_of, tree_hash
from remote.bootstrap.needs import BoxNeeds
from remote.bootstrap.pins import worker_pins
from remote.release import worker_files
from tests.remote.sshd import Sshd

REPOSITORY = Path(__file__).parents[2]

BUILD = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"

FROM_THE_WHEEL = """
import json, sys
from pathlib import Path
import remote
from remote.bootstrap.defaults import default_steps, worker_python
from remote.bootstrap.needs import BoxNeeds
from remote.bootstrap.pins import worker_pins
from remote.bootstrap.run import bootstrap
from remote.cloud import Endpoint
from remote.release import worker_files
from remote.sync.push import push_release
from remote.transport import connect

port, user, key, pin = sys.argv[1:]
with connect([Endpoint("direct", "127.0.0.1", int(port))], user=user, key_path=Path(key), pin_path=Path(pin)) as box:
    release = push_release(box, "spotter", worker_files())
    results = bootstrap(box, "spotter", default_steps(release))
print(json.dumps({
    "remote": remote.__file__,
    "tree": release.tree_hash,
    "python": worker_python(results),
    "pipeline": results[-1].evidence["import pipeline"],
    "pins": len(worker_pins(BoxNeeds(stack="original", jupyter=True))),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, by the backend that `pip install .` would take."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel in its own packages, and the libraries of this one behind them."""
    environment = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "libraries.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    return environment / "bin" / "python"


def run(python: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run([str(python), *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_what_a_box_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in sorted((REPOSITORY / "remote" / "bootstrap").rglob("*.[pt]*")):
        if "__pycache__" not in file.parts:
            assert file.relative_to(REPOSITORY).as_posix() in names
    assert "remote/bootstrap/requirements/worker-gpu.txt" in names
    assert "remote/agent/serve.py" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_an_installed_spotter_pushes_the_same_tree_and_makes_a_box_ready(
    installed: Path, sshd: Sshd, tmp_path: Path
) -> None:
    image = sshd.home / "venv" / "bin" / "python3"
    image.parent.mkdir(parents=True)
    image.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    image.chmod(0o755)
    key = (str(sshd.port), sshd.user, str(sshd.key_path), str(tmp_path / "pin"))
    told = json.loads(run(installed, "-c", FROM_THE_WHEEL, *key, cwd=tmp_path))
    assert told["remote"].startswith(str(installed.parent.parent))
    files = [
        TreeEntry(file.name, file.mode, file.source.stat().st_size, sha256_of(file.source)) for file in worker_files()
    ]
    assert told["tree"] == tree_hash(files)
    assert told["python"] == sys.executable
    assert told["pipeline"] == f"{sshd.home}/spotter/releases/{told['tree']}/pipeline/__init__.py"
    assert told["pins"] == len(worker_pins(BoxNeeds(stack="original", jupyter=True)))


def test_an_installed_spotter_has_its_command(installed: Path, tmp_path: Path) -> None:
    assert "bootstrap" in run(installed, "-m", "console", "--help", cwd=tmp_path)
