"""Claims of the feeds and of those who follow them."""

import asyncio
from collections.abc import Sequence

import pytest

from bridge import limits
from bridge.errors import BadRequest, BridgeError, Disconnected, Overloaded, PartitionNotFound, TopicNotFound
from bridge.flow.following import feeds as feeds_module
from bridge.flow.following import follow as follow_module
from bridge.flow.following.batches import RecordBatch
from bridge.flow.following.fan_out import Sink
from bridge.messagelog import NO_RECORDS, First, FromTimestamp, Last
from tests.support.alive import alive_since_now
from tests.support.feed_room import Room, Seen
from tests.support.memory_log import TOPIC, MemoryPartition
from tests.support.timers import settled


async def test_a_reader_that_has_everything_is_pushed_what_comes(room: Room) -> None:
    bench = room.bench
    bench.log.append(0, 2)
    seen = await room.live(First())
    assert seen.payloads == [b"0", b"1"]
    before = seen.writes
    bench.tails.stored(TOPIC, 1, bench.log.append(1))
    await bench.timers.pass_s(1)
    assert (seen.payloads, seen.writes) == ([b"0", b"1", b"2"], before + 1)


async def test_all_readers_share_one_read_of_what_comes(room: Room) -> None:
    bench = room.bench
    readers = [await room.live(Last()) for _ in range(50)]
    await bench.timers.pass_s(1)
    bench.log.reads.clear()
    bench.log.append(0)
    await bench.timers.pass_s(limits.TAIL_POLL_MS_MAX / 1000)
    assert all(seen.payloads == [b"0"] for seen in readers)
    assert len([read for read in bench.log.reads if read[0] == 0]) < 10
    assert bench.log.at_once_max == 1


async def test_what_is_made_of_a_batch_is_made_once_for_all(room: Room) -> None:
    made: list[RecordBatch] = []

    def make(batch: RecordBatch) -> bytes:
        made.append(batch)
        return b"".join(batch.records.payloads)

    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return True

    def encode(batches: Sequence[RecordBatch]) -> bytes:
        return b"".join([batch.encoded("form", make) for batch in batches])

    for form in ("one", "one", "other"):
        follower = await room.follow(Last())
        room.tasks.append(asyncio.create_task(follower.run(Sink(form, encode, take, Seen().drain))))
    await settled()
    room.bench.log.append(0, 2)
    await room.bench.timers.pass_s(1)
    assert taken == [b"01"] * 3
    assert len(made) == 1
    assert room.feeds.held_bytes > 0


def test_more_forms_than_are_kept_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.flow.following.batches.FEED_FORMS_MAX", 1)
    batch = RecordBatch(0, NO_RECORDS, (), ())
    made: list[bytes] = []

    def encoded(form: bytes) -> bytes:
        def make(_: RecordBatch) -> bytes:
            made.append(form)
            return form

        return batch.encoded(form, make)

    assert [encoded(form) for form in (b"a", b"b", b"b", b"a")] == [b"a", b"b", b"b", b"a"]
    assert made == [b"a", b"b", b"b"]
    assert batch.forms_bytes == 1


async def test_what_a_sink_raises_reaches_its_owner_and_nobody_else(room: Room) -> None:
    follower = await room.follow(Last())

    def broken(_: object) -> bool:
        raise ConnectionResetError

    failing = asyncio.create_task(follower.run(Seen().sink(broken)))
    seen = await room.live(Last())
    room.bench.log.append(0)
    await room.bench.timers.pass_s(1)
    with pytest.raises(ConnectionResetError):
        await failing
    assert seen.payloads == [b"0"]


async def test_a_reader_that_has_everything_holds_none_of_what_it_read_by_itself(room: Room) -> None:
    batches = alive_since_now(RecordBatch)
    room.bench.log.append(0, 300)
    given: list[int] = []

    def take(data: tuple[RecordBatch, ...]) -> bool:
        given.append(sum(len(batch.records) for batch in data))
        return True

    follower = await room.follow(First())
    room.tasks.append(asyncio.create_task(follower.run(Seen().sink(take))))
    await settled()
    assert sum(given) == 300
    assert not batches()


