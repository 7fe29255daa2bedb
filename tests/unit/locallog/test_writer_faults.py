"""A disk that fails: nothing false is acknowledged, and everybody is told what is known."""

import asyncio
import threading
from pathlib import Path
from typing import cast

import apsw
import pytest

from bridge import limits
from bridge.errors import ConnectionFailed, DeadlineExceeded, Outcome, Overloaded, SendError, TopicNotFound
from bridge.locallog import LocalLogFailed, LocalMessageLog
from bridge.locallog.database import Tuning
from bridge.locallog.transaction import Change, Transaction
from bridge.messagelog import First, Receipt, ToPartition
from tests.support.figures import WatchedLog, by_label
from tests.support.local_logs import TOPIC, Disk, messages, open_log, open_topic, soon


async def append(log: LocalMessageLog, *payloads: bytes) -> int | None:
    receipt = await log.append(TOPIC, ToPartition(0), messages(*(payloads or (b"x",))), deadline=soon())
    return receipt.offset


async def stored(log: LocalMessageLog) -> list[bytes]:
    page = await log.read(TOPIC, 0, First(), count=1000, deadline=soon())
    return [message.payload for message in page.messages]


@pytest.mark.parametrize("reached", ["begin", "commit"])
async def test_a_full_disk_refuses_and_recovers_by_itself(tmp_path: Path, reached: str) -> None:
    disk, metrics = Disk(), WatchedLog()
    log = await open_topic(tmp_path, tuning=disk.tuning(), observer=metrics)
    disk.failing[reached] = apsw.FullError
    with pytest.raises(Overloaded) as caught:
        await append(log, b"lost")
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert caught.value.retry_after_ms
    health = log.health()
    assert (health.state, health.ready) == ("full", False)
    assert health.detail
    await log.probe(deadline=soon())
    assert log.health().state == "full"
    disk.failing.clear()
    await log.probe(deadline=soon())
    assert log.health().ready
    assert await append(log, b"kept") == 0
    assert await stored(log) == [b"kept"]
    await log.close()
    assert metrics.states.told == ["open", "full", "open", "closed"]
    assert by_label(metrics.append_failures) == {"overloaded": 1}


async def test_a_disk_that_is_really_full_refuses_all_of_an_append_and_keeps_what_it_has(
    tmp_path: Path,
) -> None:
    log = await open_topic(tmp_path, tuning=Tuning(synchronous="off", pages_max=200))
    kept = 0
    while log.health().ready:
        try:
            await append(log, *[b"x" * 20_000] * 3)
        except Overloaded:
            break
        kept += 3
    assert kept > 0
    assert len(await stored(log)) == kept
    assert log.health().state == "full"
    await log.close()
    log = await open_log(tmp_path)
    assert len(await stored(log)) == kept
    await log.close()


async def test_a_database_held_by_another_program_is_overloaded_not_lost(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    disk.failing["begin"] = apsw.BusyError
    with pytest.raises(Overloaded) as caught:
        await append(log)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert log.health().ready
    disk.failing.clear()
    assert await append(log) == 0
    await log.close()


@pytest.mark.parametrize("reached, outcome", [("begin", Outcome.NOT_WRITTEN), ("commit", Outcome.UNKNOWN)])
@pytest.mark.parametrize("error", [apsw.IOError, apsw.CorruptError, MemoryError])
async def test_a_failed_disk_stops_the_log_for_good(
    tmp_path: Path, reached: str, outcome: Outcome, error: type[Exception]
) -> None:
    disk, metrics = Disk(), WatchedLog()
    log = await open_topic(tmp_path, tuning=disk.tuning(), observer=metrics)
    running = asyncio.create_task(log.run())
    disk.failing[reached] = error
    with pytest.raises(ConnectionFailed) as caught:
        await append(log)
    assert caught.value.outcome is outcome
    disk.failing.clear()
    commits = disk.statements.count("commit")
    with pytest.raises(LocalLogFailed):
        await running
    with pytest.raises(ConnectionFailed) as caught:
        await append(log)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert (log.health().state, log.health().ready) == ("failed", False)
    await log.close()
    assert disk.statements.count("commit") == commits
    assert metrics.states.told[:2] == ["open", "failed"]


async def test_a_rollback_that_fails_stops_the_log(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    disk.failing = {"commit": apsw.FullError, "rollback": apsw.IOError}
    with pytest.raises(ConnectionFailed):
        await append(log)
    assert log.health().state == "failed"
    await log.close()


async def test_what_waits_behind_a_failure_is_refused_and_not_written(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())
    first = asyncio.create_task(append(log))
    await gate.reached.wait()
    # Behind it, and not with it: it was alone when it was taken.
    behind = [asyncio.create_task(append(log)) for _ in range(5)]
    made = asyncio.create_task(log.create_stream("other", deadline=soon()))
    await asyncio.sleep(0)
    disk.failing["commit"] = apsw.IOError
    gate.open.set()
    results = await asyncio.gather(first, *behind, made, return_exceptions=True)
    assert all(isinstance(result, ConnectionFailed) for result in results)
    assert [cast("ConnectionFailed", result).outcome for result in results] == [
        Outcome.UNKNOWN,
        *[Outcome.NOT_WRITTEN] * 6,
    ]
    await log.close()
    log = await open_log(tmp_path)
    assert await stored(log) == []
    await log.close()


@pytest.mark.parametrize(
    "error, state", [(apsw.IOError, "failed"), (apsw.FullError, "open"), (apsw.BusyError, "open")]
)
async def test_a_checkpoint_that_fails_is_never_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], state: str
) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())
    first = asyncio.create_task(append(log, b"acknowledged before"))
    await gate.reached.wait()
    monkeypatch.setattr(limits, "LOCAL_CHECKPOINT_PAGES", 1)
    log._writer._commits._checkpoint_at_pages = 1
    disk.failing["checkpoint"] = error
    gate.open.set()
    assert await first == 0
    # Its turn comes after the checkpoint's.
    results = await asyncio.gather(append(log), return_exceptions=True)
    assert log.health().state == state
    assert isinstance(results[0], ConnectionFailed) == (state == "failed")
    await log.close()
    log = await open_log(tmp_path)
    assert (await stored(log))[0] == b"acknowledged before"
    await log.close()


