"""What the agent does for a laptop beyond reading files: jobs, small files, samples, the dead-man's status."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.agent.box_samples import BoxSamples
from remote.agent.deadman_keep import keep_guarded_for_ever
from remote.agent.deadman_status import deadman_status
from remote.agent.files import sha256_of, write_atomically
from remote.agent.inside import resolve_inside
from remote.agent.jobs import Jobs
from remote.agent.listing import folder_of
from remote.agent.resume_script import write_resume_script
from remote.agent.samples import Sampler
from remote.agent.snapshot import snapshot_sqlite
from remote.agent.spec import JobSpec

Answer = tuple[dict[str, Any], bytes]


class BoxOperations:
    """The operations of one box, by name."""

    def __init__(self, root: Path, program: Path) -> None:
        self._root = root
        self._program = program
        self._jobs = Jobs(root, program)
        self._box_samples = BoxSamples(root)
        self._sampler = Sampler(root, self._box_samples.gpus)
        self._sampling = threading.Lock()
        self.table: dict[str, Callable[..., Answer]] = {
            "launch": lambda spec: (self._jobs.launch(JobSpec(**spec)).to_json(), b""),
            "status": lambda job: (self._jobs.status(job).to_json(), b""),
            "list": lambda: ({"jobs": [each.to_json() for each in self._jobs.all()]}, b""),
            "cancel": lambda job: (self._jobs.cancel(job).to_json(), b""),
            "sha256": lambda path: ({"sha256": sha256_of(self._inside(path))}, b""),
            "folder": lambda path, limit: (folder_of(root, path, limit), b""),
            "write": self._write,
            "sample": self._sample,
            "samples": lambda since, limit: ({"samples": self._box_samples.since(since, limit)}, b""),
            "deadman_status": lambda: (deadman_status(root).to_json(), b""),
            "snapshot_sqlite": self._snapshot_sqlite,
        }

    def settle(self) -> None:
        """What a box needs once an agent is there: the resume script, samples, its dead-man, a queue that goes on."""
        with contextlib.suppress(OSError):  # a full disk must not keep the laptop out
            write_resume_script(self._root, self._program)
        self._box_samples.keep()
        keep_guarded_for_ever(self._root, self._program)
        self._jobs.advance(wait=False)

    def _inside(self, path: str) -> Path:
        return Path(resolve_inside(str(self._root), path))

    def _write(self, path: str, mode: int, data: bytes = b"") -> Answer:
        where = self._inside(path)
        write_atomically(where, data, mode)
        return {"path": str(where)}, b""

    def _sample(self) -> Answer:
        with self._sampling:
            return self._sampler.sample(), b""

    def _snapshot_sqlite(self, path: str, to: str) -> Answer:
        target = self._inside(to)
        size, sha256 = snapshot_sqlite(self._inside(path), target)
        return {"path": str(target), "size": size, "sha256": sha256}, b""
