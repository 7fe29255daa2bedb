import asyncio

import pytest

from bridge import limits
from bridge.errors import BadRequest, DeadlineExceeded, Outcome, PayloadTooLarge
from bridge.messagelog import (
    Balanced,
    ByKey,
    Durability,
    First,
    FromOffset,
    HeaderValue,
    NewMessage,
    Receipt,
    ToPartition,
    TopicRef,
    partition_of_key,
)
from tests.support.log_backends import AnyLog, soon


def messages(*payloads: bytes) -> list[NewMessage]:
    return [NewMessage(payload=payload) for payload in payloads]


async def payloads(log: AnyLog, topic: TopicRef, partition_id: int) -> list[bytes]:
    page = await log.read(topic, partition_id, First(), count=1000, deadline=soon())
    return [message.payload for message in page.messages]


async def test_a_receipt_tells_where_the_messages_are(log: AnyLog, topic: TopicRef) -> None:
    first = await log.append(topic, ToPartition(2), messages(b"a", b"b"), deadline=soon())
    second = await log.append(topic, ToPartition(2), messages(b"c"), deadline=soon())
    assert first == Receipt(2, 0, 2, Durability.PERSISTED)
    assert second == Receipt(2, 2, 1, Durability.PERSISTED)
    assert await payloads(log, topic, 2) == [b"a", b"b", b"c"]


async def test_messages_of_a_key_go_where_every_client_of_iggy_puts_them(
    log: AnyLog, topic: TopicRef
) -> None:
    for number in range(20):
        key = f"key-{number}".encode()
        receipt = await log.append(topic, ByKey(key), messages(key), deadline=soon())
        assert receipt.partition_id == partition_of_key(key, 3)


async def test_balanced_appends_take_the_partitions_in_turn(log: AnyLog, topic: TopicRef) -> None:
    taken = [
        (await log.append(topic, Balanced(), messages(b"a", b"b"), deadline=soon())).partition_id
        for _ in range(6)
    ]
    assert sorted(taken) == [0, 0, 1, 1, 2, 2]
    assert taken[:3] == taken[3:]


@pytest.mark.parametrize("key", [b"", b"k" * 256])
async def test_a_key_that_iggy_could_not_place_is_refused(log: AnyLog, topic: TopicRef, key: bytes) -> None:
    with pytest.raises(BadRequest):
        await log.append(topic, ByKey(key), messages(b"x"), deadline=soon())


@pytest.mark.parametrize(
    "batch",
    [
        [],
        [NewMessage(payload=b"")],
        [NewMessage(payload=b"fine"), NewMessage(payload=b"")],
        [NewMessage(payload=b"x", id=2**128)],
        [NewMessage(payload=b"x", headers={"k": 2**64})],
    ],
)
async def test_a_bad_message_keeps_its_whole_append_out(
    log: AnyLog, topic: TopicRef, batch: list[NewMessage]
) -> None:
    with pytest.raises(BadRequest):
        await log.append(topic, ToPartition(0), batch, deadline=soon())
    assert await payloads(log, topic, 0) == []


async def test_any_bytes_are_a_payload(log: AnyLog, topic: TopicRef) -> None:
    everything = [bytes(range(256)), b"\x00", b"\xff\xfe", b"\r\n", "é\U0001f600".encode()]
    await log.append(topic, ToPartition(0), messages(*everything), deadline=soon())
    assert await payloads(log, topic, 0) == everything


async def test_ids_come_back_and_a_message_without_one_gets_one(log: AnyLog, topic: TopicRef) -> None:
    given = [1, 2**64, 2**128 - 1, 0, 0]
    await log.append(
        topic, ToPartition(0), [NewMessage(payload=b"x", id=number) for number in given], deadline=soon()
    )
    page = await log.read(topic, 0, First(), count=10, deadline=soon())
    ids = [message.id for message in page.messages]
    assert ids[:3] == given[:3]
    assert 0 not in ids
    assert len(set(ids)) == 5


async def test_headers_come_back_with_their_kinds(log: AnyLog, topic: TopicRef) -> None:
    headers: dict[str, HeaderValue] = {
        "text": "grüße",
        "raw": b"\x00\xff",
        "yes": True,
        "no": False,
        "zero": 0,
        "small": -(2**63),
        "large": 2**64 - 1,
        "half": 0.5,
        "tenth": 0.1,
        "k" * 255: "v" * 255,
    }
    await log.append(
        topic,
        ToPartition(0),
        [NewMessage(payload=b"x", headers=headers), NewMessage(payload=b"y")],
        deadline=soon(),
    )
    page = await log.read(topic, 0, First(), count=10, deadline=soon())
    found = dict(page.messages[0].headers)
    assert found == headers
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in headers.items()
    }
    assert dict(page.messages[1].headers) == {}


