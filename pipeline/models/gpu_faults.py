"""What a GPU fails by, told apart: too little memory is a page's, and a larger card has more; all else is the card's.

After an illegal access, a lost card or a failed library call nothing more works in the process: every page that follows
would fail by it, and be kept as failed for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import RetryableError, StageCrash

_MEMORY = "out of memory"
_BROKEN = ("CUDA error", "CUDA driver error", "cuDNN error")
"""How messages of torch begin; its class for them, `AcceleratorError`, has not always been there."""


@contextmanager
def gpu_faults() -> Iterator[None]:
    """Turn what torch raises inside into errors of the domain.

    Raises:
        RetryableError: the memory is full; the page stays open for a machine that has more.
        StageCrash: the card does not work any more.
    """
    try:
        yield
    except RuntimeError as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        if type(error).__name__ == "OutOfMemoryError" or (told.startswith(_BROKEN) and _MEMORY in told):
            raise RetryableError(
                f"the GPU has too little memory for this page alone ({told}): end what else runs on it "
                "(nvidia-smi), or resume on one that has more"
            ) from error
        if told.startswith(_BROKEN):
            raise StageCrash(
                f"the GPU does not work any more ({told}): look at it with nvidia-smi and resume the run, on another "
                "machine if it happens again"
            ) from error
        raise
