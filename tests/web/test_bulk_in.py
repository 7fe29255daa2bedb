"""Messages that come in as lines of one long body."""

import asyncio
import gzip
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import pytest

from bridge import limits
from bridge.errors import Overloaded
from bridge.web.server.connection import BridgeProtocol
from tests.support.bridge_app import BridgeApp
from tests.support.bulk import SpyAppender, everything, in_chunks, post, stored
from tests.support.events import user_event


@pytest.fixture
def spy(bridge: BridgeApp) -> SpyAppender:
    appender = SpyAppender(bridge.services.appender)
    object.__setattr__(bridge.services, "appender", appender)
    return appender


async def test_each_line_is_a_message_with_its_own_bytes(bridge: BridgeApp) -> None:
    lines = [
        b'{"a" : 1.50}',
        b'"x"',
        b"null",
        b"[ 1,2]",
        json.dumps(user_event()).encode(),
        '"\u00e9"'.encode(),
    ]
    body = b"\r\n".join(lines[:3]) + b"\n\n  \n \t" + b" \n".join(lines[3:])
    answer = await post(bridge, in_chunks(body, 7), "?partition_id=1")
    assert answer.status == 201
    assert answer.json == {
        "success": True,
        "stream": bridge.topic.stream,
        "topic": bridge.topic.topic,
        "timestamp": answer.json["timestamp"],
        "stored": 6,
        "failed": 0,
        "partitions": [{"partition_id": 1, "first_offset": 0, "last_offset": 5, "count": 6}],
        "errors": [],
        "durability": "persisted",
    }
    found = await stored(bridge, 1)
    assert [message.payload for message in found] == lines
    assert len({message.id for message in found} - {0}) == 6


async def test_many_lines_go_in_batches_in_order_and_say_where(bridge: BridgeApp, spy: SpyAppender) -> None:
    lines = [b'{"n":%d}' % number for number in range(7_500)]
    answer = await post(bridge, b"\n".join(lines))
    assert (answer.status, answer.json["stored"]) == (201, 7_500)
    assert (sum(spy.batches), spy.in_flight_max) == (7_500, 1)
    assert max(spy.batches) <= limits.NDJSON_BATCH_MESSAGES_MAX
    numbers: dict[int, list[int]] = {}
    for partition_id in range(3):
        found = [json.loads(message.payload)["n"] for message in await stored(bridge, partition_id)]
        assert found == sorted(found)
        numbers[partition_id] = found
    assert sorted(number for found in numbers.values() for number in found) == list(range(7_500))
    told = {one["partition_id"]: one for one in answer.json["partitions"]}
    assert {partition_id: one["count"] for partition_id, one in told.items()} == {
        partition_id: len(found) for partition_id, found in numbers.items() if found
    }
    for one in told.values():
        assert one["last_offset"] - one["first_offset"] + 1 == one["count"]


async def test_a_batch_is_bounded_in_bytes(bridge: BridgeApp, spy: SpyAppender) -> None:
    line = json.dumps("x" * 300_000).encode()
    answer = await post(bridge, in_chunks(b"\n".join([line] * 20), 100_000), "?partition_id=0")
    assert (answer.status, answer.json["stored"]) == (201, 20)
    assert max(spy.batch_bytes) <= limits.NDJSON_BATCH_BYTES
    assert spy.in_flight_max == 1


async def test_faulty_lines_stop_a_body_with_what_was_stored_before(bridge: BridgeApp) -> None:
    lines = [b"%d" % number for number in range(2_500)]
    lines[2_000] = b'{"secret'
    answer = await post(bridge, b"\n".join(lines), "?partition_id=0")
    assert (answer.status, answer.json["error"]) == (400, "serialization_error")
    assert (answer.json["path"], answer.json["stored_lines"], answer.json["failed"]) == (
        "line 2001",
        2_000,
        1,
    )
    assert answer.json["resume_line"] == 2_001
    assert answer.json["errors"][0]["line"] == 2_001
    assert answer.json["partitions"][0]["count"] == 2_000
    assert b"secret" not in answer.body
    assert [message.payload for message in await stored(bridge, 0)] == lines[:2_000]


