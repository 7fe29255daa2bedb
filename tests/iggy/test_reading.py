"""The bytes of a poll are read as the SDK reads them."""

import asyncio
import struct
from typing import Any

import pytest
from apache_iggy import (
    Consumer,
    HeaderKey,
    HeaderValue,
    IggyClient,
    PollingStrategy,
    ReceiveMessage,
    SendMessage,
)

from bridge.iggy import encoding
from bridge.iggy.address import parse_connection_string
from bridge.iggy.client import new_client
from bridge.iggy.message_log import IggyMessageLog
from bridge.limits import IGGY_POLL_MESSAGES_MAX, PAGE_BYTES_MAX
from bridge.messagelog import (
    NO_RECORDS,
    First,
    FromOffset,
    FromTimestamp,
    Last,
    NewEvent,
    NewMessage,
    Page,
    Retention,
    ToPartition,
    TopicRef,
)
from tests.support.iggy_log import IggyLogs, soon, unique
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy

_DELETE_SEGMENTS = 503


@pytest.fixture
async def sdk(server: IggyServer) -> IggyClient:
    client = new_client(parse_connection_string(server.connection_string), server.address)
    await client.connect()
    return client


async def _typed(sdk: IggyClient, topic: TopicRef, count: int = 100) -> list[ReceiveMessage]:
    return await sdk.poll_messages(
        topic.stream,
        topic.topic,
        consumer=Consumer.Single(1),
        polling_strategy=PollingStrategy.Offset(0),
        count=count,
        auto_commit=False,
        partition_id=0,
    )


