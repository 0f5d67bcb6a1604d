"""The worker's environment on a box: found in the image, or made from an index by hash, whatever happens on the way."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from remote.bootstrap.defaults import default_steps, worker_python
from remote.bootstrap.needs import BoxNeeds
from remote.bootstrap.pins import Pin
from remote.bootstrap.run import bootstrap
from remote.bootstrap.steps import BootstrapFailed, Step, StepResult
from remote.progress import Progress
from remote.transport import Transport
from tests.remote.package_index import PackageIndex, package_index, source_of, wheel
from tests.remote.sshd import Sshd, eventually

UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.prefix).parent / ".uv" / "bin"))


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with package_index() as served:
        yield served


@pytest.fixture
def image(sshd: Sshd) -> Path:
    """An interpreter where an emulated image keeps it."""
    path = sshd.home / "venv" / "bin" / "python3"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)
    return path


def use(sshd: Sshd, installer: str) -> None:
    """Let the box have uv, or not."""
    if installer == "uv":
        if UV is None:
            pytest.skip("needs uv")
        (sshd.home / ".local" / "bin").mkdir(parents=True)
        (sshd.home / ".local" / "bin" / "uv").symlink_to(UV)


def quickest(sshd: Sshd) -> None:
    use(sshd, "uv" if UV else "pip")


Prepare = Callable[..., list[StepResult]]


@pytest.fixture
def prepare(sshd: Sshd, transport: Transport, index: PackageIndex, image: Path) -> Prepare:
    """Bootstrap the box with pins of the index and the modules that must load."""

    def run(
        pins: list[Pin], imports: list[str], stack: str = "cpu", *, gpu: bool = True, **options: object
    ) -> list[StepResult]:
        steps = steps_for(index, pins, imports, stack, gpu=gpu)
        return bootstrap(transport, "spotter", steps, retry_pause_s=0.05, **options)  # type: ignore[arg-type]

    return run


def steps_for(
    index: PackageIndex, pins: list[Pin], imports: list[str], stack: str = "cpu", *, gpu: bool = True
) -> list[Step]:
    needs = BoxNeeds(stack=stack, gpu=gpu, index_url=index.url)  # type: ignore[arg-type]
    return default_steps(needs=needs, pins=pins, imports=imports)


def step(results: list[StepResult]) -> StepResult:
    return next(result for result in results if result.id == "worker-environment")


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_what_the_image_lacks_is_installed_by_hash_sources_after_the_wheels_that_build_them(
    sshd: Sshd, index: PackageIndex, prepare: Prepare, installer: str
) -> None:
    use(sshd, installer)
    pins = [index.add(source_of("iopath", "1.5")), index.add(wheel("tiny", "2.0"))]
    made = prepare(pins, ["tiny", "iopath"])
    assert step(made).outcome == "ran"
    evidence = step(made).evidence
    assert (evidence["tiny"], evidence["iopath"]) == ("2.0", "1.5")
    assert evidence["made by"].startswith(f"{installer} ")
    assert evidence["path"].startswith(f"{sshd.home}/spotter/envs/")
    assert worker_python(made) == evidence["path"]
    downloads = index.downloads()
    assert set(downloads) == {"tiny-2.0-py3-none-any.whl", "iopath-1.5.tar.gz"}
    again = prepare(pins, ["tiny", "iopath"])
    assert step(again).outcome == "kept"
    assert step(again).evidence == evidence
    fewer = prepare(pins[1:], ["tiny"])
    assert (step(fewer).outcome, worker_python(fewer)) == ("found", evidence["path"])
    assert index.downloads() == downloads


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_package_with_other_bytes_is_refused_at_once(
    sshd: Sshd, index: PackageIndex, image: Path, prepare: Prepare, installer: str
) -> None:
    use(sshd, installer)
    if installer == "pip":  # here the image's own, where the test before has the one that Python brings along
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        if subprocess.run([base, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
            pytest.skip("needs a Python with pip")
        image.write_text(f'#!/bin/sh\nexec {shlex.quote(str(base))} "$@"\n')
    pin = replace(index.add(wheel("tiny", "2.0")), hashes=("sha256:" + "0" * 64,))
    with pytest.raises(BootstrapFailed, match=r"(?i)hash") as failed:
        prepare([pin], ["tiny"])
    assert (failed.value.step, failed.value.tries) == ("worker-environment", 1)
    assert "tiny" in failed.value.last_lines
    assert not list(sshd.home.glob("spotter/envs/*/spotter-ready.json"))
    assert not (sshd.home / "spotter/bootstrap/worker-environment.json").exists()
    assert (sshd.home / "spotter/bootstrap/interpreter.json").exists()


def test_an_index_that_hangs_up_is_asked_again(sshd: Sshd, index: PackageIndex, prepare: Prepare) -> None:
    quickest(sshd)
    pin = index.add(wheel("tiny", "2.0"))
    index.refused = 1
    assert step(prepare([pin], ["tiny"])).outcome == "ran"


def test_an_install_that_is_killed_midway_is_made_anew_and_never_taken_for_whole(
    sshd: Sshd, index: PackageIndex, prepare: Prepare
) -> None:
    quickest(sshd)
    pins = [index.add(wheel("tiny", "2.0")), index.add(wheel("other", "1.0"))]
    index.gate.clear()
    said: list[Progress] = []

    def kill_the_first() -> None:
        eventually(lambda: len(index.downloads()) >= 1, timeout_s=60, what="a download began")
        victims = [each for each in sshd.leftovers() if any("box_environment" in word for word in each.cmdline())]
        for victim in victims:
            for child in victim.children(recursive=True):
                child.kill()
            victim.kill()
        index.gate.set()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    made = prepare(pins, ["tiny", "other"], report=said.append)
    killer.join()
    assert step(made).outcome == "ran"
    assert any("trying again" in each.message for each in said)
    assert len(list(sshd.home.glob("spotter/envs/*/spotter-ready.json"))) == 1
    assert not list(sshd.home.glob("spotter/envs/.*.dead"))


def test_an_install_goes_on_while_the_connection_is_cut_and_is_joined_again(
    sshd: Sshd, index: PackageIndex, prepare: Prepare
) -> None:
    quickest(sshd)
    pin = index.add(wheel("tiny", "2.0"))
    index.gate.clear()

    def cut() -> None:
        eventually(lambda: len(index.downloads()) >= 1, timeout_s=60, what="a download began")
        sshd.cut()
        index.gate.set()

    cutter = threading.Thread(target=cut)
    cutter.start()
    made = prepare([pin], ["tiny"], reconnect=sshd.connect)
    cutter.join()
    assert step(made).evidence["tiny"] == "2.0"
    assert index.downloads() == ["tiny-2.0-py3-none-any.whl"]


def test_an_environment_without_its_mark_is_not_trusted(sshd: Sshd, index: PackageIndex, prepare: Prepare) -> None:
    quickest(sshd)
    pin = index.add(wheel("tiny", "2.0"))
    prepare([pin], ["tiny"])
    mark = next(sshd.home.glob("spotter/envs/*/spotter-ready.json"))
    mark.unlink()
    (sshd.home / "spotter/bootstrap/worker-environment.json").unlink()
    leftover = mark.parent / "leftover"
    leftover.touch()
    assert step(prepare([pin], ["tiny"])).outcome == "ran"
    assert mark.exists()
    assert not leftover.exists()


def test_a_module_that_does_not_load_fails_the_step_with_its_last_lines(
    sshd: Sshd, index: PackageIndex, prepare: Prepare
) -> None:
    quickest(sshd)
    pin = index.add(wheel("tiny", "2.0", "raise ImportError('libGL.so.1: cannot open shared object file')\n"))
    with pytest.raises(BootstrapFailed, match=r"libGL\.so\.1.*\n?it was installed") as failed:
        prepare([pin], ["tiny"])
    assert failed.value.tries == 1
    assert not list(sshd.home.glob("spotter/envs/*/spotter-ready.json"))


TORCH = """
import os
__version__ = "2.13.0+cu128"
class version: cuda = "12.8"
class cuda:
    is_available = staticmethod(lambda: {available})
    get_device_capability = staticmethod(lambda _index: (8, 9))
    get_device_name = staticmethod(lambda _index: "RTX 4090")
    get_arch_list = staticmethod(lambda: ["sm_80", "sm_90"])
