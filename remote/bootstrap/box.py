"""A box as a bootstrap step sees it: commands with a limit, files below the root, and what earlier steps found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remote.bootstrap.steps import Step, StepResult, StepUnmet
from remote.clock import SYSTEM_CLOCK, Clock
from remote.jobs import Agent
from remote.progress import Report, silent
from remote.ssh.errors import brief
from remote.ssh.stream import Completed
from remote.transport import CommandTimeout, Transport


@dataclass(slots=True)
class Box:
    """What a step may use. `command` and `last_lines` tell what was tried last, for the error of a failed step."""

    agent: Agent
    report: Report = silent
    clock: Clock = SYSTEM_CLOCK
    found: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Evidence of the steps before, by step id."""
    recorded: Mapping[str, str] = field(default_factory=dict)
    """Evidence of this step from an earlier bootstrap with the same inputs."""
    step: str = ""
    command: str = ""
    last_lines: str = ""
    deadline: float = 0.0

    @property
    def root(self) -> str:
        """The Spotter root, absolute on the box."""
        return self.agent.root

    @property
    def transport(self) -> Transport:
        """The connection in use now."""
        return self.agent.transport

    @property
    def left_s(self) -> float:
        """What is left of the step's limit. Raises CommandTimeout when that is nothing."""
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise CommandTimeout("the step's limit has passed")
        return left

    def begin(self, step: Step) -> None:
        """Turn to a step: its limit starts now."""
        self.step, self.command, self.last_lines = step.id, step.id, ""
        self.deadline = self.clock.monotonic() + step.timeout_s
        kept = self.read_record(step.id)
        self.recorded = kept["evidence"] if kept and kept["inputs"] == step.inputs_hash else {}

    def run(self, command: str | Sequence[str], *, shown: str = "") -> Completed:
        """Run a command within the step's limit; `shown` names it in errors when the command itself is no reading."""
        self.command = shown or brief(command)
        done = self.transport.run(command, timeout_s=self.left_s)
        self.last_lines = done.last_lines()
        return done

    def expect(self, command: str | Sequence[str], *, shown: str = "") -> str:
        """The output of a command that must succeed. Raises StepUnmet otherwise."""
        done = self.run(command, shown=shown)
        if done.exit_code != 0:
            raise StepUnmet(done.last_lines() or f"exit code {done.exit_code}")
        return done.stdout.decode("utf-8", "replace")

    def read_record(self, step_id: str) -> dict[str, Any] | None:
        """What the box keeps of a step; a record that cannot be read counts as none."""
        data = self.agent.follow(f"bootstrap/{step_id}.json", 0)
        if not data:
            return None
        try:
            record: dict[str, Any] = json.loads(data)
        except ValueError:
            return None
        return record

    def keep_record(self, result: StepResult) -> None:
        """Keep a result on the box."""
        record = {
            "id": result.id,
            "inputs": result.inputs_hash,
            "outcome": result.outcome,
            "evidence": dict(result.evidence),
            "elapsed_s": round(result.elapsed_s, 3),
            "at": self.clock.time(),
        }
        self.agent.write(f"bootstrap/{result.id}.json", json.dumps(record, indent=1).encode())
