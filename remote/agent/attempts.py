"""Whether a job that ended is begun again, and when: a finite retry policy, or a service that runs for ever."""

from __future__ import annotations

from remote.agent.spec import JobSpec

LONGEST_RETRY_PAUSE_S = 600.0
FIRST_RESTART_PAUSE_S, LONGEST_RESTART_PAUSE_S = 1.0, 60.0
STEADY_S = 60.0
"""A service that ran for so long had begun well: its next restart waits as little as the first."""


class Attempts:
    """Counts the starts of one job."""

    def __init__(self, spec: JobSpec, first: int = 1) -> None:
        """`first` is the number of the coming start; starts before it count as used up."""
        self._spec = spec
        self._in_a_row = 0
        self.number = first

    def pause_s(self, code: int, ran_s: float) -> float | None:
        """Until the next start after one that ended with `code` (128 + n for signal n); None: there is none."""
        spec = self._spec
        if spec.is_service:
            if spec.restart == "on-failure" and code == 0:
                return None
            self._in_a_row = 1 if ran_s >= STEADY_S else self._in_a_row + 1
            return _doubled(FIRST_RESTART_PAUSE_S, self._in_a_row, LONGEST_RESTART_PAUSE_S)
        worth = code != 0 and (not spec.retry.on or code in spec.retry.on)
        if not worth or self.number > spec.retry.max:
            return None
        return _doubled(spec.retry.backoff_s, self.number, LONGEST_RETRY_PAUSE_S)


def _doubled(first_s: float, number: int, longest_s: float) -> float:
    return float(min(longest_s, first_s * 2 ** min(16, number - 1)))


def begins_again_after_loss(spec: JobSpec, attempt: int) -> bool:
    """Whether a job that a restart of the container ended is begun again; `attempt` was its last start."""
    return spec.is_service or attempt <= spec.retry.max