async def test_of_what_a_reader_cuts_off_it_is_given_the_rest_and_nothing_is_held_for_it(room: Room) -> None:
    batches = alive_since_now(RecordBatch)
    room.bench.log.append(0, 7)
    follower, taken = await room.follow(First()), list[bytes]()
    more = asyncio.Event()

    def take(data: tuple[RecordBatch, ...]) -> bool:
        (batch,) = data
        taken.extend(batch.records.payloads[:3])
        more.clear()
        if len(batch.records) > 3:
            follower.cut(batch, batch.records.offsets[3])
        return False

    async def drain() -> None:
        await more.wait()

    room.tasks.append(asyncio.create_task(follower.run(Sink("cutting", tuple, take, drain))))
    for count in (3, 6, 7):
        await settled()
        assert taken == [b"%d" % each for each in range(count)]
        assert dict(follower.positions)[0] == count
        assert not batches()
        more.set()


async def test_a_reader_of_some_partitions_gets_nothing_of_others(room: Room) -> None:
    seen = await room.live(First(), [1])
    room.bench.log.append(0)
    room.bench.log.append(1)
    await room.bench.timers.pass_s(1)
    assert seen.payloads == [b"1"]
    assert not room.followers[0].every
    assert room.followers[0].positions == ((1, 1),)


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_reader_that_is_stopped_ends(room: Room, *, is_live: bool) -> None:
    room.bench.log.append(0, 3)
    follower = await room.follow(Last() if is_live else First())

    def stop(_: object) -> bool:
        follower.stop()
        return False

    running = asyncio.create_task(follower.run(Seen().sink(stop)))
    await settled()
    if is_live:
        assert not running.done()
        follower.stop()
    await running


async def test_a_topic_that_goes_ends_its_readers_and_may_be_followed_when_it_is_there_again(
    room: Room,
) -> None:
    await room.live(Last())
    waiting = asyncio.create_task((await room.follow(Last())).run(Seen().sink()))
    room.bench.log.fault = TopicNotFound()
    await room.bench.timers.pass_s(1)
    for ended in (room.tasks[0], waiting):
        with pytest.raises(TopicNotFound):
            await ended
    room.bench.log.fault = None
    room.bench.log.append(0)
    seen = await room.live(First())
    assert seen.payloads == [b"0"]


async def test_a_partition_that_goes_leaves_the_others_to_who_follows_all(room: Room) -> None:
    seen = await room.live(Last())
    waiting = asyncio.create_task((await room.follow(Last(), [1])).run(Seen().sink()))
    del room.bench.log.partitions[1]
    await room.bench.timers.pass_s(1)
    with pytest.raises(PartitionNotFound):
        await waiting
    room.bench.log.append(0)
    await room.bench.timers.pass_s(10)
    assert seen.payloads == [b"0"]
    assert room.followers[0].positions == ((0, 1),)


async def test_partitions_that_are_added_are_followed_from_their_beginning(room: Room) -> None:
    seen = await room.live(Last())
    room.bench.log.partitions.append(MemoryPartition())
    room.bench.log.append(2, 3)
    await room.bench.timers.pass_s(limits.FEED_PARTITIONS_LOOK_S + 1)
    assert seen.payloads == [b"0", b"1", b"2"]
    assert seen.gaps == []


async def test_partitions_whose_adding_is_told_are_followed_at_once(room: Room) -> None:
    seen = await room.live(Last())
    room.bench.log.partitions.append(MemoryPartition())
    room.feeds.look(TOPIC)
    await settled()
    room.bench.tails.stored(TOPIC, 2, room.bench.log.append(2))
    await room.bench.timers.pass_s(0.1)
    assert seen.payloads == [b"0"]


async def test_a_look_for_partitions_that_fails_is_made_again(room: Room) -> None:
    seen = await room.live(Last())
    room.bench.log.partitions.append(MemoryPartition())
    room.bench.log.append(2)
    room.bench.log.fault = Disconnected()
    await room.bench.timers.pass_s(limits.FEED_PARTITIONS_LOOK_S * 2)
    room.bench.log.fault = None
    await room.bench.timers.pass_s(limits.FEED_PARTITIONS_LOOK_S * 2)
    assert seen.payloads == [b"0"]


async def test_of_many_partitions_some_are_looked_at_together_and_not_all(room: Room) -> None:
    log = room.bench.log
    seen = await room.live(Last())
    log.partitions += [MemoryPartition() for _ in range(3 * limits.PARTITIONS_AT_ONCE)]
    log.append(2, 2)
    log.append(3 * limits.PARTITIONS_AT_ONCE, 1)
    log.reads.clear()
    await room.bench.timers.pass_s(limits.FEED_PARTITIONS_LOOK_S + 1)
    assert sorted(seen.payloads) == [b"0", b"1", b"2"]
    assert len(room.followers[0].positions) == len(log.partitions)
    # The two that were followed before have their own.
    assert limits.PARTITIONS_AT_ONCE <= log.reads_at_once_max <= limits.PARTITIONS_AT_ONCE + 2
    log.reads_at_once_max = 0
    assert sorted((await room.live(First())).payloads) == [b"0", b"1", b"2"]
    assert log.reads_at_once_max == limits.PARTITIONS_AT_ONCE