"""


def put_torch_into(image: Path, folder: Path, *, available: bool) -> None:
    """Let the image hold a torch that was built for another CUDA, and its libraries."""
    texts = {"torch": TORCH.format(available=available), "torchvision": "", "nvidia_cublas_cu12": ""}
    versions = {"torch": "2.13.0+cu128", "torchvision": "0.28.0+cu128", "nvidia_cublas_cu12": "12.8"}
    folder.mkdir()
    for name, version in versions.items():
        (folder / f"{name}.py").write_text(texts[name])
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    packages = image.parent.parent / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "image.pth").write_text(f"{folder}\n")
    empty(image)
    smi = image.parent / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho RTX 4090, 24564 MiB, 570.10\n")
    smi.chmod(0o755)


def empty(image: Path) -> None:
    """Let the image hold no package at all."""
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    image.unlink()
    image.symlink_to(base)
    (image.parent.parent / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")


def torch_pins(index: PackageIndex) -> list[Pin]:
    return [
        index.add(wheel("nvidia_cublas", "13.0")),
        index.add(wheel("tiny", "2.0")),
        index.add(wheel("torch", "2.13.0", TORCH.format(available=True).replace("+cu128", "").replace("12.8", "13.0"))),
        index.add(wheel("torchvision", "0.28.0")),
    ]


def with_path(sshd: Sshd, folder: Path) -> None:
    shell = sshd.folder / "shell.sh"
    shell.write_text(shell.read_text().replace("cd ", f"export PATH={shlex.quote(str(folder))}:$PATH\ncd ", 1))


def named(pins: list[Pin]) -> list[Pin]:
    return [replace(pin, name=pin.name.replace("_", "-")) for pin in pins]


def test_the_images_torch_of_the_same_version_is_kept_by_link_and_told(
    sshd: Sshd, index: PackageIndex, image: Path, prepare: Prepare, tmp_path: Path
) -> None:
    quickest(sshd)
    with_path(sshd, image.parent)
    put_torch_into(image, tmp_path / "image", available=True)
    made = prepare(named(torch_pins(index)), ["torch", "torchvision", "tiny"], stack="gpu")
    evidence = step(made).evidence
    assert index.downloads() == ["tiny-2.0-py3-none-any.whl"]
    linked = str(Path(evidence["path"]).parent.parent / "linked")
    assert evidence[f"from {linked}"] == "torch, torchvision"
    assert evidence["torch"] == "2.13.0+cu128"
    assert evidence["torch finds"] == "torch 2.13.0+cu128 (CUDA 12.8) on RTX 4090, sm_89"
    assert made[-1].evidence["gpus"] == "RTX 4090, 24564 MiB, 570.10"
    assert step(prepare(named(torch_pins(index)), ["torch"], stack="gpu")).outcome == "kept"


@pytest.mark.parametrize(
    ("smi", "reason"),
    [
        ("echo 'Driver Version: 570.10  CUDA Version: 12.8'", "built for CUDA 13.0, and the box's driver knows 12.8"),
        ("echo 'NVIDIA-SMI has failed'; exit 9", "nvidia-smi says: NVIDIA-SMI has failed"),
        ("echo 'EMULATED NVIDIA-SMI'", "this box's is emulated"),
    ],
)
def test_torch_is_not_fetched_for_a_gpu_that_it_cannot_use(
    sshd: Sshd, index: PackageIndex, image: Path, prepare: Prepare, smi: str, reason: str
) -> None:
    with_path(sshd, image.parent)
    empty(image)
    (image.parent / "nvidia-smi").write_text(f"#!/bin/sh\n{smi}\n")
    (image.parent / "nvidia-smi").chmod(0o755)
    pins = [*torch_pins(index), index.add(wheel("cuda_toolkit", "13.0.3.0"))]
    with pytest.raises(BootstrapFailed, match=reason) as failed:
        prepare(named(pins), ["torch"], stack="gpu")
    assert failed.value.tries == 1
    assert not index.asked


def test_an_images_torch_that_finds_no_gpu_is_left_alone_for_the_locks_own(
    sshd: Sshd, index: PackageIndex, image: Path, prepare: Prepare, tmp_path: Path
) -> None:
    quickest(sshd)
    with_path(sshd, image.parent)
    put_torch_into(image, tmp_path / "image", available=False)
    on_processor = step(prepare(named(torch_pins(index)), ["torch"], stack="gpu", gpu=False)).evidence
    assert index.downloads() == ["tiny-2.0-py3-none-any.whl"], "for models on the processor it will do"
    assert on_processor["torch"] == "2.13.0+cu128"
    evidence = step(prepare(named(torch_pins(index)), ["torch"], stack="gpu")).evidence
    assert len(index.downloads()) == 4
    assert evidence["torch finds"] == "torch 2.13.0 (CUDA 13.0) on RTX 4090, sm_89"
    assert evidence["nvidia-cublas"] == "13.0"
