import pytest

from bridge.errors import AlreadyExists, DeadlineExceeded, Outcome, StreamNotFound
from bridge.messagelog import NewMessage, ToPartition, TopicRef
from tests.support.log_backends import AnyLog, soon


async def test_a_new_stream_is_empty_and_found_by_its_name(log: AnyLog, name: str) -> None:
    created = await log.create_stream(name, deadline=soon())
    assert (created.name, created.topics_count, created.messages_count, created.size_bytes) == (name, 0, 0, 0)
    assert await log.stream(name, deadline=soon()) == created
    assert created in await log.streams(deadline=soon())


async def test_streams_are_listed_by_name(log: AnyLog, name: str) -> None:
    for suffix in ("b", "a", "c"):
        await log.create_stream(name + suffix, deadline=soon())
    names = [stream.name for stream in await log.streams(deadline=soon()) if stream.name.startswith(name)]
    assert names == [name + "a", name + "b", name + "c"]


async def test_an_existing_stream_is_not_made_again(log: AnyLog, stream: str) -> None:
    with pytest.raises(AlreadyExists):
        await log.create_stream(stream, deadline=soon())


async def test_names_of_streams_differ_by_case(log: AnyLog, stream: str) -> None:
    await log.create_stream(stream.upper(), deadline=soon())
    assert (await log.stream(stream.upper(), deadline=soon())).name == stream.upper()


async def test_a_name_of_255_characters_is_a_name(log: AnyLog, name: str) -> None:
    long = name.ljust(255, "x")
    await log.create_stream(long, deadline=soon())
    assert (await log.stream(long, deadline=soon())).name == long


async def test_a_stream_counts_its_topics_messages_and_bytes(log: AnyLog, topic: TopicRef) -> None:
    await log.append(
        topic, ToPartition(0), [NewMessage(payload=b"12345"), NewMessage(payload=b"6")], deadline=soon()
    )
    stream = await log.stream(topic.stream, deadline=soon())
    assert (stream.topics_count, stream.messages_count) == (1, 2)
    assert stream.size_bytes >= 6


async def test_a_deleted_stream_is_gone_with_all_that_was_in_it(log: AnyLog, topic: TopicRef) -> None:
    await log.append(topic, ToPartition(0), [NewMessage(payload=b"old")], deadline=soon())
    await log.delete_stream(topic.stream, deadline=soon())
    with pytest.raises(StreamNotFound):
        await log.stream(topic.stream, deadline=soon())
    await log.create_stream(topic.stream, deadline=soon())
    assert await log.topics(topic.stream, deadline=soon()) == ()


async def test_a_stream_may_be_made_again_after_its_deletion(log: AnyLog, stream: str) -> None:
    await log.delete_stream(stream, deadline=soon())
    created = await log.create_stream(stream, deadline=soon())
    assert created.topics_count == 0


async def test_a_missing_stream_is_named_as_missing(log: AnyLog, name: str) -> None:
    with pytest.raises(StreamNotFound):
        await log.stream(name, deadline=soon())
    with pytest.raises(StreamNotFound):
        await log.delete_stream(name, deadline=soon())
    with pytest.raises(StreamNotFound):
        await log.topics(name, deadline=soon())


async def test_totals_count_what_was_made(log: AnyLog, topic: TopicRef) -> None:
    before = await log.totals(deadline=soon())
    await log.append(topic, ToPartition(1), [NewMessage(payload=b"x")] * 3, deadline=soon())
    await log.create_stream(topic.stream + "-2", deadline=soon())
    after = await log.totals(deadline=soon())
    assert after.streams_count == before.streams_count + 1
    assert after.topics_count == before.topics_count
    assert after.messages_count == before.messages_count + 3
    assert after.size_bytes > before.size_bytes


async def test_nothing_is_made_once_the_time_is_up(log: AnyLog, name: str) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await log.create_stream(name, deadline=soon(-1))
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    with pytest.raises(StreamNotFound):
        await log.stream(name, deadline=soon())


async def test_a_healthy_log_is_ready_and_answers_a_probe(log: AnyLog) -> None:
    assert log.health().ready
    assert log.health().detail == ""
    await log.probe(deadline=soon())
