"""The streams that live as long as their clients and the process do: how many, and why they end (shell)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from bridge.errors import BridgeError, NotFound
from bridge.limits import LIVE_STREAMS_MAX
from bridge.web.server.bounded import Bounded

# A farewell is a write or two: 5 ms for so many.
_FAREWELLS_PER_TURN: Final = 500


class EndReason(StrEnum):
    """What `bye` and `ended` give as their `reason`, of event streams and on sockets."""

    #: The process drains: the same again goes on at the cursor, here or elsewhere.
    SHUTDOWN = "shutdown"
    #: The topic, or a partition asked for, is no more.
    GONE = "gone"
    #: Something else is wrong with it.
    FAILED = "failed"
    #: The key or token that it was opened with ended, or may something else by now.
    UNAUTHORIZED = "unauthorized"
    #: The client wanted it so.
    UNSUBSCRIBED = "unsubscribed"


def reason_of(error: BridgeError) -> EndReason:
    """The word for a stream that *error* ended; the problem, told beside it, says more."""
    return EndReason.GONE if isinstance(error, NotFound) else EndReason.FAILED


class LiveKind(StrEnum):
    """What a stream is, for the figures."""

    EVENTS = "event_stream"
    SOCKET = "socket"
    SUBSCRIPTION = "subscription"


class LiveStreams:
    """Every open stream, whatever it speaks."""

    def __init__(self, streams_max: int = LIVE_STREAMS_MAX) -> None:
        self._slots = Bounded(streams_max, "Too many streams are open.")
        self._farewells: dict[object, Callable[[], None]] = {}
        self._counts = dict.fromkeys(LiveKind, 0)
        self._said = False

    def count(self, kind: LiveKind) -> int:
        """How many of that kind are open."""
        return self._counts[kind]

    @contextmanager
    def joined(self, farewell: Callable[[], None], kind: LiveKind, *, client: str) -> Iterator[None]:
        """Count one more stream as long as this is open.

        Args:
            farewell: called once when the process drains, at once if it does already; writes what is to be said and lets
                the stream end soon, without waiting for anything.
            client: the address whose stream it is.

        Raises:
            Overloaded: if there are too many, or too many of *client*; no stream was counted.
        """
        place = object()
        with self._slots.joined(client):
            self._farewells[place] = farewell
            self._counts[kind] += 1
            try:
                if self._said:
                    farewell()
                yield
            finally:
                del self._farewells[place]
                self._counts[kind] -= 1

    async def say_farewell(self) -> None:
        """The process drains: every stream, those that come later too, is to end."""
        self._said = True
        for count, (place, farewell) in enumerate(tuple(self._farewells.items()), 1):
            if place in self._farewells:
                farewell()
            if not count % _FAREWELLS_PER_TURN:
                await asyncio.sleep(0)