async def test_a_topic_that_outgrows_its_cursors_says_so(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.live(Last())
    monkeypatch.setattr(feeds_module, "CURSOR_PARTITIONS_MAX", 2)
    room.bench.log.partitions.append(MemoryPartition())
    await room.bench.timers.pass_s(limits.FEED_PARTITIONS_LOOK_S + 1)
    with pytest.raises(BadRequest):
        await room.tasks[0]
    with pytest.raises(BadRequest):
        await room.follow(Last())
    assert (await room.follow(Last(), [2, 0, 2])).positions == ((0, 0), (2, 0))


@pytest.mark.parametrize("fault", [Disconnected, TopicNotFound])
async def test_what_cannot_be_opened_is_told_to_all_who_came_and_tried_again_by_the_next(
    room: Room, fault: type[BridgeError]
) -> None:
    room.bench.log.fault = fault()  # type: ignore[assignment]
    coming = [asyncio.create_task(room.follow(Last())) for _ in range(3)]
    await room.bench.timers.pass_s(5)
    for each in coming:
        with pytest.raises(fault):
            await each
    room.bench.log.fault = None
    assert (await room.live(First())).payloads == []


async def test_who_leaves_while_it_is_opened_takes_nobody_with_him(room: Room) -> None:
    room.bench.log.gate.clear()
    first, second = (asyncio.create_task(room.follow(Last())) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    room.bench.log.gate.set()
    assert (await second).positions == ((0, 0), (1, 0))


async def test_when_the_last_leaves_while_it_is_opened_nothing_is_left(room: Room) -> None:
    room.bench.log.gate.clear()
    coming = asyncio.create_task(room.follow(Last()))
    await settled()
    coming.cancel()
    await settled()
    room.bench.log.gate.set()
    await room.bench.timers.pass_s(limits.TAIL_LINGER_S + 1)
    assert room.bench.tails.tails_count == 0


async def test_there_is_a_bound_on_feeds(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "FEEDS_MAX", 1)
    await room.follow(Last())
    await room.follow(Last())
    with pytest.raises(Overloaded):
        await room.follow(Last(), [0])


async def test_all_rings_together_have_a_bound(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds_module, "FEEDS_BYTES_MAX", 6000)
    readers = [await room.live(Last()), await room.live(Last(), [0])]
    for _ in range(20):
        room.bench.log.append(0)
        await room.bench.timers.pass_s(1)
    assert [len(seen.payloads) for seen in readers] == [20, 20]
    assert room.feeds.held_bytes <= 6000


@pytest.mark.parametrize("single", [True, False])
async def test_a_time_is_the_first_message_from_then_on(room: Room, *, single: bool) -> None:
    log = room.bench.log
    log.append(0, 1 if single else 3)
    times = [message.timestamp_us for message in log.partitions[0].messages]
    assert (await room.follow(FromTimestamp(times[-1]))).positions == ((0, len(times) - 1), (1, 0))
    assert (await room.follow(FromTimestamp(times[-1] + 1))).positions == ((0, len(times)), (1, 0))


async def test_a_reader_ahead_of_the_tail_waits_for_it_and_gets_nothing_twice(room: Room) -> None:
    seen = await room.live(Last())
    await room.bench.timers.pass_s(1)
    room.bench.log.append(0, 3)
    ahead = await room.live(((0, 2), (1, 0)))
    await room.bench.timers.pass_s(1)
    assert seen.payloads == [b"0", b"1", b"2"]
    assert ahead.payloads == [b"2"]


async def test_a_reader_that_catches_up_waits_an_outage_out(room: Room) -> None:
    room.bench.log.append(0, 3)
    follower, seen = await room.follow(((0, 0), (1, 0))), Seen()
    room.bench.log.fault = Disconnected()
    room.tasks.append(asyncio.create_task(follower.run(seen.sink())))
    await room.bench.timers.pass_s(30)
    assert seen.payloads == []
    room.bench.log.fault = None
    await room.bench.timers.pass_s(limits.TAIL_RETRY_S_MAX)
    assert seen.payloads == [b"0", b"1", b"2"]