async def test_messages_of_one_append_share_a_time_that_is_now(log: AnyLog, topic: TopicRef) -> None:
    await log.append(topic, ToPartition(0), messages(b"a", b"b"), deadline=soon())
    await log.append(topic, ToPartition(0), messages(b"c"), deadline=soon())
    page = await log.read(topic, 0, First(), count=10, deadline=soon())
    times = [message.timestamp_us for message in page.messages]
    assert times[0] == times[1] <= times[2]
    assert times[0] > 1_700_000_000_000_000


async def test_the_largest_message_is_stored_and_one_byte_more_is_not(log: AnyLog, topic: TopicRef) -> None:
    largest = bytes(1000) + b"x" * (limits.MESSAGE_PAYLOAD_BYTES_MAX - 1000)
    await log.append(topic, ToPartition(0), messages(largest), deadline=soon())
    page = await log.read(topic, 0, First(), count=10, deadline=soon())
    assert [message.payload == largest for message in page.messages] == [True]
    with pytest.raises(PayloadTooLarge) as caught:
        await log.append(topic, ToPartition(0), messages(largest + b"x"), deadline=soon())
    assert caught.value.limit == limits.MESSAGE_PAYLOAD_BYTES_MAX
    assert (await log.topic(topic, deadline=soon())).messages_count == 1


async def test_an_append_that_is_too_large_together_is_refused_whole(log: AnyLog, topic: TopicRef) -> None:
    half = bytes(limits.APPEND_BYTES_MAX // 2)
    with pytest.raises(PayloadTooLarge) as caught:
        await log.append(topic, ToPartition(0), messages(half, half), deadline=soon())
    assert caught.value.limit == limits.APPEND_BYTES_MAX
    assert (await log.topic(topic, deadline=soon())).messages_count == 0


async def test_a_thousand_messages_of_one_append_lie_together(log: AnyLog, topic: TopicRef) -> None:
    batch = [str(number).encode() for number in range(1000)]
    receipt = await log.append(topic, ToPartition(0), messages(*batch), deadline=soon())
    assert (receipt.offset, receipt.messages_count) == (0, 1000)
    assert await payloads(log, topic, 0) == batch


async def test_concurrent_writers_keep_the_order_of_each_key(log: AnyLog, topic: TopicRef) -> None:
    async def write(writer: int) -> None:
        for number in range(25):
            await log.append(
                topic, ByKey(f"w{writer}".encode()), messages(f"{writer}:{number}".encode()), deadline=soon()
            )

    await asyncio.gather(*(write(writer) for writer in range(8)))
    seen: dict[str, list[int]] = {}
    for partition_id in range(3):
        for payload in await payloads(log, topic, partition_id):
            writer, _, number = payload.decode().partition(":")
            seen.setdefault(writer, []).append(int(number))
    assert seen == {str(writer): list(range(25)) for writer in range(8)}


async def test_offsets_of_concurrent_appends_have_no_gap_and_no_double(log: AnyLog, topic: TopicRef) -> None:
    receipts = await asyncio.gather(
        *(log.append(topic, ToPartition(0), messages(b"x", b"y"), deadline=soon()) for _ in range(50))
    )
    assert sorted(receipt.offset for receipt in receipts if receipt.offset is not None) == list(
        range(0, 100, 2)
    )


async def test_a_cancelled_caller_leaves_whole_appends_and_a_working_log(
    log: AnyLog, topic: TopicRef
) -> None:
    tasks = [
        asyncio.create_task(log.append(topic, ToPartition(0), messages(b"a", b"b"), deadline=soon()))
        for _ in range(20)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = [result for result in results if isinstance(result, Receipt)]
    last = await log.append(topic, ToPartition(0), messages(b"end"), deadline=soon())
    stored = await payloads(log, topic, 0)
    assert stored == [b"a", b"b"] * ((len(stored) - 1) // 2) + [b"end"]
    assert len(stored) == (last.offset or 0) + 1 >= 2 * len(acknowledged) + 1


async def test_nothing_is_appended_once_the_time_is_up(log: AnyLog, topic: TopicRef) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await log.append(topic, ToPartition(0), messages(b"late"), deadline=soon(-1))
    assert caught.value.outcome is Outcome.NOT_WRITTEN
    receipt = await log.append(topic, ToPartition(0), messages(b"x"), deadline=soon())
    assert receipt.offset == 0
    page = await log.read(topic, 0, FromOffset(0), count=1, deadline=soon())
    assert page.messages[0].payload == b"x"
