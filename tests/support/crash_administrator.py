"""The process that is killed: changes a topic of the embedded log and says what it begins and what is done."""

import asyncio
import random
from collections.abc import Awaitable
from multiprocessing.connection import Connection

import msgspec

from bridge.clock import Deadline, SystemClock
from bridge.config import LocalLogConfig
from bridge.locallog import LocalMessageLog
from bridge.messagelog import NewMessage, Retention, ToPartition, TopicRef
from bridge.telemetry.metrics import LogMetrics

__all__ = ("PARTITIONS_MAX", "TOPIC", "Step", "change_until_killed")

TOPIC = TopicRef("crash", "changed")
PARTITIONS_MAX = 12


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One change, first as it begins and again when it is done: "purge", "grow", "keep", "append" or "consume"."""

    kind: str
    partition_id: int
    number: int
    done: bool = False


def change_until_killed(directory: str, seed: int, said: Connection) -> None:
    asyncio.run(_change(directory, random.Random(seed), said))


async def _change(directory: str, rng: random.Random, said: Connection) -> None:
    clock = SystemClock()
    said.send_bytes(b"opening")
    log = await LocalMessageLog.open(LocalLogConfig(data_dir=directory), clock=clock, observer=LogMetrics())
    deadline = Deadline.after(120, clock)
    if not await log.streams(deadline=deadline):
        await log.create_stream(TOPIC.stream, deadline=deadline)
    if not await log.topics(TOPIC.stream, deadline=deadline):
        await log.create_topic(TOPIC, partitions_count=1, deadline=deadline)
    while True:
        partitions = (await log.topic(TOPIC, deadline=deadline)).partitions
        target = rng.choice(partitions)
        kinds = ["append"] * 6 + ["purge", "keep"]
        kinds += ["grow"] if len(partitions) < PARTITIONS_MAX else []
        kinds += ["consume"] * 2 if target.messages_count else []
        step = Step(rng.choice(kinds), target.id, rng.randint(1, 10**9))
        said.send_bytes(msgspec.msgpack.encode(step))
        await _work(log, step, deadline)
        said.send_bytes(msgspec.msgpack.encode(msgspec.structs.replace(step, done=True)))


def _work(log: LocalMessageLog, step: Step, deadline: Deadline) -> Awaitable[object]:
    match step.kind:
        case "purge":
            return log.purge_topic(TOPIC, deadline=deadline)
        case "grow":
            return log.add_partitions(TOPIC, 1, deadline=deadline)
        case "keep":
            return log.update_retention(TOPIC, Retention(age_s=step.number), deadline=deadline)
        case "append":
            message = NewMessage(payload=b"%d" % step.number)
            return log.append(TOPIC, ToPartition(step.partition_id), [message], deadline=deadline)
        case _:
            return log.store_offset(TOPIC, step.partition_id, step.number, 0, deadline=deadline)
