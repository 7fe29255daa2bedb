"""Streams are never silent for long (shell): one timer for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from bridge.clock import Clock
from bridge.flow.timers import Timer, Timers, loop_timers
from bridge.limits import LIVE_HEARTBEAT_S

# Streams that are due within this are looked at together, which the others after them wait for.
_LOOK_S: Final = 0.5


class Beating(Protocol):
    """A stream."""

    def beat(self) -> None:
        """Called every `LIVE_HEARTBEAT_S` / 2: if nothing was written since the last time, write something."""


class Heartbeats:
    """Whose turn it is.

    Each stream is looked at twice in `LIVE_HEARTBEAT_S`, so that one that wrote something just after a look is silent
    for no longer than that. A timer of its own for each, set anew at each write, would cost 1 us a delivery.
    """

    def __init__(self, clock: Clock, *, timers: Timers = loop_timers) -> None:
        self._clock = clock
        self._timers = timers
        self._timer: Timer | None = None
        self._interval_s = LIVE_HEARTBEAT_S / 2 - _LOOK_S
        # In order of time: all wait equally long.
        self._due_s: dict[Beating, float] = {}

    @contextmanager
    def beating(self, stream: Beating) -> Iterator[None]:
        """As long as this is open."""
        self._due_s[stream] = self._clock.monotonic_s() + self._interval_s
        if self._timer is None:
            self._timer = self._timers(_LOOK_S, self._look)
        try:
            yield
        finally:
            del self._due_s[stream]
            if not self._due_s and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        due = []
        for stream, due_s in self._due_s.items():
            if due_s > now_s:
                break
            due.append(stream)
        try:
            for stream in due:
                # A beat may have ended another.
                if self._due_s.pop(stream, None) is not None:
                    self._due_s[stream] = now_s + self._interval_s
                    stream.beat()
        finally:
            # Whatever one of them raised: the others are to be looked at.
            self._timer = self._timers(_LOOK_S, self._look) if self._due_s else None
