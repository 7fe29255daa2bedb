"""A change to a topic of the embedded log that was acknowledged survives kill -9; one that was not is there whole or not at all."""

import copy
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from bridge.messagelog import First
from tests.support.crash_administrator import TOPIC, Step, change_until_killed
from tests.support.log_backends import AnyLog, LocalBackend, soon

ROUNDS = 60
SEED = int(os.environ.get("CRASH_SEED", str(time.time_ns() % 1_000_000)))

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.support.crash_administrator"])


@dataclass
class Partition:
    payloads: list[bytes] = field(default_factory=list)
    consumers: set[int] = field(default_factory=set)


@dataclass
class Topic:
    age_s: int | None = None
    partitions: list[Partition] = field(default_factory=lambda: [Partition()])

    def after(self, step: Step) -> "Topic":
        topic = copy.deepcopy(self)
        match step.kind:
            case "purge":
                topic.partitions = [Partition() for _ in topic.partitions]
            case "grow":
                topic.partitions.append(Partition())
            case "keep":
                topic.age_s = step.number
            case "append":
                topic.partitions[step.partition_id].payloads.append(b"%d" % step.number)
            case _:
                topic.partitions[step.partition_id].consumers.add(step.number)
        return topic


def killed_round(directory: Path, seed: int, rng: random.Random) -> list[Step]:
    """Let a process change the topic, kill it after a random number of steps; what it said."""
    heard, said = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=change_until_killed, args=(str(directory), seed, said))
    process.start()
    said.close()
    try:
        steps = list(_heard(heard, process.pid, rng.randint(1, 60)))
    finally:
        heard.close()
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return steps


def _heard(heard: Connection, pid: int | None, kill_after: int) -> Iterator[Step]:
    assert pid is not None
    assert heard.recv_bytes() == b"opening"
    for count in range(1, 1_000_000):
        try:
            message = heard.recv_bytes()
        except (EOFError, OSError):
            return
        yield msgspec.msgpack.decode(message, type=Step)
        if count == kill_after:
            os.kill(pid, signal.SIGKILL)


async def found(log: AnyLog, consumers: set[int]) -> Topic:
    info = await log.topic(TOPIC, deadline=soon())
    topic = Topic(info.retention.age_s, [])
    for part in info.partitions:
        page = await log.read(TOPIC, part.id, First(), count=10_000, deadline=soon())
        assert [message.offset for message in page.messages] == list(range(part.messages_count))
        stored = {
            consumer
            for consumer in consumers
            if await log.stored_offset(TOPIC, part.id, consumer, deadline=soon()) is not None
        }
        topic.partitions.append(Partition([message.payload for message in page.messages], stored))
    return topic


@pytest.mark.crash
@pytest.mark.timeout(300)
async def test_an_acknowledged_change_survives_kill_9(tmp_path: Path) -> None:
    print(f"CRASH_SEED={SEED}")  # noqa: T201 (to run the same again)
    rng = random.Random(SEED)
    backend = LocalBackend(tmp_path / "data")
    expected = Topic()
    consumers: set[int] = set()
    kinds: set[str] = set()
    for _ in range(ROUNDS):
        begun: Step | None = None
        for step in killed_round(tmp_path / "data", rng.randint(0, 2**32), rng):
            if step.kind == "consume":
                consumers.add(step.number)
            begun = None if step.done else step
            if step.done:
                kinds.add(step.kind)
                expected = expected.after(step)
        log = await backend.open()
        there = await found(log, consumers)
        await backend.close()
        assert there in (expected, expected if begun is None else expected.after(begun))
        expected = there
    assert kinds == {"purge", "grow", "keep", "append", "consume"}
