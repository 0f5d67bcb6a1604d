"""A run is read for the review, and the file of its decisions held; in a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.models.review_log import DecisionLog
from console.operations.review_desk import Opened, find_run, log_path, open_desk

if TYPE_CHECKING:
    from console.workspace import Workspace


@dataclass(frozen=True, slots=True)
class News:
    """A run that was read."""

    opened: Opened
    log: DecisionLog | None
    held: str = ""
    """Why nothing can be decided; empty when it can."""
    decided: int = 0
    """Steps that this console had made by then: those that came later are not in it."""


def read_news(
    workspace: Workspace, wanted: str, log: DecisionLog | None, decided: int, failed: Callable[[str], None]
) -> News:
    """Read a run's regions and hold its file of decisions.

    Args:
        workspace: where it lies.
        wanted: its id or the beginning of it; empty: the last one that has ended.
        log: the file that is held already; another run's is left as it is.
        decided: steps put to `log` so far, counted before this is called.
        failed: told, in the writing thread, why a decision could not be kept.

    Raises:
        WrongInput: there is no such run, or what was decided about it cannot be read.
    """
    run = find_run(workspace, wanted or "last")
    path, fresh, held = log_path(workspace, run), None, ""
    if log is not None and log.path == path:
        log.settle()
    else:
        try:
            log = fresh = DecisionLog(path, failed)
        except WrongInput as error:
            log, held = None, str(error)
    try:
        return News(open_desk(workspace, run), log, held, decided)
    except BaseException:
        if fresh is not None:
            fresh.close()  # nobody else would, and the next reading would find its file held
        raise