async def test_a_raw_poll_gives_what_the_typed_poll_gives(
    server: IggyServer, logs: IggyLogs, sdk: IggyClient
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    headers = {
        "text": "é",
        "bytes": b"\x00\xff",
        "yes": True,
        "no": False,
        "tiny": -1,
        "short": -70_000,
        "large": 2**63,
        "half": 0.5,
        "tenth": 0.1,
    }
    await sdk.send_messages(*topic, 0, [SendMessage(b"one", headers, 2**128 - 1), SendMessage(b"\x00" * 9)])
    await sdk.send_messages(*topic, 0, [SendMessage("three", None, 3)])
    for index in range(20):
        await sdk.send_messages(
            *topic, 0, [SendMessage(bytes([index])), SendMessage(b"x" * index * 100 + b"y")]
        )
    typed = await _typed(sdk, topic)
    page = await log.read(topic, 0, First(), count=100, deadline=soon())
    assert page.end_offset == 43
    assert [
        (message.offset, message.timestamp_us, message.id, message.payload) for message in page.messages
    ] == [(message.offset(), message.timestamp(), message.id(), message.payload()) for message in typed]
    assert page.messages[0].headers == headers
    assert page.messages[2].headers == {}


async def test_headers_of_every_kind_are_read(server: IggyServer, logs: IggyLogs, sdk: IggyClient) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    kinds = {
        "Raw": b"\x01",
        "String": "text",
        "Bool": True,
        "Int8": -8,
        "Int16": -16,
        "Int32": -32,
        "Int64": -64,
        "Int128": -(2**100),
        "UnsignedInt8": 8,
        "UnsignedInt16": 16,
        "UnsignedInt32": 32,
        "UnsignedInt64": 64,
        "UnsignedInt128": 2**100,
        "Float32": 0.5,
        "Float64": 0.1,
    }
    values = {name: getattr(HeaderValue, name)(value) for name, value in kinds.items()}
    keys = {getattr(HeaderKey, name)(value): "v" for name, value in kinds.items()}
    await sdk.send_messages(*topic, 0, [SendMessage(b"values", values), SendMessage(b"keys", keys)])
    page = await log.read(topic, 0, First(), count=2, deadline=soon())
    assert page.messages[0].headers == kinds
    assert set(page.messages[1].headers) == {
        "raw:01",
        "text",
        "bool:true",
        "int8:-8",
        "int16:-16",
        "int32:-32",
        "int64:-64",
        f"int128:{-(2**100)}",
        "uint8:8",
        "uint16:16",
        "uint32:32",
        "uint64:64",
        f"uint128:{2**100}",
        "float32:0.5",
        "float64:0.1",
    }


async def test_a_page_stops_before_it_grows_too_large(server: IggyServer, logs: IggyLogs) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    half = PAGE_BYTES_MAX // 2
    for _ in range(5):
        await log.append(topic, ToPartition(0), [NewMessage(payload=b"x" * half)], deadline=soon())
    for _ in range(2):
        page = await log.read(topic, 0, First(), count=100, deadline=soon())
        assert [message.offset for message in page.messages] == [0]
        assert page.end_offset == 5
    page = await log.read(topic, 0, Last(), count=2, deadline=soon())
    assert [message.offset for message in page.messages] == [3]


async def test_heavy_messages_behind_light_ones_come_in_pages_and_break_nothing(
    server: IggyServer, logs: IggyLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    heavy = b"x" * 1_100_000
    light = [NewMessage(payload=b"light %d" % number) for number in range(1000)]
    await log.append(topic, ToPartition(0), light, deadline=soon())
    for _ in range(60):
        await log.append(topic, ToPartition(0), [NewMessage(payload=heavy)], deadline=soon())
    generation = log._connection.generation
    polls: list[int] = []
    poll = log._reader._poll

    async def counted(*arguments: Any) -> encoding.PolledPage:
        polls.append(arguments[3])
        return await poll(*arguments)

    monkeypatch.setattr(log._reader, "_poll", counted)
    offset = 0
    while offset < 1060:
        page = await log.read(topic, 0, FromOffset(offset), count=1000, deadline=soon(30))
        assert page.messages[0].offset == offset
        assert sum(len(message.payload) for message in page.messages) <= PAGE_BYTES_MAX
        offset = page.messages[-1].offset + 1
    assert max(polls) <= IGGY_POLL_MESSAGES_MAX
    # Once they are known to be heavy, no more are asked for than a page may hold.
    assert all(count <= PAGE_BYTES_MAX // 500_000 for count in polls[-3:])
    assert log._connection.generation == generation


async def test_the_last_messages_come_in_order_over_several_steps(server: IggyServer, logs: IggyLogs) -> None:
    log = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    empty = await log.read(topic, 0, Last(), count=5, deadline=soon())
    assert empty == Page(0, 0, NO_RECORDS)
    batch = [NewMessage(payload=struct.pack("<I", number)) for number in range(100)]
    await log.append(topic, ToPartition(0), batch, deadline=soon())
    page = await log.read(topic, 0, Last(), count=30, deadline=soon())
    assert [message.offset for message in page.messages] == list(range(70, 100))
    page = await log.read(topic, 0, FromOffset(95), count=30, deadline=soon())
    assert [message.offset for message in page.messages] == list(range(95, 100))


async def test_a_partition_whose_oldest_messages_were_removed_ends_where_it_did(
    server: IggyServer, logs: IggyLogs, sdk: IggyClient
) -> None:
    log = await logs.open(server.connection_string)
    topic = TopicRef((await logs.topic(log)).stream, "small")
    # Segments of 1 MiB: one takes two of these messages.
    await log.create_topic(
        topic, partitions_count=1, retention=Retention(size_bytes=1024 * 1024), deadline=soon()
    )
    for _ in range(5):
        await log.append(topic, ToPartition(0), [NewMessage(payload=bytes(600_000))], deadline=soon())
    place = encoding.offset_request(topic, 0, 0)[7:-5]
    await sdk.send_binary_request(_DELETE_SEGMENTS, place + struct.pack("<II", 0, 1))
    for position, offsets in (
        (First(), [2]),
        (Last(), [4]),
        (FromOffset(0), [2]),
        (FromOffset(5), []),
        (FromTimestamp(2**62), []),
    ):
        page = await log.read(topic, 0, position, count=1, deadline=soon())
        assert (page.end_offset, [message.offset for message in page.messages]) == (5, offsets)
    (partition,) = (await log.topic(topic, deadline=soon())).partitions
    assert (partition.end_offset, partition.messages_count) == (5, 3)


async def test_two_bridges_that_create_the_same_at_once_agree(server: IggyServer, logs: IggyLogs) -> None:
    one, two = await logs.open(server.connection_string), await logs.open(server.connection_string)
    topic = TopicRef(unique(), "events")
    made = await asyncio.gather(
        *(log.create_stream(topic.stream, deadline=soon()) for log in (one, two)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in made) == ["AlreadyExists", "StreamInfo"]
    made_topics = await asyncio.gather(
        *(log.create_topic(topic, partitions_count=3, deadline=soon()) for log in (one, two)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in made_topics) == ["AlreadyExists", "TopicInfo"]
    for log in (one, two):
        assert await log.partitions_count(topic, deadline=soon()) == 3


async def test_a_topic_made_elsewhere_with_less_is_named_as_weaker(
    server: IggyServer, logs: IggyLogs, sdk: IggyClient
) -> None:
    log: IggyMessageLog = await logs.open(server.connection_string)
    topic = await logs.topic(log)
    assert log.health().warnings == ()
    weak = TopicRef(topic.stream, "weak")
    await sdk.create_topic(weak.stream, weak.topic, 1, messages_required_to_save=1)
    receipt = await log.append(weak, ToPartition(0), [NewMessage(payload=b"x")], deadline=soon())
    assert receipt.durability.value == "replicated"
    (warning,) = log.health().warnings
    assert f"{weak.stream}/weak" in warning


async def test_events_that_were_sent_here_are_known_again_until_others_have_their_places(
    server: IggyServer, logs: IggyLogs, sdk: IggyClient
) -> None:
    log, other = [await logs.open(server.connection_string) for _ in range(2)]
    topic = await logs.topic(log)
    sent = [NewEvent(payload=b'{"number":%d}' % number, id=number + 1) for number in range(600)]
    await log.append(topic, ToPartition(0), sent, deadline=soon())

    async def known(reader: IggyMessageLog, offset: int, count: int) -> bool:
        page = await reader.read(topic, 0, FromOffset(offset), count=count, deadline=soon())
        assert page.messages
        return page.messages.events

    assert await known(log, 0, 600)
    assert await known(log, 255, 2)
    assert not await known(other, 0, 600)
    await log.append(topic, ToPartition(0), [NewMessage(b"no event")], deadline=soon())
    assert await known(log, 500, 100)
    assert not await known(log, 500, 101)
    await log.purge_topic(topic, deadline=soon())
    await sdk.send_messages(*topic, 0, [SendMessage(b'{"number":0')])
    assert not await known(log, 0, 1)
