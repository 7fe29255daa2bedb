import pytest

from bridge.errors import BadRequest, DeadlineExceeded
from bridge.messagelog import ConsumerKey, NewMessage, StoredOffset, ToPartition, TopicRef
from tests.support.log_backends import AnyLog, soon


@pytest.fixture
async def filled(log: AnyLog, topic: TopicRef) -> TopicRef:
    """Ten messages in partition 0."""
    await log.append(topic, ToPartition(0), [NewMessage(payload=b"x")] * 10, deadline=soon())
    return topic


@pytest.mark.parametrize("consumer", [1, 1_000_000_000, "billing", "a" * 255])
async def test_an_offset_is_kept_for_its_consumer_and_partition(
    log: AnyLog, filled: TopicRef, consumer: ConsumerKey
) -> None:
    assert await log.stored_offset(filled, 0, consumer, deadline=soon()) is None
    await log.store_offset(filled, 0, consumer, 4, deadline=soon())
    assert await log.stored_offset(filled, 0, consumer, deadline=soon()) == StoredOffset(4, 10)
    assert await log.stored_offset(filled, 1, consumer, deadline=soon()) is None
    assert await log.stored_offset(filled, 0, 77, deadline=soon()) is None


async def test_offsets_move_forwards_and_backwards(log: AnyLog, filled: TopicRef) -> None:
    for offset in (0, 9, 3, 3, 5):
        await log.store_offset(filled, 0, 1, offset, deadline=soon())
        assert await log.stored_offset(filled, 0, 1, deadline=soon()) == StoredOffset(offset, 10)


@pytest.mark.parametrize("offset", [10, 2**40])
async def test_an_offset_beyond_the_newest_message_is_refused(
    log: AnyLog, filled: TopicRef, offset: int
) -> None:
    await log.store_offset(filled, 0, 1, 2, deadline=soon())
    with pytest.raises(BadRequest):
        await log.store_offset(filled, 0, 1, offset, deadline=soon())
    assert await log.stored_offset(filled, 0, 1, deadline=soon()) == StoredOffset(2, 10)


async def test_consumers_do_not_share_an_offset(log: AnyLog, filled: TopicRef) -> None:
    await log.store_offset(filled, 0, 1, 1, deadline=soon())
    await log.store_offset(filled, 0, 2, 2, deadline=soon())
    await log.store_offset(filled, 0, "one", 3, deadline=soon())
    found = [await log.stored_offset(filled, 0, key, deadline=soon()) for key in (1, 2, "one")]
    assert [stored.offset for stored in found if stored] == [1, 2, 3]


async def test_a_deleted_offset_is_gone_and_may_be_deleted_again(log: AnyLog, filled: TopicRef) -> None:
    await log.store_offset(filled, 0, 1, 5, deadline=soon())
    await log.store_offset(filled, 0, "other", 6, deadline=soon())
    for _ in range(2):
        await log.delete_offset(filled, 0, 1, deadline=soon())
        assert await log.stored_offset(filled, 0, 1, deadline=soon()) is None
    assert await log.stored_offset(filled, 0, "other", deadline=soon()) == StoredOffset(6, 10)


async def test_a_stored_offset_tells_how_far_behind_it_is(log: AnyLog, filled: TopicRef) -> None:
    await log.store_offset(filled, 0, 1, 9, deadline=soon())
    await log.append(filled, ToPartition(0), [NewMessage(payload=b"x")] * 5, deadline=soon())
    assert await log.stored_offset(filled, 0, 1, deadline=soon()) == StoredOffset(9, 15)


async def test_no_offset_is_stored_once_the_time_is_up(log: AnyLog, filled: TopicRef) -> None:
    with pytest.raises(DeadlineExceeded):
        await log.store_offset(filled, 0, 1, 5, deadline=soon(-1))
    assert await log.stored_offset(filled, 0, 1, deadline=soon()) is None
