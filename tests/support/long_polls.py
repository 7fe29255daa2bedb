"""Long polls and bulk reads that a test can wait for."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

from bridge.web.server.bounded import Bounded
from tests.support.bridge_app import BridgeApp

__all__ = ("ToldLongPolls", "told_end_of_bulk_reads", "told_long_polls")


class ToldLongPolls(Bounded):
    """Tells when the number of those who wait has changed."""

    __slots__ = ("_changed",)

    def __init__(self, polls_max: int = 20) -> None:
        super().__init__(polls_max, "Too many long polls are waiting.")
        self._changed = asyncio.Event()

    @contextmanager
    def joined(self, client: str) -> Iterator[None]:
        try:
            with super().joined(client):
                self._tell()
                yield
        finally:
            self._tell()

    async def are(self, count: int) -> None:
        """Return when so many wait."""
        while len(self) != count:
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def told_long_polls(bridge: BridgeApp, polls_max: int = 20) -> ToldLongPolls:
    """Puts them into *bridge*."""
    polls = ToldLongPolls(polls_max)
    object.__setattr__(bridge.services, "long_polls", polls)
    return polls


def told_end_of_bulk_reads(bridge: BridgeApp) -> asyncio.Event:
    """Set once a bulk read of *bridge* has given its place back."""
    ended, leaving = asyncio.Event(), ExitStack()
    leaving.callback(ended.set)
    object.__setattr__(bridge.services, "bulk_reads", SimpleNamespace(joined=lambda _: leaving))
    return ended
