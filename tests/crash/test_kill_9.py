"""The promise of the embedded log: what was acknowledged survives kill -9 at any moment."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from bridge.messagelog import FromOffset, Message
from tests.support.checker import Account, Stored
from tests.support.crash_writer import (
    PARTITIONS,
    TOPIC,
    WRITERS,
    Acknowledged,
    id_of,
    payload_of,
    write_until_killed,
)
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


async def check_round(
    log: AnyLog, round_number: int, acknowledged: list[Acknowledged], starts: dict[int, int]
) -> None:
    """Everything acknowledged is where it was said to be; nothing is missing, doubled or out of order."""
    messages = {each: await stored_since(log, each, start) for each, start in starts.items()}
    account = Account(SEED)
    for writer in range(WRITERS):
        # What it sent last may have been stored and never acknowledged; five go together at most.
        sent = sum(receipt.count for receipt in acknowledged if receipt.writer == writer) + 5
        for number in range(sent):
            account.send(
                id_of(round_number, writer, number), payload_of(round_number, writer, number), writer=writer
            )
    for receipt in acknowledged:
        for index in range(receipt.count):
            message_id = id_of(round_number, receipt.writer, receipt.number + index)
            account.acknowledge(message_id, receipt.partition_id, receipt.offset + index)
        if receipt.stored_offset:
            position = await log.stored_offset(
                TOPIC, receipt.partition_id, receipt.writer + 1, deadline=soon()
            )
            assert position is not None
            assert position.offset >= receipt.offset
    stored = {
        partition_id: [Stored(each.offset, each.id, each.payload) for each in found]
        for partition_id, found in messages.items()
    }
    account.check(stored, starts=starts)
    for partition_id, found in messages.items():
        times = [message.timestamp_us for message in found]
        assert times == sorted(times)
        starts[partition_id] += len(found)


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_an_acknowledged_message_survives_kill_9(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    backend = LocalBackend(tmp_path / "data")
    starts = dict.fromkeys(range(PARTITIONS), 0)
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
    assert sum(starts.values()) >= acknowledged_count > ROUNDS
