"""Feeds over a log in memory, and readers that follow them."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

from bridge.flow.following.batches import Gap, Run, Start
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
    pushed: int = 0

    def take(self, run: Run) -> bool:
        for entry in run.entries:
            self.payloads += entry.records.payloads
            if entry.gap is not None:
                self.gaps.append(entry.gap)
        return True

    def push(self, run: Run) -> bool:
        self.pushed += 1
        return self.take(run)


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

        async def read() -> None:
            async with aclosing(follower.runs(sink=seen.push)) as runs:
                async for run in runs:
                    seen.take(run)

        self.tasks.append(asyncio.create_task(read()))
        await settled()
        return seen
