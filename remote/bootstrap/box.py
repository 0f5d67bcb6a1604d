"""A box as a bootstrap step sees it: commands with a limit, files below the root, and what earlier steps found."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remote.bootstrap.steps import Step, StepResult, StepUnmet
from remote.jobs import Agent
from remote.ssh.errors import brief
from remote.ssh.stream import Completed
from remote.transport import CommandTimeout, Transport


@dataclass(slots=True)
class Box:
    """What a step may use. `command` and `last_lines` tell what was tried last, for the error of a failed step."""

    transport: Transport
    agent: Agent
    found: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Evidence of the steps before, by step id."""
    recorded: Mapping[str, str] = field(default_factory=dict)
    """Evidence of this step from an earlier bootstrap with the same inputs."""
    command: str = ""
    last_lines: str = ""
    deadline: float = 0.0

    @property
    def root(self) -> str:
        """The Spotter root, absolute on the box."""
        return self.agent.root

    def begin(self, step: Step) -> None:
        """Turn to a step: its limit starts now."""
        self.command, self.last_lines = step.id, ""
        self.deadline = time.monotonic() + step.timeout_s
        kept = self.read_record(step.id)
        self.recorded = kept["evidence"] if kept and kept["inputs"] == step.inputs_hash else {}

    def run(self, command: str | Sequence[str]) -> Completed:
        """Run a command within the step's limit."""
        self.command = brief(command)
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise CommandTimeout("the step's limit has passed")
        done = self.transport.run(command, timeout_s=left)
        self.last_lines = done.last_lines()
        return done

    def expect(self, command: str | Sequence[str]) -> str:
        """The output of a command that must succeed. Raises StepUnmet otherwise."""
        done = self.run(command)
        if done.exit_code != 0:
            raise StepUnmet(done.last_lines() or f"exit code {done.exit_code}")
        return done.stdout.decode("utf-8", "replace")

    def read_record(self, step_id: str) -> dict[str, Any] | None:
        """What the box keeps of a step."""
        data = self.agent.follow(f"bootstrap/{step_id}.json", 0)
        if not data:
            return None
        record: dict[str, Any] = json.loads(data)
        return record

    def keep_record(self, result: StepResult) -> None:
        """Keep a result on the box."""
        record = {
            "id": result.id,
            "inputs": result.inputs_hash,
            "outcome": result.outcome,
            "evidence": dict(result.evidence),
            "elapsed_s": round(result.elapsed_s, 3),
            "at": time.time(),
        }
        self.agent.write(f"bootstrap/{result.id}.json", json.dumps(record, indent=1).encode())
