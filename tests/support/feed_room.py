"""Feeds over a log in memory, and readers that follow them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.flow.following.batches import Gap, RecordBatch, Start
from bridge.flow.following.fan_out import Sink
from bridge.flow.following.follow import Feeds, Follower
from tests.support.memory_log import TOPIC
from tests.support.tail_bench import Bench
from tests.support.timers import settled

__all__ = ("Room", "Seen")


@dataclass
class Seen:
    """One reader's life: what it was given, and how it ended."""

    payloads: list[bytes] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    writes: int = 0

    async def drain(self) -> None:
        """It takes whatever comes."""

    def take(self, batches: Sequence[RecordBatch]) -> bool:
        self.writes += 1
        for batch in batches:
            self.payloads += batch.records.payloads
            if batch.gap is not None:
                self.gaps.append(batch.gap)
        return True

    def sink(
        self, write: Callable[[tuple[RecordBatch, ...]], bool] | None = None
    ) -> Sink[tuple[RecordBatch, ...]]:
        return Sink("seen", tuple, write or self.take, self.drain)


@dataclass
class Room:
    """Feeds, and the readers that were let in."""

    bench: Bench
    feeds: Feeds
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)

    async def follow(self, start: Start, partitions: list[int] | None = None) -> Follower:
        follower = await self.feeds.follow(TOPIC, start, partitions=partitions, deadline=self.bench.in_s(5))
        self.followers.append(follower)
        return follower

    async def live(self, start: Start, partitions: list[int] | None = None) -> Seen:
        seen, follower = Seen(), await self.follow(start, partitions)

        self.tasks.append(asyncio.create_task(follower.run(seen.sink())))
        await settled()
        return seen
