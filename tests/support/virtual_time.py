"""An event loop whose time goes by only when a test says so."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.support.timers import settled

__all__ = ("LoopClock", "VirtualTimeLoop", "pass_s", "run_in_virtual_time")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with timers by `now_s`."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s


class LoopClock:
    """Satisfies `bridge.clock.Clock` by the time of the loop."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def monotonic_s(self) -> float:
        return self._loop.now_s

    def now_us(self) -> int:
        return round(self._loop.now_s * 1_000_000)

    def wall_s(self) -> float:
        return self._loop.now_s


async def pass_s(loop: VirtualTimeLoop, seconds: float, *, step_s: float = 0.05) -> None:
    """Let so much time go by in steps; what is due has happened on return."""
    await settled()
    for _ in range(round(seconds / step_s)):
        loop.now_s += step_s
        # One turn makes due timers ready, the next runs them.
        await asyncio.sleep(0)
        await settled()


def run_in_virtual_time(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* to its end on such a loop."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)
