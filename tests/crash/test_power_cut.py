"""
A power cut at any moment loses nothing that was acknowledged: the system calls of a process that writes are recorded, and
the files are built as a cut after any of them may leave them (`tests/support/power_cut.py`), opened and read.

`CRASH_POINTS=10000` tries as many states (`make power-cut`); `CRASH_SEED` chooses them.
"""

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bridge.clock import SystemClock
from bridge.config import LocalLogConfig
from bridge.errors import LogError, StartupError, StreamNotFound, TopicNotFound
from bridge.locallog import LocalMessageLog
from bridge.messagelog import FromOffset, NewMessage, ToPartition, TopicRef
from bridge.telemetry.metrics import LogMetrics
from tests.support.checker import Account, Stored
from tests.support.log_backends import soon
from tests.support.power_cut import Platter
from tests.support.programs import needs
from tests.support.syscalls import Call, recorded
from tests.support.traced_writer import CONSUMER, KEPT, PARTITIONS, PURGED, Note, payload_of

STATES = int(os.environ.get("CRASH_POINTS", "1000"))
SEED = int(os.environ.get("CRASH_SEED", str(time.time_ns() % 1_000_000)))
ROUNDS = 3
FILE = "messages.db"
#: Of shared memory nothing is trusted after a cut.
SHARED = f"{FILE}-shm"


class Told:
    """What the process had been told at one moment of its life."""

    def __init__(self) -> None:
        self.made = False
        self.kept = Account(SEED)
        # One after the other, each until its purge was acknowledged; while one is under way, two may hold.
        self.purged = [Account(SEED)]
        self.places: dict[int, int] = {}

    def hear(self, note: Note) -> None:
        account = self.kept if note.topic == KEPT.topic else self.purged[-1]
        match note.kind:
            case "made":
                self.made = True
            case "send":
                for each in note.ids:
                    account.send(each, payload_of(each), writer=note.writer)
            case "ack":
                for index, each in enumerate(note.ids):
                    account.acknowledge(each, note.partition_id, note.offset + index)
            case "place":
                self.places[note.partition_id] = max(note.offset, self.places.get(note.partition_id, 0))
            case "purge":
                self.purged = [self.purged[-1], Account(SEED)]
            case _:
                self.purged = self.purged[-1:]

    def check(self, found: "Found | None") -> None:
        if found is None:
            assert not self.made, f"seed {SEED}: the log was acknowledged and is not there"
            return
        self.kept.check(found.kept)
        faults = [account.faults(found.purged) for account in self.purged]
        assert [] in faults, f"seed {SEED}: {faults[0][:5]}"
        for partition_id, offset in self.places.items():
            assert found.places[partition_id] >= offset, f"seed {SEED}: a stored offset went back"


class Found(msgspec.Struct):
    """What a log has after a cut; that it takes the next message too was claimed as it was read."""

    kept: dict[int, list[Stored]]
    purged: dict[int, list[Stored]]
    places: dict[int, int]


async def found_in(directory: Path) -> Found | None:
    """All that a log which opens there has; None if its topics are not there."""
    log = await LocalMessageLog.open(
        LocalLogConfig(data_dir=str(directory)), clock=SystemClock(), observer=LogMetrics()
    )
    try:
        kept, purged = await _stored(log, KEPT), await _stored(log, PURGED)
        if kept is None or purged is None:
            return None
        places = {}
        for partition_id in range(PARTITIONS):
            place = await log.stored_offset(KEPT, partition_id, CONSUMER, deadline=soon())
            places[partition_id] = -1 if place is None else place.offset
        receipt = await log.append(KEPT, ToPartition(0), [NewMessage(payload=b"next")], deadline=soon())
        assert receipt.offset == len(kept[0]), f"seed {SEED}"
        return Found(kept, purged, places)
    finally:
        await log.close()


