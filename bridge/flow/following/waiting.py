"""Waiting for messages, and reading again once they are there (shell over `tails`)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

from bridge.clock import Deadline
from bridge.flow.following.partition_tail import PartitionTail
from bridge.flow.following.tails import Tails
from bridge.limits import LONG_POLL_AGAIN_S
from bridge.messagelog import TopicRef

_Page = TypeVar("_Page")


class Waiting:
    """How long one client waits: until a deadline, until it has left, or until the process ends.

    Args:
        deadline: of the waiting, not of the request.

    Attributes:
        given_up: the client has left.
    """

    def __init__(self, tails: Tails, deadline: Deadline) -> None:
        self._tails = tails
        self._deadline = deadline
        self.given_up = False
        self._stirred = asyncio.Event()

    def give_up(self) -> None:
        """The client has left."""
        self.given_up = True
        self._stirred.set()

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for any more."""
        return self.given_up or self._tails.waits_ended or not self._deadline.remaining_s()

    async def read_on(
        self,
        topic: TopicRef,
        page: _Page,
        read: Callable[[], Awaitable[_Page]],
        *,
        begin: Callable[[_Page], Mapping[int, int]],
        is_enough: Callable[[_Page], bool],
        messages_min: int,
    ) -> _Page:
        """*page*, or what *read* gives in its place once there is enough or the wait is over.

        Args:
            begin: where a page begins; *messages_min* from there on are waited for, all partitions together.

        Raises:
            Overloaded: if `TAILS_MAX` partitions are watched.
            StreamNotFound, TopicNotFound, PartitionNotFound: if one of the partitions is no more.
            LogError: if the log cannot be read.
        """
        while not is_enough(page) and not self.is_over:
            came = await self.until(topic, begin(page), messages_min)
            if self.given_up:
                break
            # At the end of the wait too: fewer than were wanted may have come.
            page = await read()
            if came and not is_enough(page):
                # Who was woken for nothing does not look again and again.
                await self._sleep(min(LONG_POLL_AGAIN_S, self._deadline.remaining_s()))
        return page

    async def until(self, topic: TopicRef, positions: Mapping[int, int], messages_min: int) -> bool:
        """Wait until so many messages at or after *positions* can be read, all partitions together; False if none came.

        True as well where a partition began anew, or ends before its position when its end is first looked at: read
        again, and see.

        Raises:
            Overloaded: if `TAILS_MAX` partitions are watched.
            StreamNotFound, TopicNotFound, PartitionNotFound: if one of the partitions is no more.
        """
        with ExitStack() as stack:
            tails: dict[int, PartitionTail] = {}
            for partition_id in positions:
                tails[partition_id] = stack.enter_context(self._tails.watch(topic, partition_id))
            beginnings = {tail: tail.beginnings for tail in tails.values()}
            # What these say first is newer than the positions; an end that is known already may be older.
            unknown = [partition_id for partition_id, tail in tails.items() if tail.end_offset is None]
            while True:
                if any(tail.beginnings != begun for tail, begun in beginnings.items()):
                    return True
                ends = _ends(tails)
                if any(ends.get(each, positions[each]) < positions[each] for each in unknown):
                    return True
                missing = messages_min - sum(
                    max(0, end - positions[partition_id]) for partition_id, end in ends.items()
                )
                if missing <= 0:
                    return True
                if self.is_over:
                    return False
                await self._change(
                    {
                        tail: max(positions[partition_id], ends[partition_id])
                        if partition_id in ends
                        else None
                        for partition_id, tail in tails.items()
                    }
                )

    async def _change(self, offsets: Mapping[PartitionTail, int | None]) -> None:
        """Return when one of the tails has gone beyond its offset, or the wait is over; raises what a tail says."""
        futures = {tail.wait(offset): tail for tail, offset in offsets.items()}
        try:
            if not any(future.done() for future in futures):
                for future in futures:
                    future.add_done_callback(lambda _: self._stirred.set())
                await self._sleep(self._deadline.remaining_s())
            for future in futures:
                if future.done():
                    future.result()
        finally:
            for future, tail in futures.items():
                tail.forget(future)

    async def _sleep(self, delay_s: float) -> None:
        """Until something has happened, for *delay_s* at most."""
        timer = self._tails.timers(delay_s, self._stirred.set)
        try:
            if not self.given_up:
                self._stirred.clear()
            await self._stirred.wait()
        finally:
            timer.cancel()


def _ends(tails: Mapping[int, PartitionTail]) -> dict[int, int]:
    return {
        partition_id: tail.end_offset for partition_id, tail in tails.items() if tail.end_offset is not None
    }