async def test_faulty_lines_are_passed_over_if_that_is_asked_for(bridge: BridgeApp) -> None:
    bad = [b"{", b"\xff", b"1 2", b"1e400", b"[" * 65 + b"]" * 65, b"x" * (limits.NDJSON_LINE_BYTES_MAX + 1)]
    lines = [part for number, fault in enumerate(bad) for part in (b"%d" % number, fault)]
    answer = await post(bridge, in_chunks(b"\n".join(lines), 100_000), "?partition_id=0&on_error=skip")
    assert answer.status == 207
    assert (answer.json["success"], answer.json["stored"], answer.json["failed"]) == (False, 6, 6)
    assert [error["line"] for error in answer.json["errors"]] == [2, 4, 6, 8, 10, 12]
    assert [message.payload for message in await stored(bridge, 0)] == lines[::2]


async def test_faults_told_are_bounded_and_the_rest_is_counted(bridge: BridgeApp) -> None:
    answer = await post(bridge, b"1\n" + b"x\n" * 5_000, "?on_error=skip")
    assert (answer.status, answer.json["stored"], answer.json["failed"]) == (207, 1, 5_000)
    assert len(answer.json["errors"]) == limits.NDJSON_FAULTS_TOLD


@pytest.mark.parametrize("body", [b"", b"\n \r\n", b"x\n"])
async def test_a_body_without_a_message_is_refused(bridge: BridgeApp, body: bytes) -> None:
    answer = await post(bridge, body, "?on_error=skip")
    assert (answer.status, answer.json["stored_lines"]) == (400, 0)


async def test_a_batch_that_fails_ends_the_body_and_says_how_far_it_came(
    bridge: BridgeApp, spy: SpyAppender
) -> None:
    spy.fails_at = 2

    async def endless() -> AsyncIterator[bytes]:
        # The answer comes although the body goes on: the client need not be done to hear of it.
        for _ in range(5_000):
            yield b'"line"\n' * 500

    answer = await post(bridge, endless(), "?partition_id=0")
    assert (answer.status, answer.json["error"], answer.json["outcome"]) == (500, "send_error", "unknown")
    count = answer.json["stored_lines"]
    assert count == sum(spy.batches) == answer.json["partitions"][0]["count"]
    assert answer.json["resume_line"] == count + 1
    assert len(await stored(bridge, 0)) == count
    assert answer.headers["Connection"] == "close"


