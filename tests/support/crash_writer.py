"""The process that is killed: writes to the embedded log and says what was acknowledged."""

import asyncio
import itertools
from multiprocessing.connection import Connection

import msgspec

from bridge.clock import Deadline, SystemClock
from bridge.config import LocalLogConfig
from bridge.locallog import LocalMessageLog
from bridge.messagelog import ByKey, NewMessage, TopicRef
from bridge.telemetry.metrics import LogMetrics

__all__ = ("PARTITIONS", "TOPIC", "WRITERS", "Acknowledged", "id_of", "payload_of", "write_until_killed")

TOPIC = TopicRef("crash", "topic")
PARTITIONS = 3
WRITERS = 16


class Acknowledged(msgspec.Struct, frozen=True, array_like=True):
    """One receipt: *count* messages of *writer*, numbered from *number* on in this round, at *offset*."""

    partition_id: int
    offset: int
    writer: int
    number: int
    count: int
    stored_offset: bool


def id_of(round_number: int, writer: int, number: int) -> int:
    return round_number << 48 | writer << 40 | number + 1


def payload_of(round_number: int, writer: int, number: int) -> bytes:
    """A payload that says where it belongs, of a size that differs."""
    return b"%d:%d:%d:" % (round_number, writer, number) + b"x" * (number * 37 % 700)


def write_until_killed(directory: str, round_number: int, said: Connection) -> None:
    asyncio.run(_write(directory, round_number, said))


async def _write(directory: str, round_number: int, said: Connection) -> None:
    clock = SystemClock()
    said.send_bytes(b"opening")
    log = await LocalMessageLog.open(LocalLogConfig(data_dir=directory), clock=clock, observer=LogMetrics())
    if round_number == 0:
        await log.create_stream(TOPIC.stream, deadline=Deadline.after(120, clock))
        await log.create_topic(TOPIC, partitions_count=PARTITIONS, deadline=Deadline.after(120, clock))

    async def write(writer: int) -> None:
        number = 0
        for turn in itertools.count():
            count = 1 + (turn * 7 + writer) % 5
            messages = [
                NewMessage(
                    payload=payload_of(round_number, writer, number + index),
                    id=id_of(round_number, writer, number + index),
                )
                for index in range(count)
            ]
            deadline = Deadline.after(120, clock)
            receipt = await log.append(TOPIC, ByKey(b"w%d" % writer), messages, deadline=deadline)
            if receipt.offset is None:
                raise RuntimeError("the embedded log always tells the offset")
            stores = turn % 4 == 0
            if stores:
                await log.store_offset(
                    TOPIC, receipt.partition_id, writer + 1, receipt.offset, deadline=deadline
                )
            said.send_bytes(
                msgspec.msgpack.encode(
                    Acknowledged(receipt.partition_id, receipt.offset, writer, number, count, stores)
                )
            )
            number += count

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
