"""How many messages a client wants (shell): its own flow control."""

import asyncio

from bridge.errors import BadRequest
from bridge.limits import WS_PERMITS_MAX

__all__ = ("Permits",)


class Permits:
    """
    How many messages may still be sent, and a way to wait for more.

    Attributes:
        count: 0..`WS_PERMITS_MAX`.
    """

    __slots__ = ("_more", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self._more = asyncio.Event()

    def add(self, count: int) -> None:
        """
        So many more.

        Raises:
            BadRequest: if that would be too many; then none is added.
        """
        if self.count + count > WS_PERMITS_MAX:
            raise BadRequest(
                f"A subscription holds at most {WS_PERMITS_MAX} permits.",
                path="$.count",
                limit=WS_PERMITS_MAX,
            )
        self.count += count
        self._more.set()

    async def wait(self) -> None:
        """Until there is one."""
        while not self.count:
            self._more.clear()
            await self._more.wait()