async def test_a_long_body_is_held_back_while_the_log_is_slow(
    bridge: BridgeApp, spy: SpyAppender, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy.waiting_for = asyncio.Event()
    received_bytes = 0
    receive = BridgeProtocol.data_received

    def data_received(self: BridgeProtocol, data: bytes) -> None:
        nonlocal received_bytes
        received_bytes += len(data)
        receive(self, data)

    monkeypatch.setattr(BridgeProtocol, "data_received", data_received)
    line = json.dumps("x" * 1_000).encode() + b"\n"

    async def body() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield line * 10

    answering = asyncio.create_task(post(bridge, body(), "?partition_id=0"))
    # 20 MB are on their way. The log takes none of them, so that soon nothing more is read, although more could be.
    turns_at_rest, before = 0, -1
    while turns_at_rest < 1_000:
        await asyncio.sleep(0)
        turns_at_rest, before = (turns_at_rest + 1 if received_bytes == before > 0 else 0), received_bytes
    assert received_bytes < 8 * limits.NDJSON_BATCH_BYTES
    assert len(spy.batches) == 1
    spy.waiting_for.set()
    answer = await answering
    assert (answer.status, answer.json["stored"]) == (201, 20_000)
    assert max(spy.batch_bytes) <= limits.NDJSON_BATCH_BYTES


async def test_what_came_is_stored_while_the_sender_pauses(bridge: BridgeApp, spy: SpyAppender) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"1\n2\n"
        await spy.first_acknowledged.wait()
        yield b"3\n"

    answer = await post(bridge, body(), "?partition_id=0")
    assert (answer.status, answer.json["stored"]) == (201, 3)


async def test_a_sender_that_falls_silent_gets_a_408_with_what_was_stored(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NDJSON_IDLE_TIMEOUT_S", 0.5)
    answered = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"1\n2"
        await answered.wait()

    try:
        answer = await post(bridge, body(), "?partition_id=0")
    finally:
        answered.set()
    assert (answer.status, answer.json["stored_lines"], answer.json["resume_line"]) == (408, 1, 2)


async def test_a_sender_that_moves_a_byte_now_and_then_is_too_slow_as_well(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NDJSON_IDLE_TIMEOUT_S", 0.3)
    # A byte earns nothing: each comes long before one alone would be too late.
    monkeypatch.setattr(limits, "NDJSON_BYTES_PER_S_MIN", 10**12, raising=False)
    answered = False

    async def body() -> AsyncIterator[bytes]:
        yield b"1\n2"
        while not answered:
            yield b" "
            await asyncio.sleep(0.01)

    try:
        async with asyncio.timeout(60):
            answer = await post(bridge, body(), "?partition_id=0")
    finally:
        answered = True
    assert (answer.status, answer.json["stored_lines"]) == (408, 1)


async def test_a_few_addresses_leave_room_for_the_bodies_of_others(bridge: BridgeApp) -> None:
    uploads = bridge.services.bulk_writes
    with ExitStack() as stack:
        for number in range(64):
            with suppress(Overloaded):
                stack.enter_context(uploads.joined(f"192.0.2.{number % 2}"))
        answer = await post(bridge, b"1\n", "?partition_id=0")
    assert (answer.status, answer.json["stored"]) == (201, 1)


async def test_the_time_of_a_request_holds_for_each_batch(bridge: BridgeApp, spy: SpyAppender) -> None:
    answer = await post(bridge, b"1\n" * 9_000, X_Request_Timeout="5000")
    assert (answer.status, answer.headers["X-Effective-Timeout"]) == (201, "5000")
    assert len({deadline.at_s for deadline in spy.deadlines}) == len(spy.batches) >= 3


async def test_a_process_that_ends_stores_what_came_and_says_where_to_go_on(
    bridge: BridgeApp, spy: SpyAppender
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"1\n2\n3"
        await spy.first_acknowledged.wait()
        bridge.services.lifecycle.draining = True
        yield b"\n4\n"

    answer = await post(bridge, body(), "?partition_id=0")
    assert (answer.status, answer.json["error"]) == (503, "connection_failed")
    assert (answer.json["outcome"], answer.json["stored_lines"]) == ("not_written", 2)
    assert len(await stored(bridge, 0)) == 2


async def test_only_so_many_bodies_are_taken_at_a_time(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.services.bulk_writes._slots, "amount_max", 0)
    answer = await post(bridge, b"1")
    assert (answer.status, answer.json["error"], answer.json["outcome"]) == (503, "overloaded", "not_written")
    assert await everything(bridge) == []


async def test_a_compressed_body_of_lines_is_read_as_it_comes(bridge: BridgeApp) -> None:
    lines = [json.dumps({"n": number, "id": str(uuid.uuid4())}).encode() for number in range(3_000)]
    body = gzip.compress(b"\n".join(lines))
    answer = await post(bridge, in_chunks(body, 1_000), "?partition_id=0", Content_Encoding="gzip")
    assert (answer.status, answer.json["stored"]) == (201, 3_000)
    assert [message.payload for message in await stored(bridge, 0)] == lines


async def test_a_compressed_body_that_is_cut_keeps_its_whole_lines(bridge: BridgeApp) -> None:
    body = gzip.compress(b"\n".join(b"%d" % number for number in range(3_000)))[:-10]
    answer = await post(bridge, body, "?partition_id=0", Content_Encoding="gzip")
    assert (answer.status, answer.json["path"]) == (400, "body")
    assert answer.json["stored_lines"] == len(await stored(bridge, 0)) > 0


async def test_a_body_whose_framing_breaks_is_a_400(bridge: BridgeApp) -> None:
    host, port = bridge.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /messages?partition_id=0 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n4\r\n1\n2\n\r\nZZ\r\n"
    )
    head = await reader.readuntil(b"\r\n")
    writer.close()
    assert head.split()[1] == b"400"
