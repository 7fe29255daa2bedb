from bridge.messagelog import First, NewMessage, Next, StoredOffset, ToPartition, TopicRef
from tests.support.log_backends import AnyLog, Backend, soon


async def test_everything_is_there_after_reopening(backend: Backend, log: AnyLog, topic: TopicRef) -> None:
    sent = [NewMessage(payload=b"%d" % number, id=number + 1, headers={"n": number}) for number in range(300)]
    await log.append(topic, ToPartition(1), sent, deadline=soon())
    await log.store_offset(topic, 1, 5, 41, deadline=soon())
    await log.store_offset(topic, 1, "name", 42, deadline=soon())
    before = await log.topic(topic, deadline=soon())
    page_before = await log.read(topic, 1, First(), count=1000, deadline=soon())
    await backend.close()

    log = await backend.open()
    assert await log.topic(topic, deadline=soon()) == before
    page = await log.read(topic, 1, First(), count=1000, deadline=soon())
    assert page == page_before
    assert [message.payload for message in page.messages] == [message.payload for message in sent]
    assert [message.id for message in page.messages] == [message.id for message in sent]
    assert [dict(message.headers) for message in page.messages] == [message.headers for message in sent]
    assert await log.stored_offset(topic, 1, 5, deadline=soon()) == StoredOffset(41, 300)
    page = await log.read(topic, 1, Next("name"), count=1, deadline=soon())
    assert page.messages[0].offset == 43


async def test_offsets_go_on_after_reopening(backend: Backend, log: AnyLog, topic: TopicRef) -> None:
    for round_number in range(3):
        receipt = await log.append(topic, ToPartition(0), [NewMessage(payload=b"x")] * 2, deadline=soon())
        assert receipt.offset == 2 * round_number
        await backend.close()
        log = await backend.open()


async def test_what_was_deleted_stays_deleted_after_reopening(
    backend: Backend, log: AnyLog, topic: TopicRef
) -> None:
    await log.append(topic, ToPartition(0), [NewMessage(payload=b"x")] * 2, deadline=soon())
    await log.delete_topic(topic, deadline=soon())
    await backend.close()
    log = await backend.open()
    assert await log.topics(topic.stream, deadline=soon()) == ()
    await log.create_topic(topic, partitions_count=1, deadline=soon())
    assert (await log.read(topic, 0, First(), count=10, deadline=soon())).messages == ()
