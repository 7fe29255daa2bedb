"""The circuit breaker (pure; the time comes from outside).

    closed ---- failures in a row reach the threshold ----> open
    open ------ its time is up, a request asks -----------> half open, that request is the probe
    half open - the probe fails --------------------------> open, for its full time again
    half open - enough probes in a row succeed -----------> closed

What counts as a failure is a request that ended by its deadline for the log's sake: silence, or a connection that did
not come back in time. An answer of any kind is a success. A request that a lost connection took along counts as
neither: otherwise one short restart under load would refuse those who could have waited.
"""

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPermit:
    """Leave for one request; exactly one of `succeeded`, `failed`, `abandoned` is told of it.

    Attributes:
        era: the breaker's count of changes when it was given; news of an older era is no news.
        probe: whether this request decides.
    """

    era: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """No leave; asking again makes sense after *retry_after_ms*."""

    retry_after_ms: int


class Breaker:
    """One breaker.

    Args:
        failures: in a row that open it, 1 or more.
        successes: probes in a row that close it, 1 or more.
        open_s: seconds that it stays open.
    """

    def __init__(self, *, failures: int, successes: int, open_s: float) -> None:
        self._failures = failures
        self._successes = successes
        self._open_s = open_s
        self.state = BreakerState.CLOSED
        self._count = 0
        self._era = 0
        # The same for all requests of an era: to make one takes 0.5 us, the rest of `admit` and `succeeded` 0.2 (measured).
        self._permit = BreakerPermit(0, probe=False)
        self._opened_at_s = 0.0
        self._probing = False

    def admit(self, now_s: float) -> BreakerPermit | Refused:
        """Leave for a request at *now_s*, or when to ask again."""
        if self.state is BreakerState.OPEN:
            left_s = self._opened_at_s + self._open_s - now_s
            if left_s > 0:
                return Refused(max(1, round(left_s * 1000)))
            self._change(BreakerState.HALF_OPEN)
        if self.state is BreakerState.CLOSED:
            return self._permit
        if self._probing:
            # Nobody knows how long the probe takes; it is bounded by a request's deadline.
            return Refused(1000)
        self._probing = True
        return BreakerPermit(self._era, probe=True)

    def blocks(self, now_s: float) -> bool:
        """Whether a request at *now_s* would be refused for the time being."""
        return self.state is BreakerState.OPEN and now_s < self._opened_at_s + self._open_s

    def succeeded(self, permit: BreakerPermit) -> None:
        """The request got an answer, even if it was a refusal."""
        if permit.era != self._era:
            return
        if not permit.probe:
            self._count = 0
            return
        self._probing = False
        self._count += 1
        if self._count >= self._successes:
            self._change(BreakerState.CLOSED)

    def failed(self, permit: BreakerPermit, now_s: float) -> None:
        """The request got no answer."""
        if permit.era != self._era:
            return
        self._count += 1
        if permit.probe or self._count >= self._failures:
            self._change(BreakerState.OPEN)
            self._opened_at_s = now_s

    def abandoned(self, permit: BreakerPermit) -> None:
        """The caller went away before anything was known."""
        if permit.era == self._era and permit.probe:
            self._probing = False

    def reset(self) -> None:
        """Close it: the log has proved to be there."""
        self._change(BreakerState.CLOSED)

    def _change(self, state: BreakerState) -> None:
        self.state = state
        self._era += 1
        self._permit = BreakerPermit(self._era, probe=False)
        self._count = 0
        self._probing = False
