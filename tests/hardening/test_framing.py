"""Requests whose framing is ambiguous or broken (shared trust, B1-B30, B42): refused, closed, nothing echoed."""

import asyncio

import pytest

from tests.support.door import Door
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import RawConnection, ask, request_bytes

pytestmark = BOTH_LOOPS

POST = "POST /things/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def post(*lines: str, body: str = "{}") -> bytes:
    return (POST + "\r\n".join([*lines, "", ""]) + body).encode("latin-1")


def get(*lines: str, first: str = "GET /things/a HTTP/1.1", host: str = "Host: localhost\r\n") -> bytes:
    return (first + "\r\n" + host + "\r\n".join([*lines, "", ""])).encode("latin-1")


REFUSED = {
    "B1 length and chunked": post("Content-Length: 2", "Transfer-Encoding: chunked"),
    "B2 two lengths": post("Content-Length: 2", "Content-Length: 3"),
    "B2 two equal lengths": post("Content-Length: 2", "Content-Length: 2"),
    "B3 list of lengths": post("Content-Length: 2, 2"),
    "B4 length +2": post("Content-Length: +2"),
    "B5 length -1": post("Content-Length: -1"),
    "B6 length 2_0": post("Content-Length: 2_0"),
    "B7 length 10^30": post("Content-Length: 1" + "0" * 30),
    "B7 length in hex": post("Content-Length: 0x2"),
    "B8 xchunked": post("Transfer-Encoding: xchunked"),
    "B9 identity last": post("Transfer-Encoding: chunked, identity"),
    "B10 chunked twice": post("Transfer-Encoding: chunked, chunked"),
    "B10 two lines of transfer encoding": post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "B11 space before colon": post("Content-Length : 2"),
    "B13 no Host": get(host=""),
    "B14 two Hosts": get("Host: y"),
    "B16 bare LF": b"GET /things/a HTTP/1.1\nHost: localhost\n\n",
    "B17 folded header": get("X-A: one", "  two"),
    "B18 NUL in value": get("X-A: a\0b"),
    "B19 CR in value": get("X-A: a\rb"),
    "B20 space in name": get("X A: b"),
    "B20 empty name": get(": b"),
    "B23 preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "B23 TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(range(190)),
    "B40 unknown method": get(first="FOO /things/a HTTP/1.1"),
    "B40 lower-case method": get(first="get /things/a HTTP/1.1"),
    "raw UTF-8 in the path": "GET /things/é HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "version of nothing": get(first="GET /things/a HTTP/x.y"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_a_request_that_two_readers_could_read_differently_is_refused_and_closed(
    door: Door, data: bytes
) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(data)
    answer = await connection.answer()
    told = answer.problem()
    assert (answer.status, told["status"], told["error"]) == (400, 400, "bad_request")
    assert told["request_id"] == answer.header("X-Request-Id")
    assert await connection.ended()
    assert door.seen == []


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_the_refusal_of_a_parser_error_is_the_same_for_every_input(door: Door, data: bytes) -> None:
    told = (await ask(door.port, data)).problem()
    assert told["detail"] == "This is not a valid HTTP/1.1 request."
    assert not {"path"} & told.keys()


CHUNKS = {
    "size ZZ": "ZZ\r\n{}\r\n0\r\n\r\n",
    "size -1": "-1\r\n{}\r\n0\r\n\r\n",
    "size 0x2": "0x2\r\n{}\r\n0\r\n\r\n",
    "no CRLF after the chunk": "2\r\n{}0\r\n\r\n",
    "size beyond 64 bit": "f" * 17 + "\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS.keys())
@pytest.mark.parametrize("split", [False, True], ids=["at once", "head first"])
async def test_b27_a_broken_chunk_is_refused_once_and_the_connection_ends(
    door: Door, body: str, split: bool
) -> None:
    connection = await RawConnection.open(door.port)
    head = post("Transfer-Encoding: chunked", body="")
    if split:
        await connection.send(head)
        await asyncio.sleep(0)
        await connection.send(body.encode())
    else:
        await connection.send(head + body.encode())
    answer = await connection.answer()
    assert answer.status == 400
    assert answer.header("X-Request-Id")
    assert await connection.ended()
    assert door.seen == []


async def test_b29_two_hundred_trailers_are_refused(door: Door) -> None:
    trailers = "".join(f"X-{n}: 1\r\n" for n in range(200))
    data = post("Transfer-Encoding: chunked", body="2\r\n{}\r\n0\r\n" + trailers + "\r\n")
    connection = await RawConnection.open(door.port)
    await connection.send(data)
    assert (await connection.answer()).status == 400
    assert await connection.ended()
    assert door.seen == []


async def test_b30_sixty_thousand_chunks_of_one_byte_are_one_body(door: Door) -> None:
    count = 60_000
    connection = await RawConnection.open(door.port)
    await connection.send(post("Transfer-Encoding: chunked", body=""))
    await connection.send(b"1\r\n1\r\n" * count + b"0\r\n\r\n")
    assert (await connection.answer()).status == 201
    assert [len(body) for _, body in door.seen] == [count]
    connection.close()


async def test_b42_an_upgrade_with_a_body_hides_no_second_request(door: Door) -> None:
    hidden = request_bytes("GET", "/things/hidden")
    data = (
        f"POST /things/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(hidden)}\r\n\r\n"
    ).encode() + hidden
    connection = await RawConnection.open(door.port)
    await connection.send(data)
    await connection.answer()
    await connection.send(request_bytes("GET", "/things/last", "Connection: close"))
    await connection.answer()
    assert await connection.ended()
    assert "hidden" not in [match["name"] for match, _ in door.seen]
    assert len(door.seen) <= 2


async def test_pipelined_requests_are_answered_in_order_and_held_back_beyond_the_cap(door: Door) -> None:
    count = 200
    connection = await RawConnection.open(door.port)
    await connection.send(b"".join(request_bytes("GET", f"/things/{n}") for n in range(count)))
    for _ in range(count):
        assert (await connection.answer()).status == 200
    assert [match["name"] for match, _ in door.seen] == [str(n) for n in range(count)]
    connection.close()


async def test_rubbish_after_a_good_request_ends_the_connection(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(request_bytes("GET", "/things/a"))
    assert (await connection.answer()).status == 200
    await connection.send(b"\0\0\0\r\n\r\n")
    assert (await connection.answer()).status == 400
    assert await connection.ended()
