"""What this process has stored itself is told without a read, if it follows what was told; else it is read, at once."""

import pytest

from bridge import limits
from bridge.flow.following import handed_over
from bridge.flow.following.handed_over import HandedOver
from bridge.messagelog import NO_RECORDS, Message, Records
from tests.support.memory_log import TOPIC
from tests.support.tail_bench import Bench, Ear
from tests.support.timers import settled

MIN_S = limits.TAIL_POLL_MS_MIN / 1000

pushed = pytest.mark.parametrize("bench", [True], indirect=True, ids=["pushed"])


def _append(bench: Bench, count: int = 1) -> None:
    """Through this bridge."""
    next_offset = bench.log.append(0, count)
    stored = Records.of(bench.log.partitions[0].messages[-count:])
    bench.tails.stored(TOPIC, 0, next_offset, lambda: stored)


def _numbers(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@pushed
async def test_what_follows_is_told_without_a_read(bench: Bench) -> None:
    async with bench.heard(rest_s=MIN_S) as (watch, ear):
        bench.log.reads.clear()
        _append(bench, 2)
        assert ear.told == [], "told while the appender runs"
        await settled()
        assert ear.told == _numbers(0, 1)
        _append(bench)
        _append(bench, 2)
        await bench.timers.pass_s(MIN_S)
        assert ear.told == _numbers(0, 1, 2, 3, 4)
        assert watch.end_offset == 5
        assert bench.log.reads == []


@pushed
async def test_what_others_stored_in_between_is_read_at_once(bench: Bench) -> None:
    async with bench.heard(rest_s=MIN_S) as (_, ear):
        _append(bench)
        bench.log.append(0, 2)
        _append(bench)
        await settled()
        assert ear.told == _numbers(0, 1, 2, 3)
        await bench.timers.pass_s(MIN_S)
        bench.log.append(0)
        _append(bench)
        await settled()
        assert ear.told == _numbers(0, 1, 2, 3, 4, 5)


@pushed
async def test_what_is_handed_over_while_a_read_is_on_its_way_is_told_once_and_in_order(bench: Bench) -> None:
    async with bench.heard(rest_s=MIN_S) as (_, ear):
        bench.log.replies.clear()
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        await settled()
        _append(bench, 2)
        assert ear.told == []
        # It left before these came, which need no other one.
        bench.log.replies.set()
        await settled()
        assert ear.told == _numbers(0)
        bench.log.gate.clear()
        await bench.timers.pass_s(MIN_S)
        assert ear.told == _numbers(0, 1, 2)


@pushed
async def test_what_a_read_has_brought_is_not_told_again(bench: Bench) -> None:
    async with bench.heard(rest_s=MIN_S) as (_, ear):
        bench.log.gate.clear()
        bench.tails.stored(TOPIC, 0, bench.log.append(0))
        await settled()
        _append(bench, 2)
        bench.log.reads.clear()
        bench.log.gate.set()
        await bench.timers.pass_s(MIN_S)
        assert ear.told == _numbers(0, 1, 2)
        assert bench.log.reads == [], "read for nothing"


@pushed
async def test_what_comes_after_a_look_for_nothing_is_told_at_once(bench: Bench) -> None:
    async with bench.heard(rest_s=limits.TAIL_SAFETY_S) as (_, ear):
        assert len(bench.log.reads) == 2
        _append(bench)
        await settled()
        assert ear.told == _numbers(0)


@pushed
async def test_what_was_handed_over_before_a_purge_is_not_told_behind_it(bench: Bench) -> None:
    async with bench.heard(rest_s=MIN_S) as (_, ear):
        _append(bench, 2)
        bench.log.purge(0)
        bench.tails.suspect(TOPIC)
        await settled()
        assert ear.told == []
        _append(bench)
        await bench.timers.pass_s(1)
        assert ear.told == _numbers(2)


@pushed
async def test_who_listens_later_is_not_told_what_it_begins_behind(bench: Bench) -> None:
    first, second = Ear(), Ear()
    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        watch.listen(first)
        await bench.timers.pass_s(MIN_S)
        with bench.tails.watch(TOPIC, 0) as other:
            _append(bench)
            # With the first one it would have begun before that message.
            watch.__exit__(None, None, None)
            watch.__enter__()
            assert other.listen(second) == 1
            _append(bench)
            await bench.timers.pass_s(MIN_S)
    assert first.told == []
    assert second.told == _numbers(1)


@pushed
async def test_without_listeners_nothing_is_made(bench: Bench) -> None:
    def made() -> Records:
        raise AssertionError("nobody wants it")

    with bench.tails.watch(TOPIC, 0) as watch:
        await watch.opened(bench.in_s(1))
        bench.tails.stored(TOPIC, 0, bench.log.append(0), made)
        assert watch.end_offset == 1


def _records(offset: int, *payloads: bytes) -> Records:
    return Records.of([Message(offset + at, 1, 1, payload, {}) for at, payload in enumerate(payloads)])


@pytest.mark.parametrize("bound", ["TAIL_PAGE_MESSAGES", "PAGE_BYTES_MAX"])
def test_no_more_is_kept_than_a_read_would_give(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(handed_over, bound, 3)
    handed = HandedOver()
    assert handed.add(_records(0, b"a", b"b"))
    assert handed.add(_records(2, b"c"))
    assert not handed.add(_records(3, b"d"))
    assert handed.taken().payloads == [b"d"]
    # By itself it may be as large as one append.
    assert handed.add(_records(4, b"e", b"f", b"g", b"h"))
    assert handed.taken().payloads == [b"e", b"f", b"g", b"h"]
    assert not handed
    assert handed.taken() is NO_RECORDS
