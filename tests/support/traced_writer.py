"""The process whose power is cut: writes to the embedded log, and notes in a file what it sends and what is acknowledged."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from bridge import limits
from bridge.clock import Deadline, SystemClock
from bridge.config import LocalLogConfig
from bridge.locallog import LocalMessageLog
from bridge.locallog.database import Tuning
from bridge.messagelog import ByKey, NewMessage, ToPartition, TopicRef
from bridge.telemetry.metrics import LogMetrics

__all__ = ("CONSUMER", "KEPT", "PARTITIONS", "PURGED", "Note", "payload_of")

STREAM = "cut"
KEPT, PURGED = TopicRef(STREAM, "kept"), TopicRef(STREAM, "purged")
PARTITIONS = 2
WRITERS = 6
APPENDS_OF_A_WRITER = 14
CONSUMER = 7


class Note(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """
    What the process says of itself.

    Attributes:
        kind: "made" (the topics are), "send", "ack", "place" (an offset was stored), "purge" (begins), "purged".
        ids: of the messages, in their order.
        offset: of the first of them; the stored one.
    """

    kind: str
    topic: str = ""
    writer: int = 0
    ids: tuple[int, ...] = ()
    partition_id: int = 0
    offset: int = 0


def payload_of(message_id: int) -> bytes:
    """A payload that says whose it is, of a size that differs; some span several pages of the database."""
    return (b"%d:" % message_id) * (1 + message_id * 37 % 90) + b"x" * (9_000 if message_id % 31 == 0 else 0)


class _Writing:
    def __init__(self, log: LocalMessageLog, notes: int, round_number: int) -> None:
        self._log = log
        self._notes = notes
        self._next_id = round_number * 1_000_000 + 1
        self.deadline = Deadline.after(600, SystemClock())

    def note(self, note: Note) -> None:
        os.write(self._notes, msgspec.json.encode(note) + b"\n")

    async def append(self, topic: TopicRef, writer: int, count: int) -> None:
        ids = tuple(range(self._next_id, self._next_id + count))
        self._next_id += count
        self.note(Note("send", topic.topic, writer, ids))
        messages = [NewMessage(payload=payload_of(each), id=each) for each in ids]
        place = ByKey(b"w%d" % writer) if topic == KEPT else ToPartition(0)
        receipt = await self._log.append(topic, place, messages, deadline=self.deadline)
        assert receipt.offset is not None
        self.note(Note("ack", topic.topic, writer, ids, receipt.partition_id, receipt.offset))
        if writer == 0 and topic == KEPT:
            await self._log.store_offset(
                topic, receipt.partition_id, CONSUMER, receipt.offset, deadline=self.deadline
            )
            self.note(Note("place", partition_id=receipt.partition_id, offset=receipt.offset))

    async def write(self, writer: int) -> None:
        for turn in range(APPENDS_OF_A_WRITER):
            await self.append(KEPT, writer, 1 + (turn * 7 + writer) % 4)

    async def purge(self) -> None:
        for _ in range(3):
            for _ in range(3):
                await self.append(PURGED, 99, 3)
            self.note(Note("purge"))
            await self._log.purge_topic(PURGED, deadline=self.deadline)
            self.note(Note("purged"))


async def _run(directory: Path, notes_path: Path, round_number: int, tuning: Tuning) -> None:
    # Many checkpoints in few messages.
    limits.LOCAL_RESERVE_BYTES, limits.LOCAL_CHECKPOINT_PAGES = 1024 * 1024, 24  # type: ignore[misc]
    log = await LocalMessageLog.open(
        LocalLogConfig(data_dir=str(directory)), clock=SystemClock(), observer=LogMetrics(), tuning=tuning
    )
    writing = _Writing(log, os.open(notes_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), round_number)
    if round_number == 0:
        await log.create_stream(STREAM, deadline=writing.deadline)
        for topic in (KEPT, PURGED):
            await log.create_topic(topic, partitions_count=PARTITIONS, deadline=writing.deadline)
        writing.note(Note("made"))
    await asyncio.gather(writing.purge(), *(writing.write(writer) for writer in range(WRITERS)))
    if round_number == 1:
        # As kill -9 leaves it; the next round finds a write-ahead log.
        os._exit(0)
    await log.close()


if __name__ == "__main__":
    # Without a sync it breaks its promise, which the test must find out.
    unsynced = Tuning(synchronous="off") if sys.argv[4:] == ["unsynced"] else Tuning()
    asyncio.run(_run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), unsynced))
