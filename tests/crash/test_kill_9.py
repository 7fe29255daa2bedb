"""The promise of the embedded log: what was acknowledged survives kill -9 at any moment."""

import multiprocessing
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from bridge.messagelog import FromOffset, Message
from tests.support.crash_writer import PARTITIONS, TOPIC, Acknowledged, write_until_killed
from tests.support.log_backends import AnyLog, LocalBackend, soon

ROUNDS = 200
SEED = int(os.environ.get("CRASH_SEED", str(time.time_ns() % 1_000_000)))

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.support.crash_writer"])


def killed_round(directory: Path, round_number: int, rng: random.Random) -> list[Acknowledged]:
    """Let a process write, kill it after a random number of acknowledgements; all that it got out."""
    heard, said = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=write_until_killed, args=(str(directory), round_number, said))
    process.start()
    said.close()
    # Every tenth is killed while it opens, that is, while it recovers from the kill before; the first makes the topic.
    kill_after = 0 if round_number and rng.random() < 0.1 else rng.randint(1, 120)
    try:
        acknowledged = list(_heard(heard, process.pid, kill_after))
    finally:
        heard.close()
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return acknowledged


def _heard(heard: Connection, pid: int | None, kill_after: int) -> Iterator[Acknowledged]:
    assert pid is not None
    assert heard.recv_bytes() == b"opening"
    if kill_after == 0:
        os.kill(pid, signal.SIGKILL)
    for count in range(1, 1_000_000):
        try:
            message = heard.recv_bytes()
        except (EOFError, OSError):
            return
        yield msgspec.msgpack.decode(message, type=Acknowledged)
        if count == kill_after:
            os.kill(pid, signal.SIGKILL)


async def stored_since(log: AnyLog, partition_id: int, offset: int) -> list[Message]:
    messages: list[Message] = []
    while page := (
        await log.read(TOPIC, partition_id, FromOffset(offset + len(messages)), count=10_000, deadline=soon())
    ).messages:
        messages.extend(page)
    return messages


def written(message: Message) -> tuple[int, int, int]:
    """Round, writer and number of a message, whose id tells the number too."""
    round_number, writer, number, _ = message.payload.split(b":")
    assert message.id == int(number) + 1
    return int(round_number), int(writer), int(number)


async def check_round(
    log: AnyLog, round_number: int, acknowledged: list[Acknowledged], starts: list[int]
) -> None:
    """Everything acknowledged is where it was said to be; nothing is missing, doubled or out of order."""
    numbers: dict[int, list[int]] = defaultdict(list)
    stored = [
        await stored_since(log, partition_id, starts[partition_id]) for partition_id in range(PARTITIONS)
    ]
    for partition_id, messages in enumerate(stored):
        start = starts[partition_id]
        assert [message.offset for message in messages] == list(range(start, start + len(messages)))
        times = [message.timestamp_us for message in messages]
        assert times == sorted(times)
        for message in messages:
            its_round, writer, number = written(message)
            assert its_round == round_number
            numbers[writer].append(number)
    for found in numbers.values():
        assert found == list(range(len(found)))
    for receipt in acknowledged:
        start = starts[receipt.partition_id]
        for index in range(receipt.count):
            message = stored[receipt.partition_id][receipt.offset + index - start]
            assert written(message) == (round_number, receipt.writer, receipt.number + index)
        if receipt.stored_offset:
            position = await log.stored_offset(
                TOPIC, receipt.partition_id, receipt.writer + 1, deadline=soon()
            )
            assert position is not None
            assert position.offset >= receipt.offset
    for partition_id, messages in enumerate(stored):
        starts[partition_id] += len(messages)


@pytest.mark.crash
@pytest.mark.timeout(300)
async def test_an_acknowledged_message_survives_kill_9(tmp_path: Path) -> None:
    print(f"CRASH_SEED={SEED}")  # noqa: T201 (to run the same again)
    rng = random.Random(SEED)
    backend = LocalBackend(tmp_path / "data")
    starts = [0] * PARTITIONS
    acknowledged_count = 0
    for round_number in range(ROUNDS):
        acknowledged = killed_round(tmp_path / "data", round_number, rng)
        acknowledged_count += sum(receipt.count for receipt in acknowledged)
        log = await backend.open()
        await check_round(log, round_number, acknowledged, starts)
        await backend.close()
    log = await backend.open()
    for partition_id in range(PARTITIONS):
        messages = await stored_since(log, partition_id, 0)
        assert [message.offset for message in messages] == list(range(starts[partition_id]))
    await backend.close()
    assert sum(starts) >= acknowledged_count > ROUNDS
