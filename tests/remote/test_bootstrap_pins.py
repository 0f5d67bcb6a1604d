"""What boxes install is what the lock says, for whatever Python and machine they have."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment

from remote.bootstrap.box_packages import has_code_for, same_torch
from remote.bootstrap.caches import ALLOCATOR, cache_environment
from remote.bootstrap.interpreter import markers_of
from remote.bootstrap.needs import BoxNeeds, Stack
from remote.bootstrap.pins import SOURCES_ONLY, Pin, PinsUnreadable, imports_of, on_box, parse_pins, worker_pins
from tests.requirements_as_locked import difference

REPOSITORY = Path(__file__).parents[2]
STACKS: tuple[Stack, ...] = ("cpu", "gpu", "original")
ALL = [BoxNeeds(stack=stack, jupyter=jupyter) for stack in STACKS for jupyter in (False, True)]


def box(version: str = "3.11.7", machine: str = "x86_64", system: str = "linux") -> dict[str, str]:
    evidence = {"implementation": "cpython", "version": version, "machine": machine, "system": system}
    return markers_of(evidence)


@pytest.fixture(scope="module")
def lock() -> dict[tuple[str, str], set[str]]:
    """Name and version → the hashes of everything that was published under it."""
    with (REPOSITORY / "uv.lock").open("rb") as file:
        packages = tomllib.load(file)["package"]
    return {
        (each["name"], each.get("version", "")): {
            file["hash"] for file in [*each.get("wheels", []), *([each["sdist"]] if "sdist" in each else [])]
        }
        for each in packages
    }


@pytest.mark.parametrize("needs", ALL)
def test_every_pin_is_in_the_lock_with_its_hashes(needs: BoxNeeds, lock: dict[tuple[str, str], set[str]]) -> None:
    pins = worker_pins(needs)
    assert pins
    for pin in pins:
        assert pin.hashes, pin
        assert set(pin.hashes) <= lock[(pin.name, pin.version)], pin


@pytest.mark.parametrize("needs", ALL)
@pytest.mark.parametrize("version", ["3.11.0", "3.11.9", "3.12.4", "3.13.1", "3.14.0"])
def test_a_box_gets_each_package_once(needs: BoxNeeds, version: str) -> None:
    pins = on_box(worker_pins(needs), box(version))
    names = [pin.name for pin in pins]
    assert len(names) == len(set(names))
    assert "opencv-python" not in names
    assert {"numpy", "pymupdf", "orjson", "pydantic-core"} <= set(names)
    assert ("torch" in names) is (needs.stack != "cpu")
    assert ("sam2" in names) is (needs.stack == "original")
    assert ("jupyterlab" in names) is needs.jupyter
    assert not [pin for pin in pins if pin.name.startswith("nvidia-") and not pin.of_torch]


def test_packages_without_wheels_are_exactly_those_that_are_built_on_the_box() -> None:
    with (REPOSITORY / "uv.lock").open("rb") as file:
        packages = tomllib.load(file)["package"]
    sources = {each["name"] for each in packages if "wheels" not in each and "registry" in each["source"]}
    wanted = {pin.name for pin in on_box(worker_pins(BoxNeeds(stack="original", jupyter=True)), box())}
    assert wanted & sources == wanted & SOURCES_ONLY
    assert "setuptools" in wanted


def test_the_python_of_a_box_decides_between_versions() -> None:
    versions = {
        python: next(pin.version for pin in on_box(worker_pins(BoxNeeds()), box(python)) if pin.name == "numpy")
        for python in ("3.11.7", "3.12.1")
    }
    assert versions["3.11.7"] != versions["3.12.1"]


def test_the_environment_that_runs_the_tests_is_the_locks_own() -> None:
    here = {key: str(value) for key, value in default_environment().items()}
    for pin in on_box(worker_pins(BoxNeeds()), here):
        assert metadata.version(pin.name) == pin.version


def test_the_markers_of_a_box_are_those_that_python_itself_would_tell() -> None:
    import platform
    import sys

    evidence = {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "machine": platform.machine(),
        "system": sys.platform,
    }
    told, here = markers_of(evidence), default_environment()
    assert {key: told[key] for key in told if told[key]} == {key: here[key] for key in told if told[key]}  # type: ignore[literal-required]


@pytest.mark.parametrize(
    "text", ["numpy>=2\n", "numpy==2.4.6\n", "-e .\n", "numpy==2.4.6 --hash=sha256:aa ; python_version < '3'\n"]
)
def test_a_requirement_without_one_version_and_hashes_is_refused(text: str) -> None:
    with pytest.raises(PinsUnreadable, match="make requirements"):
        parse_pins(text)


def test_a_requirement_is_read_and_written() -> None:
    text = "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    (pin,) = parse_pins(text)
    assert pin == Pin("numpy", "2.4.6", "python_full_version < '3.12'", ("sha256:aa", "sha256:bb"))
    assert pin.line() == "numpy==2.4.6 --hash=sha256:aa --hash=sha256:bb"


def test_two_versions_for_one_box_are_refused() -> None:
    with pytest.raises(PinsUnreadable, match="both 1 and 2"):
        on_box([Pin("a", "1", "", ("h",)), Pin("a", "2", "", ("h",))], box())


LINUX_PC = "(sys_platform == 'linux' and platform_machine == 'x86_64')"
MARKED = f"a==1 ; {LINUX_PC} or sys_platform == 'darwin' --hash=sha256:aa\n"


@pytest.mark.parametrize(
    ("exported", "differs"),
    [
        (f"a==1 ; sys_platform == 'darwin' or {LINUX_PC} --hash=sha256:aa\n", False),
        (MARKED.replace("x86_64", "aarch64"), True),
        (MARKED.replace("a==1", "a==2"), True),
        (MARKED.replace(":aa", ":bb"), True),
        (MARKED + "b==1 --hash=sha256:cc\n", True),
    ],
)
def test_requirements_are_compared_with_the_lock_by_what_boxes_get(exported: str, differs: bool) -> None:
    assert (difference(MARKED, exported) is not None) is differs


def test_what_must_load_grows_with_the_stack() -> None:
    cpu, gpu, original = (set(imports_of(BoxNeeds(stack=stack))) for stack in STACKS)
    assert cpu < gpu < original
    assert "jupyterlab" in imports_of(BoxNeeds(jupyter=True))


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (["sm_80", "sm_90"], (8, 9), True),
        (["sm_80", "sm_90"], (8, 0), True),
        (["sm_86", "sm_90"], (8, 0), False),
        (["sm_80", "sm_90"], (12, 0), False),
        (["sm_80", "compute_90"], (12, 0), True),
        (["sm_80", "sm_120"], (12, 0), True),
        (["sm_100a"], (10, 0), True),
        ([], (9, 0), False),
    ],
)
def test_a_build_of_torch_runs_on_the_cards_it_has_code_for(
    architectures: list[str], capability: tuple[int, int], runs: bool
) -> None:
    assert has_code_for(architectures, *capability) is runs


@pytest.mark.parametrize(
    ("torch", "torchvision", "same"),
    [
        ("2.13.0+cu128", "0.28.0+cu128", True),
        ("2.13.0", "0.28.0", True),
        ("2.13.0+cu128", "0.28.0", False),
        ("2.13.0+cu128", "0.28.0+cu126", False),
        ("2.7.1+cu128", "0.22.1+cu128", False),
    ],
)
def test_an_images_torch_counts_only_with_its_own_torchvision(torch: str, torchvision: str, same: bool) -> None:
    wanted = {"torch": "2.13.0", "torchvision": "0.28.0"}
    assert same_torch(wanted, {"torch": torch, "torchvision": torchvision}) is same


def test_every_cache_lies_below_one_folder_and_the_allocator_has_its_own_syntax() -> None:
    environment = cache_environment("/root/spotter")
    folders = {name: value for name, value in environment.items() if "ALLOC" not in name}
    assert folders["MODEL_DIR"] == "/root/spotter/models"
    assert all(value.startswith("/root/spotter/models") for value in folders.values())
    assert {"HF_HOME", "TRANSFORMERS_CACHE", "TORCH_HOME", "PIP_CACHE_DIR"} <= set(folders)
    assert environment["PYTORCH_CUDA_ALLOC_CONF"] == environment["PYTORCH_ALLOC_CONF"] == ALLOCATOR
    assert dict(pair.split(":") for pair in ALLOCATOR.split(",")) == {
        "expandable_segments": "True",
        "max_split_size_mb": "128",
    }
