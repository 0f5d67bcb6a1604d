"""What can go wrong in a run, by who has to act: the operator, the item, nobody (it is retried), or the stage."""

from __future__ import annotations

import errno
from dataclasses import dataclass


class PipelineError(Exception):
    """Base of the domain's errors; the text is one sentence that says what, where and how to mend it."""


class UsageError(PipelineError):
    """The input, the parameters or the command line cannot be used; nothing was run."""


class RunBusy(UsageError):
    """Another process runs in this run folder."""


class ItemError(PipelineError):
    """This item cannot be processed, now or later; it is recorded and not tried again."""


class RetryableError(PipelineError):
    """It may work when tried again."""


class Interrupted(RetryableError):
    """The run was asked to stop before this item was through; it stays open."""


class StageCrash(PipelineError):
    """The stage itself cannot work (missing checkpoint, full disk); the run ends `failed`, no item is blamed."""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as ledger, events and report keep it."""

    type: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """Describe `error`; one that isn't a domain error names its type, because its text alone rarely says enough."""
        text = " ".join(str(error).split())
        if not isinstance(error, PipelineError):
            text = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return cls(type(error).__name__, text, is_retryable(error))


_FATAL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may succeed: said so by the stage, or a timeout, lost connection or memory shortage."""
    return isinstance(error, RetryableError | TimeoutError | ConnectionError | MemoryError)


def is_stage_crash(error: BaseException) -> bool:
    """Whether every other item would fail alike: said so by the stage, or a disk that takes no more data."""
    return isinstance(error, StageCrash) or (isinstance(error, OSError) and error.errno in _FATAL_ERRNOS)