async def _stored(log: LocalMessageLog, topic: TopicRef) -> dict[int, list[Stored]] | None:
    try:
        await log.topic(topic, deadline=soon())
    except (StreamNotFound, TopicNotFound):
        return None
    found = {}
    for partition_id in range(PARTITIONS):
        page = await log.read(topic, partition_id, FromOffset(0), count=10_000, deadline=soon())
        found[partition_id] = [Stored(each.offset, each.id, each.payload) for each in page.messages]
    return found


def cuts(calls: list[Call], directory: Path, rng: random.Random) -> Iterator[tuple[dict[str, bytes], Told]]:
    """`STATES` states, spread over all moments, each with what the process had been told by then."""
    platter, told = Platter(str(directory)), Told()
    for number, call in enumerate(calls):
        if call.path.startswith(str(directory)):
            platter.apply(call)
        elif call.name == "write":
            told.hear(msgspec.json.decode(call.data, type=Note))
        for _ in range(STATES * (number + 1) // len(calls) - STATES * number // len(calls)):
            yield platter.left(rng), told


def shared_memory(rng: random.Random) -> bytes | None:
    return rng.choice((None, b"", bytes(32_768), rng.randbytes(32_768)))


def lay_down(directory: Path, state: dict[str, bytes], rng: random.Random) -> None:
    for path in directory.glob(f"{FILE}*"):
        path.unlink()
    for name, content in {**state, SHARED: shared_memory(rng)}.items():
        if content is not None and name.startswith(FILE):
            (directory / name).write_bytes(content)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory in memory where there is one: thousands of databases are synced in it."""
    memory = Path("/dev/shm")
    directory = tempfile.mkdtemp(prefix="power-cut-", dir=memory if os.access(memory, os.W_OK) else None)
    yield Path(directory)
    shutil.rmtree(directory)


def written(directory: Path, *, rounds: int, how: tuple[str, ...] = ()) -> list[Call]:
    """The system calls of a process that opens a log and writes, *rounds* times."""
    calls: list[Call] = []
    for round_number in range(rounds):
        arguments = [str(directory / "data"), str(directory / "notes"), str(round_number), *how]
        command = [sys.executable, "-m", "tests.support.traced_writer", *arguments]
        more, code = recorded(command, directory, directory / "trace")
        assert code == 0
        calls.extend(more)
    return calls


@pytest.mark.crash
@pytest.mark.timeout(3_600)
@needs("strace")
async def test_what_was_acknowledged_survives_a_power_cut_at_any_moment(tmp_path: Path, disk: Path) -> None:
    rng = random.Random(SEED)
    states: set[int] = set()
    told, found = Told(), None
    for state, told in cuts(written(tmp_path, rounds=ROUNDS), tmp_path / "data", rng):
        lay_down(disk, state, rng)
        states.add(hash(tuple(sorted(state.items()))))
        try:
            found = await found_in(disk)
            told.check(found)
        except BaseException as error:
            lay_down(tmp_path, state, rng)
            error.add_note(f"seed {SEED}, state {len(states)}; whose files are in {tmp_path}")
            raise
    acknowledged = told.kept.acknowledged_count
    print(f"seed {SEED}: {len(states)} states, {acknowledged} messages acknowledged, 0 lost")  # noqa: T201 (figures)
    assert acknowledged > 300
    assert len(states) > STATES // 2
    assert found is not None


@pytest.mark.crash
@needs("strace")
async def test_a_log_that_does_not_sync_is_found_out(tmp_path: Path, disk: Path) -> None:
    rng = random.Random(1)
    lost = 0
    calls = written(tmp_path, rounds=1, how=("unsynced",))
    for number, (state, told) in enumerate(cuts(calls, tmp_path / "data", rng)):
        # A cut in a hundred is enough to see it.
        if number % 10 == 0 and told.made:
            lay_down(disk, state, rng)
            try:
                told.check(await found_in(disk))
            except (AssertionError, StartupError, LogError):
                lost += 1
    assert lost > 10
