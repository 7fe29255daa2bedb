"""When a worker that ended is started again (pure)."""

from bridge.limits import (
    WORKER_RESTART_BASE_DELAY_S,
    WORKER_RESTART_DELAY_S_MAX,
    WORKER_SHORT_LIFE_S,
    WORKER_SHORT_LIVES_MAX,
)

__all__ = ("Lives",)


class Lives:
    """The short lives in a row of one worker."""

    __slots__ = ("_short",)

    def __init__(self) -> None:
        self._short = 0

    def ended(self, lived_s: float) -> float | None:
        """
        A life of *lived_s* is over.

        Returns:
            Seconds until the next one begins, 0 for the first short one; None where there shall be no other.
        """
        if lived_s >= WORKER_SHORT_LIFE_S:
            self._short = 0
            return 0.0
        self._short += 1
        if self._short >= WORKER_SHORT_LIVES_MAX:
            return None
        if self._short == 1:
            return 0.0
        return min(WORKER_RESTART_DELAY_S_MAX, WORKER_RESTART_BASE_DELAY_S * 2.0 ** (self._short - 2))
