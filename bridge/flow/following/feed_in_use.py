"""A feed that is shared by all who want the same (shell)."""

import asyncio

from bridge.clock import Deadline
from bridge.flow.following.feeds import Feed
from bridge.flow.timers import in_background

__all__ = ("FeedInUse",)


class FeedInUse:
    """A feed, and how many use it."""

    __slots__ = ("_opening", "feed", "users")

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.users = 0
        self._opening: asyncio.Task[None] | None = None

    @property
    def failed(self) -> bool:
        """Whether it could not be opened, or has ended."""
        opening = self._opening
        return (
            opening is not None
            and opening.done()
            and (opening.cancelled() or opening.exception() is not None)
        ) or self.feed.error is not None

    async def opened(self, deadline: Deadline) -> Feed:
        """The feed, once it is open; whoever comes first opens it, with his deadline, for all."""
        if self._opening is None:
            self._opening = in_background(self.feed.open(deadline=deadline), name="feed open")
        await asyncio.shield(self._opening)
        return self.feed

    def close(self) -> None:
        """Nobody uses it any more."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        self.feed.close()
