"""What follows a request is never lost or taken for another; chunks hold little that is no data; all codings are known."""

import asyncio

import pytest
from aiohttp import web

from bridge.limits import (
    CHUNK_OVERHEAD_BYTES_FREE,
    HEADER_FIELD_BYTES_MAX,
    HEADER_FIELDS_MAX,
    REQUEST_LINE_BYTES_MAX,
)
from bridge.web.bodies.whole import read_body
from tests.support.door import Door, open_door, row
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import RawConnection, ask, request_bytes

pytestmark = BOTH_LOOPS

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
HIDDEN = request_bytes("DELETE", "/things/hidden")


def get(target: str, *lines: str) -> bytes:
    return request_bytes("GET", target, *lines)


def chunks(*each: tuple[bytes, bytes]) -> bytes:
    """A body of data, each with the extension of its chunk."""
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(data), extension, data) for data, extension in each)
    return framed + b"0\r\n\r\n"


def pieces(data: bytes, *cuts: int) -> list[bytes]:
    return [data[begin:end] for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True)]


async def send_in_turns(connection: RawConnection, parts: list[bytes]) -> None:
    for part in parts:
        await connection.send(part)
        # Often enough for both ends of a loopback socket to see it alone; the outcome must be the same if they do not.
        for _ in range(5):
            await asyncio.sleep(0)


UPGRADES = {
    "without a body": get("/things/first", "Connection: Upgrade", "Upgrade: h2c"),
    "as curl does": get(
        "/things/first",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    ),
    "in capitals": get("/things/first", "CONNECTION: UPGRADE", "UPGRADE: TLS/1.2"),
    "with a body": request_bytes(
        "POST", "/things/first", "Connection: Upgrade", "Upgrade: h2c", JSON, body=b'{"a":"\\r\\n\\r\\n"}'
    ),
    "with line ends in its body": request_bytes(
        "POST", "/things/first", "Connection: Upgrade", "Upgrade: h2c", JSON, body=b"[\r\n\r\n1\r\n\r\n]"
    ),
}


