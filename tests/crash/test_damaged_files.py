"""
Whatever happens to the files of the embedded log, nothing wrong is told as right: single bits of every kind of byte are
flipped, files are cut, left out or old, and each message is then as it was written, or said to be damaged, or the start is
refused in words.

Two things no file can tell, and they are claimed as they are: the last commit of a write-ahead log that ends in it, and one
that was cut off or taken away.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import PollError, StartupError
from bridge.locallog import LocalMessageLog
from bridge.locallog.database import Tuning
from bridge.messagelog import FromOffset, NewMessage, ToPartition, TopicRef
from tests.support.local_logs import TOPIC, open_log, open_topic, soon

SEED = int(os.environ.get("CRASH_SEED", "1"))
FILE, WAL, SHM = "messages.db", "messages.db-wal", "messages.db-shm"
PAGE, FRAME = 4096, 24 + 4096
OTHER = TopicRef(TOPIC.stream, "other")
PARTITIONS = ((TOPIC, 0), (TOPIC, 1), (OTHER, 0))
CONSUMER = 7


@dataclass
class Content:
    """
    What is told of a log.

    Attributes:
        names: of its streams and topics.
        messages: of each partition by offset: id and payload.
        damaged: how many places of each partition are said to be damaged.
    """

    names: list[str]
    place: int | None
    messages: list[dict[int, tuple[int, bytes]]]
    damaged: list[int]


@dataclass
class Log:
    """The files of a log that was killed or closed, and what was in it."""

    files: dict[str, bytes]
    content: Content


async def content_of(log: LocalMessageLog) -> Content:
    names = [stream.name for stream in await log.streams(deadline=soon())]
    names += [topic.name for topic in await log.topics(TOPIC.stream, deadline=soon())]
    place = await log.stored_offset(TOPIC, 0, CONSUMER, deadline=soon())
    found = Content(names, None if place is None else place.offset, [], [])
    for topic, partition_id in PARTITIONS:
        messages: dict[int, tuple[int, bytes]] = {}
        offset = damaged = 0
        # One by one, so that what is said to be damaged hides nothing else; one that is damaged may lie about its end.
        while offset < 100:
            try:
                page = await log.read(topic, partition_id, FromOffset(offset), count=1, deadline=soon())
            except PollError:
                damaged, offset = damaged + 1, offset + 1
                continue
            if not page.messages:
                break
            (message,) = page.messages
            messages[message.offset] = (message.id, message.payload)
            offset = message.offset + 1
        found.messages.append(messages)
        found.damaged.append(damaged)
    return found


async def written(directory: Path, *, closed: bool) -> Log:
    log = await open_topic(directory)
    await log.create_topic(OTHER, partitions_count=1, deadline=soon())
    for number in range(1, 61):
        message = NewMessage(payload=b"%d:" % number * (1 + number * 13 % 200), id=number)
        await log.append(TOPIC, ToPartition(number % 2), [message], deadline=soon())
        if number % 10 == 0:
            large = NewMessage(payload=b"x" * 9_000, id=1_000 + number)
            await log.append(OTHER, ToPartition(0), [large], deadline=soon())
    await log.store_offset(TOPIC, 0, CONSUMER, 5, deadline=soon())
    await log.append(OTHER, ToPartition(0), [NewMessage(payload=b"last", id=9_999)], deadline=soon())
    content = await content_of(log)
    files = {name: (directory / name).read_bytes() for name in (FILE, WAL, SHM)}
    await log.close()
    return Log({FILE: (directory / FILE).read_bytes()} if closed else files, content)


def faults(expected: Content, found: Content) -> list[str]:
    """What is wrong, or missing without a word."""
    told = [] if found.names == expected.names else [f"names {found.names}"]
    told += [] if found.place == expected.place else [f"place {found.place}"]
    for partition, was, is_now, damaged in zip(
        PARTITIONS, expected.messages, found.messages, found.damaged, strict=True
    ):
        told += [f"{partition}/{at} is wrong" for at, each in is_now.items() if was.get(at) != each]
        missing = was.keys() - is_now.keys()
        told += [f"{partition}: {sorted(missing)} missing"] if len(missing) > damaged else []
    return told


class Harm:
    """Opens a log whose files were harmed, in one directory again and again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def opened(self, files: dict[str, bytes]) -> Content | str:
        """What it tells; the words of the refusal where it does not open."""
        for path in self._directory.glob(f"{FILE}*"):
            path.unlink()
        for name, content in files.items():
            (self._directory / name).write_bytes(content)
        try:
            log = await open_log(self._directory, tuning=Tuning())
        except StartupError as refusal:
            return refusal.detail
        try:
            return await content_of(log)
        except PollError as told:
            return told.detail
        finally:
            await log.close()

    async def check(self, log: Log, harm: str, **files: bytes) -> bool:
        """Claim that nothing is wrong or missing without a word; whether anything had to be said."""
        found = await self.opened({**log.files, **files})
        if isinstance(found, str):
            assert "DATA_DIR" in found or "damaged" in found or "could not be read" in found
            return True
        told = faults(log.content, found)
        assert not told, f"seed {SEED}, {harm}: {told[:5]}"
        return found != log.content


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is one: hundreds of logs are opened in it."""
    shm = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="damage-", dir=shm if os.access(shm, os.W_OK) else None))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def harm(memory: Path) -> Harm:
    (memory / "harmed").mkdir()
    return Harm(memory / "harmed")


def flipped(content: bytes, at: int, rng: random.Random) -> bytes:
    spoilt = bytearray(content)
    spoilt[at] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


#: Where in a page of the database: its header and the pointers to cells, the heads of cells, the rest.
PLACES = {"page header": (0, 12), "cells": (12, 40), "rest": (40, PAGE)}


@pytest.mark.crash
@pytest.mark.parametrize("kind", ["file header", *PLACES])
async def test_a_bit_flipped_in_the_database_is_told_or_harmless(memory: Path, harm: Harm, kind: str) -> None:
    rng = random.Random(SEED)
    log = await written(memory / "log", closed=True)
    content = log.files[FILE]
    if kind == "file header":
        places = list(range(100))
    else:
        pages = range(0, len(content), PAGE)
        places = [page + rng.randrange(*PLACES[kind]) for page in pages for _ in range(3)]
    told = 0
    for at in places:
        told += await harm.check(log, f"byte {at}", **{FILE: flipped(content, at, rng)})
    assert 0 < told < len(places)


@pytest.mark.crash
async def test_a_bit_flipped_in_the_write_ahead_log_before_its_last_commit_is_told(
    memory: Path, harm: Harm
) -> None:
    rng = random.Random(SEED)
    log = await written(memory / "log", closed=False)
    wal = log.files[WAL]
    frames = [32 + number * FRAME for number in range(10)]
    heads = [frame + byte for frame in frames[::3] for byte in range(24)]
    bodies = [frame + 24 + rng.randrange(PAGE) for frame in frames for _ in range(3)]
    for at in (*range(32), *heads, *bodies):
        assert await harm.check(log, f"byte {at}", **{WAL: flipped(wal, at, rng)})


@pytest.mark.crash
async def test_a_database_cut_anywhere_is_refused(memory: Path, harm: Harm) -> None:
    log = await written(memory / "log", closed=True)
    size = len(log.files[FILE])
    cuts = (1, 99, 100, 101, 511, 513, PAGE + 1, size - 1, *range(PAGE, size, PAGE))
    for cut in cuts:
        assert await harm.check(log, f"cut at {cut}", **{FILE: log.files[FILE][:cut]})


@pytest.mark.crash
async def test_a_write_ahead_log_that_was_cut_leaves_whole_appends_from_the_start(
    memory: Path, harm: Harm
) -> None:
    log = await written(memory / "log", closed=False)
    wal = log.files[WAL]
    for cut in (0, 1, 31, 33, *range(32, len(wal), FRAME), *range(99, len(wal), 5 * FRAME)):
        found = await harm.opened({**log.files, WAL: wal[:cut]})
        if isinstance(found, str):
            continue
        for was, is_now, damaged in zip(log.content.messages, found.messages, found.damaged, strict=True):
            assert damaged == 0
            assert is_now == {offset: was[offset] for offset in range(len(is_now))}


@pytest.mark.crash
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
async def test_shared_memory_that_is_missing_old_or_rubbish_is_made_anew(
    memory: Path, harm: Harm, closed: bool
) -> None:
    rng = random.Random(SEED)
    log = await written(memory / "log", closed=closed)
    younger = await written(memory / "other", closed=False)
    for content in (b"", bytes(32_768), rng.randbytes(32_768), rng.randbytes(777), younger.files[SHM]):
        assert not await harm.check(log, "shared memory", **{SHM: content})
    without: dict[str, Any] = {name: each for name, each in log.files.items() if name != SHM}
    assert await harm.opened(without) == log.content
