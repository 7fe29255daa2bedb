import asyncio
from collections.abc import Sequence

from bridge.clock import Deadline, SystemClock
from bridge.limits import NDJSON_BATCH_MESSAGES, NDJSON_BATCH_MESSAGES_MAX
from bridge.messagelog import (
    Balanced,
    Durability,
    NewMessage,
    NewRecords,
    Placement,
    Receipt,
    TopicRef,
)
from bridge.web.bodies.bulk_writer import BulkWriter


class BusyLog:
    """Takes one batch at a time, and holds it as long as it is busy."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.free = asyncio.Event()

    async def append(
        self,
        topic: TopicRef,  # noqa: ARG002 (as of every log)
        placement: Placement,  # noqa: ARG002
        messages: Sequence[NewMessage],
        *,
        deadline: Deadline,  # noqa: ARG002
    ) -> Receipt:
        records = NewRecords.of(messages)
        offset = sum(map(len, self.batches))
        self.batches.append(list(records.payloads))
        await self.free.wait()
        return Receipt(0, offset, len(records), Durability.PERSISTED)


def _writer(log: BusyLog) -> BulkWriter:
    return BulkWriter(
        log, TopicRef("s", "t"), Balanced(), headers={}, clock=SystemClock(), batch_timeout_s=30.0
    )


async def _add(writer: BulkWriter, lines: range) -> None:
    for first in range(lines.start, lines.stop, 100):
        numbers = range(first, min(first + 100, lines.stop))
        await writer.add([b"%d" % number for number in numbers], numbers)
        # As between two chunks of a body.
        await asyncio.sleep(0)


async def test_lines_that_come_while_the_log_is_busy_share_the_next_batch() -> None:
    log = BusyLog()
    writer = _writer(log)
    lines = range(1, NDJSON_BATCH_MESSAGES + 2 * NDJSON_BATCH_MESSAGES_MAX + 1)
    adding = asyncio.create_task(_add(writer, lines))
    for _ in range(len(lines)):
        await asyncio.sleep(0)
    # The first left as soon as it was worth it, and whoever adds waits for room.
    assert [len(batch) for batch in log.batches] == [NDJSON_BATCH_MESSAGES]
    assert not adding.done()
    log.free.set()
    await adding
    await writer.close()
    assert len(log.batches[1]) == NDJSON_BATCH_MESSAGES_MAX
    assert max(map(len, log.batches)) == NDJSON_BATCH_MESSAGES_MAX
    assert [payload for batch in log.batches for payload in batch] == [b"%d" % number for number in lines]
    assert (writer.stored, writer.stored_to) == (len(lines), lines[-1])


async def test_a_log_that_keeps_up_gets_each_batch_as_soon_as_it_is_worth_a_commit() -> None:
    log = BusyLog()
    log.free.set()
    writer = _writer(log)
    await _add(writer, range(1, 3 * NDJSON_BATCH_MESSAGES + 1))
    await writer.close()
    assert [len(batch) for batch in log.batches] == [NDJSON_BATCH_MESSAGES] * 3
