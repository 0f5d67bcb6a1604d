"""What a run does on this machine when its boxes are through and gone: the stages of the laptop.

They run in a process of their own, which has the secrets that they want in its environment, and nowhere else: no box,
no command line, no file. It is held on a leash: its standard input, which the system closes when this process goes,
however it goes. Then it hears what it asked for, and stops; a resume goes on from there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from console.errors import WrongInput
from console.models.run_view import EventFile
from console.operations.events import Report, Step
from console.operations.run_terms import STATE_OF_EXIT
from console.operations.runbook import Phase, RunEntry
from console.operations.session import Session
from console.operations.watch import StageReporter
from console.operations.weights import checkpoint_root, use_own_registry
from console.settings import Secrets

LOOK_EVERY_S = 0.3
PATIENCE_S = 10.0
"""How long a process that was let go of may take to end, beyond the longest that an answer may take: one that is on its
way is paid, so it is heard."""
BUSY_PATIENCE_S = 30.0
"""The same for one that a killed console left behind."""


class SecretMissing(WrongInput):
    """The run wants a key that is not here; nothing was rented and nothing asked."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process of the pipeline ended, by the rules of every run."""

    state: str
    exit_code: int
    problem: str | None
    """Why it failed."""


def secret(session: Session, name: str) -> str | None:
    """A secret by the name of its variable: from the environment, else from the workspace's `.env`."""
    from dotenv import dotenv_values

    path = session.workspace.env_file
    return os.environ.get(name) or (dotenv_values(path).get(name) if path.exists() else None) or None


def check_secrets(session: Session, entry: RunEntry) -> None:
    """See that everything the run will want is here, before a machine is rented for it; what works goes on.

    Raises:
        SecretMissing: naming it, and where to put it.
    """
    if entry.machines or (entry.phase is Phase.DONE and entry.state == "succeeded"):
        return
    missing = [name for name in entry.secrets if secret(session, name) is None]
    if missing:
        raise SecretMissing(
            f"this run wants {' and '.join(missing)}: put it in {session.workspace.env_file} (chmod 600) as "
            f"{missing[0]}=…, or export it; then say the same command again"
        )


def finish_here(session: Session, entry: RunEntry, report: Report) -> Ended:
    """Do the laptop's stages of a run whose box's results are here."""
    return _run_on_this_machine(session, entry, ["--place", "laptop"], ", ".join(entry.laptop_stages), report)


def run_all_here(session: Session, entry: RunEntry, report: Report) -> Ended:
    """Do every stage of a run on this machine: no box takes part."""
    return _run_on_this_machine(session, entry, ["--workspace", str(session.workspace.root)], "all stages", report)


def _run_on_this_machine(session: Session, entry: RunEntry, where: Sequence[str], what: str, report: Report) -> Ended:
    folder = session.workspace.run_folder(entry.run_id)
    command = [sys.executable, "-m", "pipeline", "run", entry.pipeline, "--run-dir", str(folder)]
    command += [*where, "--resume", "--leash"]
    log = folder / "logs" / f"job-{entry.attempt}-laptop.log"
    with Step(
        "finish" if entry.laptop_stages and not entry.here else "work", f"on this machine: {what}", report
    ) as step:
        ended = run_held(command, folder, log, environment(session, entry.secrets), report, longest_answer_s(folder))
        step.summary = _summary(folder, log, ended)
        step.failed = ended.problem is not None
    return ended


def environment(session: Session, secrets: Sequence[str]) -> dict[str, str]:
    """This process's environment with these secrets, and without the others; the workspace's checkpoints are known."""
    from pipeline.models.store import ROOT_VARIABLE

    use_own_registry(session.workspace)
    kept = {name: value for name, value in os.environ.items() if name not in _known_secrets()}
    kept[ROOT_VARIABLE] = str(checkpoint_root(session.workspace))  # also where another folder is the current one
    return kept | {name: value for name in secrets if (value := secret(session, name)) is not None}


def _known_secrets() -> frozenset[str]:
    return frozenset(name.upper() for name in Secrets.model_fields)


def run_held(
    command: Sequence[str],
    folder: Path,
    log: Path,
    child_environment: Mapping[str, str],
    report: Report,
    answer_s: float = 0.0,
) -> Ended:
    """Run a process of the pipeline over a run's folder to its end, telling of its stages.

    On Ctrl-C it is let go of: it hears the answers that are on their way, of which one may take `answer_s`, and ends; a
    second Ctrl-C does not wait for that.
    """
    _await_holder(folder, answer_s + BUSY_PATIENCE_S)
    log.parent.mkdir(parents=True, exist_ok=True)
    reader = EventFile(folder / "events.jsonl")
    stages = StageReporter(report, reader.catch_up())
    begun_at = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        # In a session of its own: a Ctrl-C on the terminal is for the driver, who knows what may be cut short.
        process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
            env=dict(child_environment),
        )  # fmt: skip
        try:
            while process.poll() is None:
                reader.refresh()
                stages.tell(reader.view)
                time.sleep(LOOK_EVERY_S)
        except BaseException:
            _let_go(process, answer_s + PATIENCE_S)
            raise
        finally:
            stages.tell(reader.catch_up())
    with log.open("rb") as said:
        said.seek(begun_at)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
    state = STATE_OF_EXIT.get(process.returncode, "failed")
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    problem = ([*errors, *lines[-1:]] or [f"it ended with exit code {process.returncode}"])[0]
    return Ended(state, process.returncode, problem if state == "failed" else None)


def longest_answer_s(folder: Path) -> float:
    """How long a question that a run's stages ask of somebody may take, by its parameters; 0 where none is asked."""
    params = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    analyst = params.get("analyst") if isinstance(params, dict) else None
    return float(analyst.get("timeout_s") or 0.0) if isinstance(analyst, dict) else 0.0


def _let_go(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """End a process of the pipeline: by its leash, or, when that takes too long or is interrupted too, at once."""
    assert process.stdin is not None
    try:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _await_holder(folder: Path, patience_s: float) -> None:
    """Wait for a process that a killed console left behind, which ends by itself."""
    from pipeline.core.rundir import RunFolder

    deadline = time.monotonic() + patience_s
    while RunFolder(folder).holder() is not None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


def _summary(folder: Path, log: Path, ended: Ended) -> str:
    """The process's last word, and what its stages cost."""
    from pipeline.docparse.vlm.spending import paid_usd

    lines = log.read_text("utf-8", "replace").strip().splitlines() or [ended.state]
    spent = paid_usd(folder)
    money = f" · ${spent:.4f} for the analyst" if spent else ""
    return f"{ended.problem or lines[-1]}{money}"
