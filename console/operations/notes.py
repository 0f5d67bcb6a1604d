"""Notes: what the operator writes on an instance, for the own eyes only; no cloud is told."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

from console.errors import WrongInput

if TYPE_CHECKING:
    from console.operations.session import Session

LONGEST_NOTE = 60


class NoteTooLong(WrongInput):
    """It would fill the row."""


def write_note(session: Session, instance_id: int, text: str) -> str:
    """Keep a note on an instance; an empty one takes it away. Returns what is kept.

    Raises:
        NoteTooLong: naming the limit.
    """
    import orjson

    from console.models.fleet_facts import notes_file, read_notes
    from pipeline.core.files import write_atomic

    text = " ".join(text.split())
    if len(text) > LONGEST_NOTE:
        raise NoteTooLong(f"a label has {LONGEST_NOTE} characters at most, this one {len(text)}")
    session.workspace.prepare()
    path = notes_file(session.workspace.state)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clouds = _all(path.read_bytes()) if path.exists() else {}
        notes = {str(key): each for key, each in read_notes(session.workspace.state, session.cloud_name).items()}
        notes.pop(str(instance_id), None)
        if text:
            notes[str(instance_id)] = text
        write_atomic(path, orjson.dumps({**clouds, session.cloud_name: notes}, option=orjson.OPT_INDENT_2))
    return text


def _all(told: bytes) -> dict[str, object]:
    import orjson

    try:
        clouds = orjson.loads(told)
    except orjson.JSONDecodeError:
        return {}
    return clouds if isinstance(clouds, dict) else {}
