"""Lines that are messages with their ids and headers, as `GET` gives them."""

import base64
import json
import uuid
from typing import Any

import pytest

from bridge.errors import SendError
from bridge.messagelog import HeaderValue, NewMessage, ToPartition
from bridge.web.bodies.whole_messages import whole_line_bytes_max
from bridge.web.rules import RULES
from tests.support.bridge_app import BridgeApp
from tests.support.bulk import SpyAppender, in_chunks, post, stored
from tests.support.events import user_event

NIL = "00000000-0000-0000-0000-000000000000"
ID = "7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11"


def lines_of(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


async def read_lines(bridge: BridgeApp, query: str) -> bytes:
    headers = {"Accept": "application/x-ndjson"}
    async with bridge.session.get(f"{bridge.base}/messages{query}", headers=headers) as response:
        assert response.status == 200
        return await response.read()


async def test_what_was_read_as_lines_is_sent_as_lines_and_is_the_same_again(bridge: BridgeApp) -> None:
    event = user_event()
    sent = [
        NewMessage(json.dumps(event).encode(), uuid.UUID(event["id"]).int),
        NewMessage(b'{"a" : 1.50}', 5, {"trace": "x", "n": 3, "on": True, "raw": b"\x00\xff", "f": 1.5}),
        NewMessage("h\u00e9llo".encode(), 2**128 - 1, {"kind": "text"}),
        NewMessage(b"\x00\xff\xfe", 7),
        NewMessage(b"null", 8),
    ]
    await bridge.log.append(bridge.topic, ToPartition(0), sent, deadline=bridge.deadline())
    body = await read_lines(bridge, "?partition_id=0&offset=0")
    answer = await post(bridge, in_chunks(body, 11), "?partition_id=1&lines=messages")
    assert (answer.status, answer.json["stored"]) == (201, len(sent))
    found = await stored(bridge, 1)
    assert [(each.payload, each.id) for each in found] == [(each.payload, each.id) for each in sent]
    again = await read_lines(bridge, "?partition_id=1&offset=0")
    without_place = [
        [
            {k: v for k, v in json.loads(line).items() if k not in {"partition_id", "timestamp"}}
            for line in text.splitlines()
        ]
        for text in (body, again)
    ]
    assert without_place[0] == without_place[1]


async def test_a_line_without_an_id_gets_that_of_its_event_or_a_new_one(bridge: BridgeApp) -> None:
    event = user_event()
    body = lines_of(
        {"event": event}, {"text": "a"}, {"text": "b"}, {"event": {"id": 3}}, {"event": None, "payload": 1}
    )
    assert (await post(bridge, body, "?partition_id=0&lines=messages")).status == 201
    found = await stored(bridge, 0)
    assert found[0].id == uuid.UUID(event["id"]).int
    assert len({each.id for each in found} - {0}) == 5


async def test_headers_of_the_request_are_given_to_each_line_that_does_not_have_them(
    bridge: BridgeApp,
) -> None:
    body = lines_of({"text": "a", "headers": {"x": "own"}}, {"text": "b"})
    assert (await post(bridge, body, "?partition_id=0&lines=messages", Message_Header_x="all")).status == 201
    assert [each.headers for each in await stored(bridge, 0)] == [{"x": "own"}, {"x": "all"}]


@pytest.mark.parametrize(
    "line,reason",
    [
        ({}, "A message is one of 'event', 'payload', 'text' and 'payload_base64'."),
        ({"text": "a", "payload": 1}, "A message is one of"),
        ({"text": ""}, "The payload of the message is empty."),
        ({"text": "a", "id": "7f2c"}, "Invalid UUID"),
        ({"text": "a", "token": "x"}, "no field"),
        ({"payload_base64": "%"}, "base64"),
        ({"text": "a", "headers": {"x": {"base64": "%"}}}, "A header is not base64."),
        ({"text": "a", "headers": {"x": {"number": "seven"}}}, "A header is text"),
        ({"text": "a", "headers": {"x": {}}}, "A header is text"),
        ({"text": "a", "headers": {"": "x"}}, "header key"),
        ({"text": "a", "headers": {"x": "y" * 256}}, "header value"),
        *(
            (
                {"text": "a", "headers": {"x": {"number": number}}},
                "A header number of the message is not finite.",
            )
            for number in ("NaN", "nan", "inf", "-inf")
        ),
        (
            {"text": "a", "headers": {str(n): "y" * 255 for n in range(400)}},
            "The headers of the message are larger",
        ),
        ({"text": "a", "id": NIL}, "must not be the nil UUID; who gives none gets a random one. ($.id)"),
        ({"event": {"id": NIL}}, "must not be the nil UUID; who gives none gets a random one. ($.event.id)"),
        ([1], "object"),
    ],
)
async def test_a_line_that_is_no_message_is_named_and_those_before_it_are_stored(
    bridge: BridgeApp, line: Any, reason: str
) -> None:
    body = lines_of({"text": "a"}, line, {"text": "b"})
    answer = await post(bridge, body, "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["path"], answer.json["stored_lines"]) == (400, "line 2", 1)
    assert reason.lower() in answer.json["detail"].lower()
    assert [each.payload for each in await stored(bridge, 0)] == [b"a"]
    answer = await post(bridge, body, "?partition_id=1&lines=messages&on_error=skip")
    assert (answer.status, answer.json["stored"], answer.json["failed"]) == (207, 2, 1)
    assert [each["line"] for each in answer.json["errors"]] == [2]


async def test_of_a_broken_line_and_one_that_is_no_message_the_first_is_named(bridge: BridgeApp) -> None:
    answer = await post(bridge, b'{"text":"a"}\n{"x":1}\n{broken\n', "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["path"]) == (400, "line 2")
    answer = await post(bridge, b'{broken\n{"x":1}\n', "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["path"], answer.json["stored_lines"]) == (400, "line 1", 0)


async def test_a_key_twice_in_a_line_is_refused(bridge: BridgeApp) -> None:
    body = f'{{"text":"a","id":"{ID}","id":"{ID}"}}\n'.encode()
    answer = await post(bridge, body, "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["path"]) == (400, "line 1")


async def test_many_whole_lines_go_in_batches_and_where_one_fails_the_rest_is_not_written(
    bridge: BridgeApp,
) -> None:
    spy = SpyAppender(bridge.services.appender)
    object.__setattr__(bridge.services, "appender", spy)
    body = lines_of(*({"id": str(uuid.UUID(int=n)), "payload": n} for n in range(1, 2_501)))
    answer = await post(bridge, body, "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["stored"]) == (201, 2_500)
    assert [each.id for each in await stored(bridge, 0)] == list(range(1, 2_501))
    spy.fails_at = len(spy.batches) + 1
    answer = await post(bridge, body, "?partition_id=1&lines=messages")
    assert (answer.status, answer.json["error"], answer.json["outcome"]) == (500, SendError.code, "unknown")
    assert answer.json["resume_line"] == answer.json["stored_lines"] + 1
    assert len(await stored(bridge, 1)) == answer.json["stored_lines"]


async def test_what_lines_are_is_values_or_messages(bridge: BridgeApp) -> None:
    answer = await post(bridge, b"1\n", "?lines=objects")
    assert (answer.status, answer.json["path"]) == (400, "lines")
    assert (await post(bridge, b"1\n", "?lines=values")).status == 201
    wanted = base64.b64encode(b"x").decode()
    assert (await post(bridge, lines_of({"payload_base64": wanted}), "?lines=messages")).status == 201


async def test_headers_of_the_request_that_do_not_fit_beside_its_own_are_a_fault_of_the_line(
    bridge: BridgeApp,
) -> None:
    own = {f"{n:03}": "y" * 255 for n in range(373)}
    body = lines_of({"text": "a"}, {"text": "b", "headers": own})
    assert (await post(bridge, body, "?partition_id=0&lines=messages")).status == 201
    answer = await post(bridge, body, "?partition_id=1&lines=messages", Message_Header_x="z" * 255)
    assert (answer.status, answer.json["path"], answer.json["stored_lines"]) == (400, "line 2", 1)
    assert "The headers of the message are larger" in answer.json["detail"]


async def test_the_largest_message_there_can_be_is_read_as_a_line_and_sent_as_a_line(
    bridge: BridgeApp,
) -> None:
    largest = bridge.services.http.request_body_bytes_max
    headers: dict[str, HeaderValue] = {f"{n:03}" + "\x01" * 252: "\x01" * 255 for n in range(188)}
    sent = [
        NewMessage(b"\xff" * largest, 2**128 - 1, headers),
        NewMessage(b'"' + b"a" * (largest - 2) + b'"', 2),
        NewMessage(b"small", 3),
    ]
    for each in sent:
        await bridge.log.append(bridge.topic, ToPartition(0), (each,), deadline=bridge.deadline())
    body = await read_lines(bridge, "?partition_id=0&offset=0")
    assert len(body) > 2 * largest
    answer = await post(bridge, in_chunks(body, 100_000), "?partition_id=1&lines=messages")
    assert (answer.status, answer.json["stored"]) == (201, 3)
    found = await stored(bridge, 1)
    assert [(each.id, each.headers) for each in found] == [(each.id, each.headers) for each in sent]
    assert [each.payload for each in found] == [each.payload for each in sent]


async def test_a_longer_line_is_named_and_the_others_are_stored(bridge: BridgeApp) -> None:
    longest = whole_line_bytes_max(bridge.services.http.request_body_bytes_max)
    body = lines_of({"text": "a"}, {"text": "b" * longest}, {"text": "c"})
    answer = await post(bridge, in_chunks(body, 100_000), "?partition_id=0&lines=messages&on_error=skip")
    assert (answer.status, answer.json["stored"]) == (207, 2)
    assert answer.json["errors"] == [{"line": 2, "reason": f"The line is longer than {longest} bytes."}]


async def test_where_too_much_is_held_already_a_long_line_is_refused_and_a_short_one_is_not(
    bridge: BridgeApp,
) -> None:
    held, admission = bridge.services.http.in_flight_body_bytes_max, bridge.runner.app[RULES].admission
    assert admission.hold("198.51.100.7", held)
    short = lines_of({"text": "a" * 1_000_000})
    answer = await post(bridge, in_chunks(short * 3, 100_000), "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["stored"]) == (201, 3)
    long = lines_of({"text": "a" * 2_000_000})
    answer = await post(bridge, in_chunks(short + long, 100_000), "?partition_id=0&lines=messages")
    assert (answer.status, answer.json["error"], answer.json["stored_lines"]) == (503, "overloaded", 1)
    admission.release("198.51.100.7", held)
    assert (await post(bridge, in_chunks(long, 100_000), "?partition_id=0&lines=messages")).status == 201