@pytest.mark.parametrize("first", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("cut", ["at once", "within the head", "within its end", "after the head"])
async def test_what_follows_an_upgrade_that_is_not_spoken_here_is_the_next_request(
    door: Door, first: bytes, cut: str
) -> None:
    second = request_bytes("POST", "/things/second", JSON, body=HIDDEN)
    third = get("/things/third", "Connection: close")
    end = first.index(b"\r\n\r\n")
    cuts = {
        "at once": (),
        "within the head": (end - 9,),
        "within its end": (end + 3,),
        "after the head": (end + 4,),
    }
    connection = await RawConnection.open(door.port)
    await send_in_turns(connection, pieces(first + second + third, *cuts[cut]))
    statuses = [(await connection.answer()).status for _ in range(3)]
    assert await connection.ended()
    assert statuses[1:] == [201, 200]
    assert [match["name"] for match, _ in door.seen] == ["first", "second", "third"]
    assert door.seen[1][1] == HIDDEN


async def test_a_connection_goes_on_after_an_upgrade_that_is_not_spoken_here(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    for _ in range(3):
        await connection.send(UPGRADES["with a body"])
        answer = await connection.answer()
        assert (answer.status, answer.header("Connection")) == (201, None)
    connection.close()


async def test_where_the_end_of_an_upgrade_is_not_told_nothing_after_it_is_read(door: Door) -> None:
    first = request_bytes("POST", "/things/first", "Connection: Upgrade", "Upgrade: h2c", JSON, CHUNKED)
    connection = await RawConnection.open(door.port)
    await connection.send(
        first + chunks((b"{}", b"")) + request_bytes("POST", "/things/b", JSON, body=HIDDEN)
    )
    answer = await connection.answer()
    assert (answer.status, answer.header("Connection")) == (201, "close")
    assert await connection.ended()
    assert [match["name"] for match, _ in door.seen] == ["first"]


async def test_pipelined_upgrades_beyond_what_is_held_hide_nothing(door: Door) -> None:
    first = get("/things/first", "Connection: Upgrade", "Upgrade: h2c")
    second = request_bytes("POST", "/things/second", JSON, body=HIDDEN)
    connection = await RawConnection.open(door.port)
    await connection.send((first + second) * 50)
    await connection.ended()
    assert {match["name"] for match, _ in door.seen} <= {"first", "second"}


async def test_a_long_extension_is_no_body_and_ends_the_connection(door: Door) -> None:
    head = request_bytes("POST", "/things/a", JSON, CHUNKED)
    for split in (False, True):
        connection = await RawConnection.open(door.port)
        body = chunks((b"{}", b";" + b"a" * 20_000))
        await send_in_turns(connection, [head, body] if split else [head + body])
        answer = await connection.answer()
        told = answer.problem()
        assert (answer.status, told["error"], told["path"]) == (400, "bad_request", "body")
        assert told["limit"] == CHUNK_OVERHEAD_BYTES_FREE
        assert await connection.ended()
    assert door.seen == []


async def test_an_extension_without_end_is_refused_while_it_still_comes(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(request_bytes("POST", "/things/a", JSON, CHUNKED) + b"2;")
    sending = asyncio.create_task(connection.send(b"a" * 100_000_000))
    assert (await connection.answer()).status == 400
    assert await connection.ended()
    sending.cancel()
    with pytest.raises((asyncio.CancelledError, ConnectionError)):
        await sending
    assert door.seen == []


@pytest.mark.parametrize(
    "body",
    [
        chunks(*[(b" ", b"")] * 2_000, (b"{}", b"")),
        chunks(*[(b" " * 8_192, b";chunk-signature=" + b"f" * 64)] * 64, (b"{}", b"")),
        chunks(*[(b" ", b";a=1")] * 5_000, (b"{}", b"")),
        b"00000000000001\r\n{\r\n01\r\n}\r\n000\r\nX-Checksum: 1\r\n\r\n",
    ],
    ids=["single bytes", "signed chunks", "small extensions", "padded sizes and a trailer"],
)
async def test_what_real_clients_put_between_chunks_is_no_fault(door: Door, body: bytes) -> None:
    connection = await RawConnection.open(door.port)
    for _ in range(2):
        await connection.send(request_bytes("POST", "/things/a", JSON, CHUNKED) + body)
        assert (await connection.answer()).status == 201
    await connection.send(get("/things/a", "Connection: close"))
    assert (await connection.answer()).status == 200
    assert await connection.ended()


async def test_heads_that_follow_a_body_in_chunks_are_none_of_it(door: Door) -> None:
    follows = b"".join(get(f"/things/{number}", "X-A: " + "a" * 3_000) for number in range(20))
    connection = await RawConnection.open(door.port)
    await connection.send(request_bytes("POST", "/things/a", JSON, CHUNKED) + chunks((b"{}", b"")) + follows)
    assert [(await connection.answer()).status for _ in range(21)] == [201] + [200] * 20
    connection.close()


async def test_a_chunk_that_breaks_off_is_told_at_once_to_who_reads_the_body() -> None:
    reading = asyncio.Event()

    async def read(request: web.Request) -> web.StreamResponse:
        reading.set()
        return web.Response(body=await read_body(request))

    async with open_door(row("POST", "/read", read)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("POST", "/read", JSON, CHUNKED) + b"1\r\n{\r\n")
        await reading.wait()
        await connection.send(b"ZZ\r\n}\r\n0\r\n\r\n")
        assert (await connection.answer()).status == 400
        assert await connection.ended()


CODINGS = {
    "gzip, chunked": ["Transfer-Encoding: gzip, chunked"],
    "in two lines": ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
    "identity, chunked": ["Transfer-Encoding: identity, chunked"],
    "deflate": ["Transfer-Encoding: deflate,chunked"],
    "with a parameter": ["Transfer-Encoding: x;a=1, chunked"],
    "empty first": ["Transfer-Encoding: , chunked"],
}


@pytest.mark.parametrize("lines", CODINGS.values(), ids=CODINGS.keys())
async def test_a_body_in_another_transfer_coding_is_refused_and_ends_the_connection(
    door: Door, lines: list[str]
) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(request_bytes("POST", "/things/a", JSON, *lines) + chunks((b"{}", b"")))
    answer = await connection.answer()
    assert answer.status == 400
    assert await connection.ended()
    assert door.seen == []


@pytest.mark.parametrize("spelling", ["chunked", "Chunked", "CHUNKED", "chunked "])
async def test_chunked_may_be_spelled_as_one_likes(door: Door, spelling: str) -> None:
    data = request_bytes("POST", "/things/a", JSON, f"Transfer-Encoding: {spelling}") + chunks((b"{}", b""))
    assert (await ask(door.port, data)).status == 201


async def test_http_1_0_has_no_chunks(door: Door) -> None:
    data = f"POST /things/a HTTP/1.0\r\nHost: localhost\r\n{JSON}\r\n{CHUNKED}\r\n\r\n".encode() + chunks(
        (b"{}", b"")
    )
    connection = await RawConnection.open(door.port)
    await connection.send(data)
    assert (await connection.answer()).status == 400
    assert await connection.ended()
    assert door.seen == []


SMUGGLED = {
    "size with a sign": "+2\r\n{}\r\n0\r\n\r\n",
    "size after a space": " 2\r\n{}\r\n0\r\n\r\n",
    "space after the size": "2 \r\n{}\r\n0\r\n\r\n",
    "size with an underscore": "0_2\r\n{}\r\n0\r\n\r\n",
    "size that overflows": "10000000000000002\r\n{}\r\n0\r\n\r\n",
    "no size": "\r\n{}\r\n0\r\n\r\n",
    "LF after the size": "2\n{}\r\n0\r\n\r\n",
    "LF after the chunk": "2\r\n{}\n0\r\n\r\n",
    "CR alone after the size": "2\r{}\r\n0\r\n\r\n",
    "LF within an extension": "2;a\nb\r\n{}\r\n0\r\n\r\n",
    "LF at the end": "2\r\n{}\r\n0\n\n",
    "trailer with a space before the colon": "2\r\n{}\r\n0\r\nA : b\r\n\r\n",
    "folded trailer": "2\r\n{}\r\n0\r\nA: b\r\n c\r\n\r\n",
}


@pytest.mark.parametrize("body", SMUGGLED.values(), ids=SMUGGLED.keys())
async def test_chunks_that_two_readers_could_read_differently_are_refused(door: Door, body: str) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(request_bytes("POST", "/things/a", JSON, CHUNKED) + body.encode() + HIDDEN)
    assert (await connection.answer()).status == 400
    assert await connection.ended()
    assert door.seen == []


async def test_a_trailer_is_no_header(door: Door) -> None:
    data = request_bytes("POST", "/things/a", JSON, CHUNKED) + b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"
    connection = await RawConnection.open(door.port)
    await connection.send(data + get("/things/b", "Connection: close"))
    statuses = [(await connection.answer()).status]
    if statuses == [201]:
        statuses.append((await connection.answer()).status)
    assert statuses in ([400], [201, 200])
    assert await connection.ended()


HEADS = {
    "many fields": (
        get("/things/a", *[f"X-{n}: 1" for n in range(HEADER_FIELDS_MAX)]),
        431,
        HEADER_FIELDS_MAX,
    ),
    "long field": (
        get("/things/a", "X-A: " + "a" * (HEADER_FIELD_BYTES_MAX + 1)),
        431,
        HEADER_FIELD_BYTES_MAX,
    ),
    "long name": (get("/things/a", "X" * HEADER_FIELD_BYTES_MAX + "Y: a"), 431, HEADER_FIELD_BYTES_MAX),
    "long line": (get("/things/" + "a" * REQUEST_LINE_BYTES_MAX), 414, REQUEST_LINE_BYTES_MAX),
}


@pytest.mark.parametrize("data,status,limit", HEADS.values(), ids=HEADS.keys())
async def test_a_head_that_is_too_large_is_told_which_bound_it_passed(
    door: Door, log_lines: list[dict[str, object]], data: bytes, status: int, limit: int
) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(data)
    answer = await connection.answer()
    told = answer.problem()
    code = {414: "uri_too_long", 431: "header_fields_too_large"}[status]
    assert (answer.status, told["status"], told["error"], told["limit"]) == (status, status, code, limit)
    assert await connection.ended()
    logged = [line for line in log_lines if line["event"] == "request"]
    assert [(line["status"], line["error"]) for line in logged] == [(status, code)]


async def test_a_head_of_exactly_the_bounds_is_served(door: Door) -> None:
    fields = [f"X-{n}: 1" for n in range(HEADER_FIELDS_MAX - 2)]
    longest = "X-A: " + "a" * (HEADER_FIELD_BYTES_MAX - len("X-A"))
    assert (await ask(door.port, get("/things/a", longest, *fields))).status == 200
