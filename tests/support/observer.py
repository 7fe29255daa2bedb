"""An observer that remembers what it was told, and can be waited for."""

import asyncio

from bridge.telemetry.port import NullObserver

__all__ = ("RecordingObserver",)


class RecordingObserver(NullObserver):
    """Lists of what happened; `connection` waits until a state has been told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.breaker: list[str] = []
        self.reconnections = 0
        self._changed = asyncio.Event()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def connection_changed(self, state: str) -> None:
        self.states.append(state)
        self._tell()

    def reconnected(self) -> None:
        self.reconnections += 1

    def breaker_changed(self, state: str) -> None:
        self.breaker.append(state)
        self._tell()

    async def connection(self, state: str) -> None:
        """Return when the newest state told is *state*."""
        while not self.states or self.states[-1] != state:
            await self._changed.wait()
