"""What an operator sees and may do when a machine cannot be made ready, driven as processes on the emulated cloud."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from console.commands.bootstrap import ask_what_now
from console.operations.session import open_session
from console.workspace import create_workspace
from tests.end_to_end.conftest import operator
from tests.end_to_end.driving import Operator, draw_pdf

__all__ = ["operator"]

QUESTION = "[h]old, [r]elease or [t]ry again?"


@pytest.fixture
def broken(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """A workspace that asks of its machines what an emulated one cannot be: torch on a GPU."""
    draw_pdf(operator.root / "data" / "one.pdf", 1, "Bootstrap")
    monkeypatch.setenv("SPOTTER_BOOTSTRAP__STACK", "gpu")
    return operator


@pytest.mark.slow
def test_without_a_terminal_to_ask_a_machine_that_cannot_be_made_ready_is_given_back(broken: Operator) -> None:
    released = broken.run("run", check=1)
    assert "bootstrap step 'worker-environment' failed" in released.stderr
    assert "this box's is emulated: use the cpu stack here" in released.stderr
    assert broken.rented() == 0
    assert broken.run_entry()["state"] == "failed"


@pytest.mark.slow
def test_at_a_terminal_the_operator_is_asked_while_the_cost_ticks_and_mends_what_is_held(
    broken: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, master = pty.fork()
    if child == 0:
        os.execv(broken.command()[0], broken.command("run"))
    screen = Screen(master)
    screen.wait_for(lambda text: text.count(QUESTION) >= 2, "the question, and the cost again")
    assert broken.rented() == 1
    asked = len(screen.text)
    os.write(master, b"t\n")
    screen.wait_for(lambda text: "worker-environment" in text[asked:] and QUESTION in text[asked:], "the next question")
    asked = len(screen.text)
    os.write(master, b"h\n")
    screen.wait_for(lambda text: "gives it back" in text[asked:], "the end")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    os.close(master)
    (instance,) = broken.instances()
    number, run_id = str(instance["id"]), broken.run_entry()["run_id"]
    words = "".join(screen.text[asked:].split())
    assert f"instance{number}isheld:$" in words
    for command in (f"ssh {number}", f"bootstrap {number}", f"run --resume {run_id}", f"destroy {number}"):
        assert f"`spotter {command}`".replace(" ", "") in words
    steps = {line["step"]: line for line in broken.json("bootstrap", number, "--list")}
    assert steps["interpreter"]["outcome"] == "kept"
    assert steps["worker-environment"]["outcome"] == "failed"
    assert steps["worker-environment"]["evidence"]["last_lines"]

    monkeypatch.setenv("SPOTTER_BOOTSTRAP__STACK", "cpu")
    ready = broken.json("bootstrap", number)
    assert ready["python"].endswith("/venv/bin/python3")
    assert {line["step"]: line["outcome"] for line in ready["steps"]}["worker-environment"] == "found"
    assert f"instance {number}: $" in broken.run("bootstrap", number, "--list").stdout


@pytest.mark.parametrize(
    ("typed", "verdict"), [("h\n", "hold"), ("release\n", "release"), ("what?\nT\n", "retry"), ("", "release")]
)
def test_an_answer_is_its_first_letter_and_the_end_of_input_gives_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, verdict: str
) -> None:
    (tmp_path / "typed").write_text(typed)
    with (tmp_path / "typed").open() as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        assert ask_what_now(open_session(create_workspace(tmp_path)[0]), 7) == verdict


def test_no_answer_in_time_gives_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        assert ask_what_now(open_session(create_workspace(tmp_path)[0]), 7, patience_s=0.05) == "release"
    os.close(writing)
    assert "no answer: it is given back" in capsys.readouterr().err


class Screen:
    """What a terminal was sent."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.text = ""

    def wait_for(self, condition: Callable[[str], bool], what: str, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition(self.text):
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}; the screen has {self.text[-2000:]}"
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self._master, 65536).decode("utf-8", "replace")
                except OSError:
                    assert condition(self.text), f"it ended before {what}: {self.text[-2000:]}"
                    return