async def test_a_checkpoint_held_back_by_a_reader_waits_for_more_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOCAL_CHECKPOINT_PAGES", 20)
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    reader = apsw.Connection(str(tmp_path / "messages.db"))
    reader.execute("begin")
    reader.execute("select count(*) from chunks").fetchall()
    for _ in range(40):
        await append(log)
    reader.close()
    held = disk.statements.count(f"checkpoint {apsw.SQLITE_CHECKPOINT_PASSIVE}")
    assert 0 < held < 20
    await log.close()


async def test_neighbours_of_a_refused_append_are_stored(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    log._catalog.topic(TOPIC).partitions[1].marks = (
        log._catalog.topic(TOPIC).partitions[1].marks._replace(next_offset=2**40, first_offset=2**40)
    )
    results = await asyncio.gather(
        append(log, b"a"),
        log.append(TOPIC, ToPartition(1), messages(b"no room"), deadline=soon()),
        append(log, b"b"),
        return_exceptions=True,
    )
    assert (results[0], results[2]) == (0, 1)
    assert isinstance(results[1], SendError)
    assert results[1].outcome is Outcome.NOT_WRITTEN
    await log.close()


class Gate:
    """Holds the writer before its next commit."""

    def __init__(self, disk: Disk, loop: asyncio.AbstractEventLoop) -> None:
        self.reached = asyncio.Event()
        self.open = threading.Event()
        self._loop = loop
        disk.before = self._before

    def _before(self, statement: str) -> None:
        if statement == "commit" and not self.open.is_set():
            self._loop.call_soon_threadsafe(self.reached.set)
            self.open.wait(20)


async def test_writes_that_were_on_their_way_to_a_deleted_topic_are_refused(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    assert await append(log) == 0
    gate = Gate(disk, asyncio.get_running_loop())
    before = asyncio.create_task(append(log))
    await gate.reached.wait()
    behind = (
        asyncio.create_task(log.delete_topic(TOPIC, deadline=soon())),
        asyncio.create_task(append(log, b"late")),
        asyncio.create_task(log.store_offset(TOPIC, 0, 1, 0, deadline=soon())),
    )
    await asyncio.sleep(0)
    gate.open.set()
    assert await before == 1
    deleted, *late = await asyncio.gather(*behind, return_exceptions=True)
    assert deleted is None
    assert [type(each) for each in late] == [TopicNotFound, TopicNotFound]
    await log.close()


async def test_a_slow_disk_bounds_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    monkeypatch.setattr(limits, "LOCAL_APPENDS_WAITING_MAX", 3)
    gate = Gate(disk, asyncio.get_running_loop())
    first = asyncio.create_task(append(log))
    await gate.reached.wait()
    others = [asyncio.create_task(append(log)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await append(log)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert caught.value.retry_after_ms
    gate.open.set()
    assert await asyncio.gather(first, *others) == [0, 1, 2]
    assert await append(log) == 3
    await log.close()


async def test_waiting_bytes_are_bounded_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await open_topic(tmp_path)
    monkeypatch.setattr(limits, "LOCAL_BYTES_WAITING_MAX", 1_000)
    with pytest.raises(Overloaded):
        await append(log, b"x" * 1_000)
    for _ in range(5):
        await append(log, b"x" * 900)
    await log.close()


async def test_a_deadline_tells_a_write_that_was_not_begun_from_one_that_was(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())
    begun = asyncio.create_task(log.append(TOPIC, ToPartition(0), messages(b"begun"), deadline=soon(0.1)))
    await gate.reached.wait()
    waiting = asyncio.create_task(
        log.append(TOPIC, ToPartition(0), messages(b"withdrawn"), deadline=soon(0.05))
    )
    outcomes = []
    for task in (begun, waiting):
        with pytest.raises(DeadlineExceeded) as caught:
            await task
        outcomes.append(caught.value.outcome)
    gate.open.set()
    assert outcomes == [Outcome.UNKNOWN, Outcome.NOT_WRITTEN]
    assert await append(log, b"after") == 1
    assert await stored(log) == [b"begun", b"after"]
    await log.close()


async def test_a_cancelled_caller_is_not_told_and_its_message_is_kept(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())
    task = asyncio.create_task(append(log, b"cancelled"))
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    assert await append(log, b"next") == 1
    assert await stored(log) == [b"cancelled", b"next"]
    await log.close()


async def test_a_transaction_takes_no_more_than_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOCAL_COMMIT_MESSAGES_MAX", 4)
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())
    first = asyncio.create_task(append(log))
    await gate.reached.wait()
    disk.statements.clear()
    others = [asyncio.create_task(append(log)) for _ in range(8)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *others)
    assert disk.statements.count("commit") == 2
    await log.close()


async def test_what_must_be_alone_is_done_once_between_what_came_before_and_behind_it(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())
    work = [append(log), append(log), log.create_stream("alone", deadline=soon()), append(log)]
    tasks = [asyncio.create_task(work[0])]
    await gate.reached.wait()
    disk.statements.clear()
    tasks += [asyncio.create_task(each) for each in work[1:]]
    await asyncio.sleep(0)
    gate.open.set()
    assert [each for each in await asyncio.gather(*tasks) if isinstance(each, int)] == [0, 1, 2]
    assert disk.statements.count("commit") == 3
    await log.close()


async def test_a_closed_log_refuses_everything_and_closes_once(tmp_path: Path) -> None:
    log = await open_topic(tmp_path)
    accepted = asyncio.create_task(append(log, b"accepted"))
    await asyncio.sleep(0)
    await log.close()
    await log.close()
    assert await accepted == 0
    with pytest.raises(ConnectionFailed) as caught:
        await append(log)
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    with pytest.raises(ConnectionFailed):
        await log.streams(deadline=soon())
    assert (log.health().state, log.health().ready) == ("closed", False)
    log = await open_log(tmp_path)
    assert await stored(log) == [b"accepted"]
    assert not (tmp_path / "messages.db-wal").read_bytes()
    await log.close()


async def test_a_last_checkpoint_that_fails_leaves_everything_for_the_next_start(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    await append(log, b"kept")
    disk.failing["checkpoint"] = apsw.BusyError
    await log.close()
    log = await open_log(tmp_path)
    assert await stored(log) == [b"kept"]
    await log.close()


async def test_each_write_ends_at_its_own_deadline_whoever_else_waits(tmp_path: Path) -> None:
    disk = Disk()
    log = await open_topic(tmp_path, tuning=disk.tuning())
    gate = Gate(disk, asyncio.get_running_loop())

    def asked(payload: bytes, seconds: float) -> asyncio.Task[Receipt]:
        sent = log.append(TOPIC, ToPartition(0), messages(payload), deadline=soon(seconds))
        return asyncio.create_task(sent)

    begun = asked(b"begun", 20.0)
    await gate.reached.wait()
    cancelled, later, short = asked(b"cancelled", 0.04), asked(b"later", 30.0), asked(b"short", 0.05)
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(DeadlineExceeded) as caught:
        await short
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    assert not later.done()
    gate.open.set()
    await asyncio.gather(begun, later)
    assert await stored(log) == [b"begun", b"cancelled", b"later"]
    await log.close()


def test_a_change_must_say_what_it_does() -> None:
    with pytest.raises(NotImplementedError):
        Change().apply(cast("Transaction", None))
