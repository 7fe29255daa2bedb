"""Groups over a log, as one or more processes serve them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from bridge.clock import Clock, Deadline, SystemClock
from bridge.config import GroupsConfig
from bridge.errors import NotFound
from bridge.flow.appending.batching import BatchingAppender
from bridge.flow.following.tails import Tails
from bridge.groups.engine import Groups
from bridge.groups.records import AckKind
from bridge.groups.values import Delivery
from bridge.messagelog import NewMessage, Placement, Receipt, ToPartition, TopicRef
from bridge.telemetry.group_metrics import GroupMetrics, GroupStats
from tests.support.log_backends import AnyLog

__all__ = (
    "EVERYTHING",
    "GROUP",
    "LEASE_MS",
    "Replica",
    "Replicas",
    "Telling",
    "committed",
    "drained",
    "fill",
    "groups_over",
    "knows",
    "offsets_of",
    "soon",
)

CLOCK = SystemClock()
GROUP = "workers"
#: Of a lease whose end is waited for: longer than a busy machine needs to hand it out.
LEASE_MS = 2_000


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, CLOCK)


class ToldGroups(GroupMetrics):
    """Remembers how groups were said to stand, and when a message is dead-lettered."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[tuple[str, str, str], GroupStats | None] | None = None
        self.lettered = asyncio.Event()

    def group_dead_lettered(self, stream: str, topic: str, group: str, *, messages: int) -> None:
        super().group_dead_lettered(stream, topic, group, messages=messages)
        self.lettered.set()

    def groups_measured(self, stats: Mapping[tuple[str, str, str], GroupStats | None] | None) -> None:
        super().groups_measured(stats)
        self.told = None if stats is None else dict(stats)


class Telling:
    """Appends, and tells the tails of it as the bridge does."""

    def __init__(self, log: AnyLog, tails: Tails) -> None:
        self._gathered = BatchingAppender(log, probe=log)
        self._tails = tails

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        receipt = await self._gathered.append(topic, placement, messages, deadline=deadline)
        end = None if receipt.offset is None else receipt.offset + receipt.messages_count
        self._tails.stored(topic, receipt.partition_id, end)
        return receipt

    async def close(self) -> None:
        await self._gathered.close()


class Replica:
    """One process's groups."""

    def __init__(self, log: AnyLog, config: GroupsConfig, clock: Clock, *, pushes: bool) -> None:
        self.clock = clock
        self.figures = ToldGroups()
        self.tails = Tails(log, clock=clock, pushes=pushes)
        self.appender = Telling(log, self.tails)
        self.groups = Groups(
            log, self.appender, self.tails, config=config, clock=clock, observer=self.figures
        )
        self._running = asyncio.create_task(self.groups.run())

    def deadline(self) -> Deadline:
        return Deadline.after(60.0, self.clock)

    async def receive(
        self, topic: TopicRef, count: int = 10, *, wait_s: float = 0.0, group: str = GROUP, **options: int
    ) -> tuple[Delivery, ...]:
        return await self.groups.receive(
            topic, group, count=count, wait_s=wait_s, deadline=self.deadline(), **options
        )

    async def ack(self, topic: TopicRef, *deliveries: Delivery, group: str = GROUP) -> list[str]:
        tokens = [each.token for each in deliveries]
        settled = await self.groups.acknowledge(topic, group, AckKind.ACK, tokens, deadline=self.deadline())
        return [each.outcome.value for each in settled]

    async def crash(self) -> None:
        """End as a killed process does: nothing is said."""
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self.groups.end_waits()
        self.groups._served_groups.close()
        await self.tails.close()
        await self.appender.close()

    async def close(self) -> None:
        """End as a process does that was asked to."""
        await self.groups.release()
        await self.crash()


class Replicas:
    """Makes processes over one log, and ends those that are left."""

    def __init__(self, log: AnyLog, stack: AsyncExitStack, config: GroupsConfig, *, pushes: bool) -> None:
        self.log = log
        self._stack = stack
        self._config = config
        self._pushes = pushes

    async def start(self, *, clock: Clock = CLOCK) -> Replica:
        replica = Replica(self.log, self._config, clock, pushes=self._pushes)
        self._stack.push_async_callback(replica.crash)
        return replica

    async def send(self, topic: TopicRef, partition_id: int, *payloads: bytes) -> None:
        """Put messages into the log, as somebody who is not the bridge does."""
        await self.log.append(
            topic,
            ToPartition(partition_id),
            [NewMessage(payload) for payload in payloads],
            deadline=soon(),
        )


@asynccontextmanager
async def groups_over(log: AnyLog, stream: str, *, pushes: bool = False) -> AsyncIterator[Replicas]:
    """Processes over *log* whose ledger is in *stream*; without *pushes* they do not hear of each other's sends."""
    async with AsyncExitStack() as stack:
        yield Replicas(log, stack, GroupsConfig(stream=stream), pushes=pushes)


def offsets_of(deliveries: Sequence[Delivery]) -> list[tuple[int, int]]:
    """Where they are from: partition and offset."""
    return [(each.partition_id, each.message.offset) for each in deliveries]


#: What `fill` sends.
EVERYTHING = [(partition_id, offset) for partition_id in range(3) for offset in range(2)]


async def fill(replicas: Replicas, topic: TopicRef) -> None:
    """Two messages in each of the three partitions."""
    for partition_id in range(3):
        await replicas.send(topic, partition_id, b"a", b"b")


async def committed(log: AnyLog, topic: TopicRef, partition_id: int) -> int | None:
    stored = await log.stored_offset(topic, partition_id, f"group.{GROUP}", deadline=soon())
    return None if stored is None else stored.offset


async def drained(replica: Replica, topic: TopicRef, count: int) -> list[tuple[int, int]]:
    """Where the next *count* messages are from, received and acked one after the other."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        given = await replica.receive(topic, 1, wait_s=10)
        assert given
        found += offsets_of(given)
        assert await replica.ack(topic, *given) == ["done"]
    return found


async def knows(replica: Replica, topic: TopicRef, group: str) -> bool:
    try:
        await replica.groups.group(topic, group, deadline=soon())
    except NotFound:
        return False
    return True
