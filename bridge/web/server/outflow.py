"""What waits for clients that do not take it (shell over `policy.slow_clients`): one budget and one timer for all of them."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from bridge.clock import Clock
from bridge.flow.timers import Timer, Timers, loop_timers
from bridge.limits import SLOW_CLIENTS_BYTES_MAX, UNSENT_BYTES_MAX, WRITE_BYTES_PER_S_MIN, WRITE_PATIENCE_S
from bridge.policy.slow_clients import MinimumRate, SlowReaders

# How late one is cut, and how often each is looked at while there is one.
_LOOK_S: Final = 1.0
_TOLD_INTERVAL_S: Final = 1.0
_log = structlog.get_logger("bridge.web")


class Outlet(Protocol):
    """A connection that is full."""

    #: What is in memory beside what was written until the client has taken that.
    also_held_bytes: int

    @property
    def pace(self) -> MinimumRate:
        """Of all the times that it was."""

    def waiting_bytes(self) -> int:
        """Written and not taken."""

    def cut(self) -> None:
        """End it, without a word: it would wait behind the rest."""


class Outflow:
    """Everything that is written, whatever wrote it: an answer, lines, events, a socket.

    A client must take what waits for it at a least rate, and all that waits for clients has one bound; past it the slowest
    are cut. What counts begins where a connection is full, which is at 64 KiB.

    Attributes:
        on_cut: told of each that is cut: "too_slow" or "budget".
    """

    __slots__ = ("_clock", "_cut", "_readers", "_tell_again_s", "_timer", "_timers", "on_cut")

    def __init__(
        self, clock: Clock, *, timers: Timers = loop_timers, bytes_max: int = SLOW_CLIENTS_BYTES_MAX
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._timer: Timer | None = None
        self._readers: SlowReaders[Outlet] = SlowReaders(bytes_max)
        self._cut = 0
        self._tell_again_s = 0.0
        self.on_cut: Callable[[str], None] = _nobody

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def held_bytes(self) -> int:
        """What is held for all of them."""
        return self._readers.held_bytes

    def full(self, outlet: Outlet) -> None:
        """Called while something is written to it: it takes no more for now."""
        waiting_bytes = outlet.waiting_bytes()
        self._readers.began(
            outlet,
            outlet.pace,
            self._clock.monotonic_s(),
            waiting_bytes=waiting_bytes,
            held_bytes=waiting_bytes + outlet.also_held_bytes,
        )
        for each in self._readers.surplus():
            self._end(each, "budget")
        if self._timer is None:
            self._timer = self._timers(_LOOK_S, self._look)

    def freed(self, outlet: Outlet) -> None:
        """It takes something again, or is gone."""
        self._readers.ended(outlet, self._clock.monotonic_s(), waiting_bytes=outlet.waiting_bytes())
        if not len(self._readers) and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        for outlet in self._readers.readers():
            if not self._readers.look(outlet, now_s, waiting_bytes=outlet.waiting_bytes()):
                self._end(outlet, "too_slow")
        self._timer = self._timers(_LOOK_S, self._look) if len(self._readers) else None

    def _end(self, outlet: Outlet, reason: str) -> None:
        now_s = self._clock.monotonic_s()
        held_bytes = self._readers.held_bytes
        self._readers.ended(outlet, now_s, waiting_bytes=outlet.waiting_bytes())
        # Not now: it may be the one that is just being written to.
        asyncio.get_running_loop().call_soon(outlet.cut)
        self.on_cut(reason)
        self._cut += 1
        if now_s >= self._tell_again_s:
            self._tell_again_s = now_s + _TOLD_INTERVAL_S
            _log.warning("slow_clients_cut", reason=reason, cut=self._cut, held_bytes=held_bytes)
            self._cut = 0


def write_pace() -> MinimumRate:
    """What a client must keep up that has something to take."""
    return MinimumRate(patience_s=WRITE_PATIENCE_S, bytes_per_s_min=WRITE_BYTES_PER_S_MIN)


def bound_unsent(transport: asyncio.BaseTransport) -> None:
    """Let the kernel keep little of what a client does not take, and end a connection whose peer acknowledges nothing.

    Else it takes up to 4 MiB of each answer: nobody counts them, and how fast they go shows in steps of a megabyte. And
    of what waits in the kernel, or in a connection that is not full, nothing else would ever see that nobody takes it.
    """
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    with contextlib.suppress(OSError):
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(WRITE_PATIENCE_S * 1000))
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)


def _nobody(_: str) -> None:
    """Nobody wants to know."""
