"""Groups over the embedded log, whose stamps come from a clock that the test moves; and appends that are held up."""

import asyncio
from collections.abc import Sequence

from bridge.clock import Deadline
from bridge.groups.records import decoded
from bridge.locallog import LocalMessageLog
from bridge.messagelog import First, NewMessage, Placement, Receipt, ToPartition, TopicRef
from tests.support.clock import FakeClock
from tests.support.groups import Replica, Replicas
from tests.support.local_logs import TOPIC

__all__ = ("LEDGER", "SNAPSHOTS", "Gate", "Scene")

LEDGER = TopicRef("groups", "ledger")
SNAPSHOTS = TopicRef("groups", "snapshots")


class Scene:
    """A log of one topic with two partitions, and the time."""

    def __init__(self, log: LocalMessageLog, clock: FakeClock, replicas: Replicas) -> None:
        self.log = log
        self.clock = clock
        self.replicas = replicas

    async def start(self) -> Replica:
        return await self.replicas.start(clock=self.clock)

    def soon(self, seconds: float = 20.0) -> Deadline:
        return Deadline.after(seconds, self.clock)

    async def send(self, *payloads: bytes, partition_id: int = 0) -> None:
        messages = [NewMessage(payload) for payload in payloads]
        await self.log.append(TOPIC, ToPartition(partition_id), messages, deadline=self.soon())

    @staticmethod
    async def look(replica: Replica) -> None:
        """What a process does of itself every few seconds, whether it is asked for anything or not."""
        if not replica.groups._replica.is_followed:
            await replica.groups._replica._look()
        await replica.groups._maintenance.measure_once()

    async def told(self, kind: type) -> int:
        """How many records of that kind stand in the ledger."""
        page = await self.log.read(LEDGER, 0, First(), count=1_000, deadline=self.soon())
        return sum(isinstance(decoded(each.payload), kind) for each in page.messages)


class Gate:
    """Stands before a replica's appends to one topic, holds them up, or lets them fail."""

    def __init__(self, replica: Replica, topic: TopicRef) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.before: BaseException | None = None
        self.after: BaseException | None = None
        self._append = replica.appender.append
        self._topic = topic
        replica.appender.append = self.append  # type: ignore[method-assign]

    async def append(
        self, topic: TopicRef, placement: Placement, messages: Sequence[NewMessage], *, deadline: Deadline
    ) -> Receipt:
        if topic != self._topic:
            return await self._append(topic, placement, messages, deadline=deadline)
        self.reached.set()
        await self.open.wait()
        if self.before is not None:
            raise self.before
        receipt = await self._append(topic, placement, messages, deadline=deadline)
        if self.after is not None:
            raise self.after
        return receipt
