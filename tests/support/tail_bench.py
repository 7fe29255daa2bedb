"""Tails over a log in memory, by a clock that stands still."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bridge.clock import Deadline
from bridge.errors import BridgeError
from bridge.flow.following.batches import Gap
from bridge.flow.following.partition_tail import PartitionTail
from bridge.flow.following.tails import Tails
from bridge.messagelog import Records
from tests.support.clock import FakeClock
from tests.support.memory_log import TOPIC, MemoryLog
from tests.support.timers import FakeTimers

__all__ = ("Bench", "Ear", "tail_bench")


@dataclass
class Bench:
    log: MemoryLog
    clock: FakeClock
    timers: FakeTimers
    tails: Tails

    @asynccontextmanager
    async def heard(self, *, rest_s: float = 0) -> AsyncIterator[tuple[PartitionTail, "Ear"]]:
        """Partition 0, open and listened to, whose tail has rested for so long."""
        ear = Ear()
        with self.tails.watch(TOPIC, 0) as watch:
            await watch.opened(self.in_s(1))
            watch.listen(ear)
            if rest_s:
                await self.timers.pass_s(rest_s)
            yield watch, ear

    def in_s(self, seconds: float) -> Deadline:
        return Deadline.after(seconds, self.clock)


@dataclass
class Ear:
    """A listener that keeps what it was told, in order."""

    told: list[Gap | bytes | BridgeError] = field(default_factory=list)

    def on_records(self, partition_id: int, records: Records) -> None:
        del partition_id
        self.told += records.payloads

    def on_gap(self, gap: Gap) -> None:
        self.told.append(gap)

    def on_gone(self, partition_id: int, error: BridgeError) -> None:
        del partition_id
        self.told.append(error)


@asynccontextmanager
async def tail_bench(*, pushes: bool = False, partitions: int = 2) -> AsyncIterator[Bench]:
    clock, log = FakeClock(), MemoryLog(partitions)
    timers = FakeTimers(clock)
    tails = Tails(log.port, clock=clock, pushes=pushes, timers=timers)
    yield Bench(log, clock, timers, tails)
    log.gate.set()
    await tails.close()
