"""How many partitions all topics of a log have together, and whether there may be more (shell)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.clock import Clock, Deadline
from bridge.errors import BadRequest, DeadlineExceeded, NotFound, Outcome, RequestError
from bridge.flow.timers import some_at_once
from bridge.limits import PARTITIONS_COUNTED_AT_ONCE, PARTITIONS_RECOUNT_S, PARTITIONS_RECOUNT_S_MIN
from bridge.messagelog import MessageLog


class PartitionRoom:
    """Room for *partitions_max* partitions; those that are there already, whoever made them, count.

    One topic grows at a time, so that two do not both take the last room. Several bridges of one log may pass the bound
    by what each of them makes within `PARTITIONS_RECOUNT_S`.
    """

    def __init__(self, log: MessageLog, clock: Clock, partitions_max: int) -> None:
        self._log = log
        self._clock = clock
        self._partitions_max = partitions_max
        self._turn = asyncio.Lock()
        self._count = 0
        self._counted_s: float | None = None

    @asynccontextmanager
    async def taken(self, count: int, *, path: str, deadline: Deadline) -> AsyncIterator[None]:
        """For a `with` block that makes *count* partitions.

        Raises:
            BadRequest: if there is no room for them; *path* says where the number stood.
            LogError: if they could not be counted; nothing was made.
        """
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await self._turn.acquire()
        except TimeoutError:
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN) from None
        try:
            await self._check(count, path, deadline)
            try:
                yield
            except RequestError:
                # None was made.
                raise
            except BaseException:
                # Nobody knows whether they were made.
                self._counted_s = None
                raise
            self._count += count
        finally:
            self._turn.release()

    async def _check(self, count: int, path: str, deadline: Deadline) -> None:
        if self._age_s > PARTITIONS_RECOUNT_S or (
            self._count + count > self._partitions_max and self._age_s > PARTITIONS_RECOUNT_S_MIN
        ):
            self._count = await self._counted(deadline)
            self._counted_s = self._clock.monotonic_s()
        if self._count + count > self._partitions_max:
            raise BadRequest(
                f"All topics together may have {self._partitions_max} partitions (MAX_PARTITIONS), and there are "
                f"{self._count}.",
                path=path,
                limit=self._partitions_max,
            )

    @property
    def _age_s(self) -> float:
        return float("inf") if self._counted_s is None else self._clock.monotonic_s() - self._counted_s

    async def _counted(self, deadline: Deadline) -> int:
        async def of_stream(name: str) -> int:
            try:
                topics = await self._log.topics(name, deadline=deadline)
            except NotFound:
                return 0
            return sum(topic.partitions_count for topic in topics)

        names = [stream.name for stream in await self._log.streams(deadline=deadline)]
        return sum(await some_at_once(of_stream, names, PARTITIONS_COUNTED_AT_ONCE))
