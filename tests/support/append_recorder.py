"""A log whose appends are answered by hand, and callers of one that gathers over it."""

import asyncio

from bridge.clock import Deadline, SystemClock
from bridge.errors import DeadlineExceeded, Outcome
from bridge.flow.appending.batching import BatchingAppender
from bridge.messagelog import (
    Durability,
    LogHealth,
    Messages,
    NewMessage,
    Placement,
    Receipt,
    ToPartition,
    TopicRef,
    sealed,
)

__all__ = ("FIRST", "TOPIC", "Recorder", "message", "send", "soon", "turns")

TOPIC = TopicRef("s", "t")
FIRST = ToPartition(0)


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, SystemClock())


def message(text: str) -> NewMessage:
    return NewMessage(payload=text.encode())


class Recorder:
    """Keeps each append until it is answered."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[tuple[Placement, list[str], Deadline, asyncio.Future[Receipt]]] = (
            asyncio.Queue()
        )
        self.stored: list[str] = []
        self.count = 3
        self.count_error: Exception | None = None
        self.detail = ""

    async def append(
        self,
        topic: TopicRef,  # noqa: ARG002 (the port's)
        placement: Placement,
        messages: Messages,
        *,
        deadline: Deadline,
    ) -> Receipt:
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        texts = [item.payload.decode() for item in sealed(messages)]
        if not texts:
            raise DeadlineExceeded(outcome=Outcome.NOT_WRITTEN)
        self.calls.put_nowait((placement, texts, deadline, answer))
        receipt = await answer
        self.stored.extend(texts)
        return receipt

    async def partitions_count(self, topic: TopicRef, *, deadline: Deadline) -> int:  # noqa: ARG002 (the port's)
        if self.count_error is not None:
            raise self.count_error
        return self.count

    def health(self) -> LogHealth:
        return LogHealth(
            kind="recorder",
            state="",
            ready=not self.detail,
            detail=self.detail,
            durability=Durability.PERSISTED,
        )

    async def probe(self, *, deadline: Deadline) -> None: ...

    async def answer(self, offset: int | None = None, *, partition_id: int = 0) -> list[str]:
        """Acknowledge the oldest append."""
        _, texts, _, answer = await self.calls.get()
        start = len(self.stored) if offset is None else offset
        answer.set_result(Receipt(partition_id, start, len(texts), Durability.PERSISTED))
        return texts

    async def refuse(self, error: Exception) -> list[str]:
        _, texts, _, answer = await self.calls.get()
        answer.set_exception(error)
        return texts


def send(
    appender: BatchingAppender, *texts: str, placement: Placement = FIRST, seconds: float = 60.0
) -> asyncio.Task[Receipt]:
    return asyncio.create_task(
        appender.append(TOPIC, placement, [message(text) for text in texts], deadline=soon(seconds))
    )


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
