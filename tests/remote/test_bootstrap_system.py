"""System packages: installed where apt and root are, told where they are not; in the way only when a run needs them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from remote.bootstrap.run import bootstrap
from remote.bootstrap.steps import BootstrapFailed, StepResult
from remote.bootstrap.system import run_packages_step, system_step
from remote.transport import Transport
from tests.remote.sshd import Sshd

SHIMS = {
    "id": "echo {uid}",
    "dpkg-query": 'shift 3; grep -qx "$1" {installed} && echo "install ok installed"',
    "apt-get": 'echo "$@" >> {calls}; case "$*" in *install*) {outcome} ;; esac',
}


@pytest.fixture
def system(sshd: Sshd) -> Path:
    """A box with an apt of its own; a package that it installs is known to its dpkg from then on."""
    folder = sshd.home / "shims"
    folder.mkdir()
    shell = sshd.folder / "shell.sh"
    path = f"export PATH={shlex.quote(str(folder))}:/usr/bin:/bin\ncd "
    shell.write_text(shell.read_text().replace("cd ", path, 1))
    (folder / "installed").touch()
    (folder / "calls").touch()
    return folder


def equip(system: Path, *, uid: int = 0, works: bool = True) -> None:
    took = f'for each; do :; done; echo "$each" >> {system}/installed'
    outcome = took if works else "echo E: Unable to locate package made-up >&2; exit 100"
    for name, text in SHIMS.items():
        filled = text.format(uid=uid, installed=system / "installed", calls=system / "calls", outcome=outcome)
        (system / name).write_text(f"#!/bin/sh\n{filled}\n")
        (system / name).chmod(0o755)


def outcome(transport: Transport, *, may_install: bool = True) -> StepResult:
    step = system_step(["made-up"], may_install=may_install)
    return bootstrap(transport, "spotter", [step], retry_pause_s=0.01)[0]


def calls(system: Path) -> list[str]:
    return (system / "calls").read_text().splitlines()


def test_what_is_missing_is_installed_once(transport: Transport, system: Path) -> None:
    equip(system)
    result = outcome(transport)
    assert (result.outcome, result.evidence) == ("ran", {"there": "made-up"})
    update, install = calls(system)
    assert update.endswith("update")
    assert install.endswith("install --no-install-recommends made-up")
    assert outcome(transport).outcome == "kept"
    assert len(calls(system)) == 2


def test_an_apt_that_fails_is_told_and_the_bootstrap_goes_on(transport: Transport, system: Path) -> None:
    equip(system, works=False)
    result = outcome(transport)
    assert result.outcome == "failed"
    assert "Unable to locate package made-up" in result.evidence["reason"]
    assert len(calls(system)) == 4  # tried twice


def test_without_root_nothing_is_tried(transport: Transport, system: Path) -> None:
    equip(system, uid=1000)
    result = outcome(transport)
    assert (result.outcome, result.evidence["reason"]) == (
        "skipped",
        "made-up cannot be installed: the login is not root",
    )
    assert not calls(system)


def test_an_emulated_box_leaves_this_machine_alone(transport: Transport, system: Path) -> None:
    equip(system)
    result = outcome(transport, may_install=False)
    assert result.outcome == "skipped"
    assert "emulated on this machine" in result.evidence["reason"]
    assert not calls(system)


READING = ("tesseract-ocr", "tesseract-ocr-eng", "tesseract-ocr-chi-sim")


def test_a_run_that_reads_text_from_pixels_gets_the_languages_that_it_names(transport: Transport, system: Path) -> None:
    equip(system)
    languages, program, apt = system / "languages", system / "tesseract", system / "apt-get"
    languages.write_text("List of available languages\nosd\n")
    program.write_text(f"#!/bin/sh\ncat {languages}\n")
    program.chmod(0o755)
    apt.write_text(
        apt.read_text().replace("for each; do :;", f"printf 'eng\\nchi_sim\\n' >> {languages}; for each; do :;")
    )
    step = run_packages_step(READING)
    result = bootstrap(transport, "spotter", [step], retry_pause_s=0.01)[0]
    assert (result.outcome, result.evidence) == ("ran", {"there": ", ".join(READING)})
    assert calls(system)[-1].endswith("--no-install-recommends tesseract-ocr-eng tesseract-ocr-chi-sim")
    languages.write_text("List of available languages\neng\n")
    assert bootstrap(transport, "spotter", [step], retry_pause_s=0.01)[0].outcome == "ran"
    assert calls(system)[-1].endswith("--no-install-recommends tesseract-ocr-chi-sim")


@pytest.mark.parametrize(
    ("uid", "apt_says", "may_install", "told"),
    [
        (1000, "", True, "made-up cannot be installed: the login is not root"),
        (0, "", False, "made-up cannot be installed: the box is emulated on this machine; here `apt-get install made"),
        (0, "E: Unable to locate package made-up", True, "made-up cannot be installed: Unable to locate package made-"),
        (
            0, "W: Failed to fetch http://deb.debian.org/x  Temporary failure resolving 'deb.debian.org'", True,
            "made-up cannot be installed: apt does not reach its servers from the box (W: Failed to fetch http",
        ),
    ],
)  # fmt: skip
def test_a_box_without_what_a_run_needs_is_not_ready_and_says_why_in_one_sentence(
    transport: Transport, system: Path, uid: int, apt_says: str, may_install: bool, told: str
) -> None:
    equip(system, uid=uid, works=False)
    apt = system / "apt-get"
    apt.write_text(apt.read_text().replace("E: Unable to locate package made-up", apt_says.replace("'", "")))
    with pytest.raises(BootstrapFailed) as failed:
        bootstrap(transport, "spotter", [run_packages_step(["made-up"], may_install=may_install)], retry_pause_s=0.01)
    assert failed.value.step == "run-packages"
    assert failed.value.last_lines.startswith(told)
    assert "\n" not in failed.value.last_lines
