"""Bodies that are too large, too slow, compressed or of another type (shared trust, B31-B39, B58)."""

import asyncio
import gzip
import zlib

import pytest
from aiohttp import web

from bridge import limits
from bridge.config import HttpConfig
from bridge.web.bodies import whole as body_module
from bridge.web.bodies.whole import body_timeout_s, read_body
from tests.support.door import Door, open_door, row
from tests.support.raw_http import RawConnection, ask, request_bytes

JSON = "Content-Type: application/json"
SMALL = HttpConfig(rate_limit_rps=0, request_body_bytes_max=1024)


def post(*lines: str, body: bytes | None = None) -> bytes:
    return request_bytes("POST", "/things/a", *lines, body=body)


async def test_b31_a_length_of_5_gib_is_refused_before_any_of_it_comes(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(post(JSON, "Content-Length: 5368709120"))
    answer = await connection.answer()
    assert (answer.status, answer.problem()["limit"]) == (413, 10_485_760)
    assert answer.header("Connection") == "close"
    connection.close()


async def test_b32_a_body_that_is_too_long_is_refused_and_the_connection_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.05)
    async with open_door(http=SMALL) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(post(JSON, "Transfer-Encoding: chunked") + b"800\r\n" + b" " * 2048 + b"\r\n")
        answer = await connection.answer()
        assert (answer.status, answer.problem()["limit"]) == (413, 1024)
        assert answer.header("Connection") == "close"
        assert await connection.ended()
        assert door.seen == []


@pytest.mark.parametrize("extra,status", [(0, 201), (1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_limit_is_exact(extra: int, status: int, chunked: bool) -> None:
    body = b" " * (1024 + extra)
    async with open_door(http=SMALL) as door:
        if chunked:
            data = post(JSON, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            data = post(JSON, body=body)
        assert (await ask(door.port, data)).status == status
        assert [len(body) for _, body in door.seen] == ([1024] if status == 201 else [])


async def test_b33_a_connection_without_a_request_is_closed_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=0, keepalive_timeout_s=0.1)) as door:
        idle = await RawConnection.open(door.port)
        await idle.send(request_bytes("GET", "/things/a"))
        assert (await idle.answer()).status == 200
        slow = await RawConnection.open(door.port)
        await slow.send(b"GET /things/a HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        monkeypatch.setattr(limits, "HEAD_TIMEOUT_S", 0.1)
        silent = await RawConnection.open(door.port)
        assert await silent.ended()
        assert await slow.ended()
        assert await idle.ended()


async def test_b34_a_slow_body_gets_408_and_the_connection_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "BODY_TIMEOUT_BASE_S", 0.05)
    monkeypatch.setattr(limits, "LINGER_S", 0.05)
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        await connection.send(post(JSON, "Content-Length: 100") + b"{")
        answer = await connection.answer()
        assert (answer.status, answer.problem()["error"]) == (408, "request_timeout")
        assert answer.header("Connection") == "close"
        assert await connection.ended()
        assert door.seen == []


async def test_a_slow_body_gets_no_more_time_than_the_request_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.05)
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        await connection.send(post(JSON, "X-Request-Timeout: 100", "Content-Length: 100") + b"{")
        assert (await connection.answer()).status == 408
        connection.close()


def test_the_time_for_a_body_grows_with_its_length_up_to_a_bound() -> None:
    assert body_timeout_s(0) == limits.BODY_TIMEOUT_BASE_S
    assert body_timeout_s(limits.BODY_BYTES_PER_S_MIN) == limits.BODY_TIMEOUT_BASE_S + 1
    assert body_timeout_s(10**12) == body_timeout_s(None) == limits.BODY_TIMEOUT_MAX_S


@pytest.mark.parametrize(
    "encoding,body",
    [
        ("gzip", gzip.compress(bytes(8 * 1024 * 1024))),
        ("gzip", gzip.compress(gzip.compress(b"{}"))),
        ("gzip", b"no gzip at all"),
        ("gzip", gzip.compress(b"{}")[:-9]),
        ("deflate", zlib.compress(b"{}")),
        ("br", b"\x0b\x00\x80{}\x03"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip, gzip", b"x"),
        ("made-up", b"{}"),
    ],
    ids=[
        "B35 bomb",
        "B39 twice",
        "B37 bad",
        "B38 cut",
        "deflate",
        "B39 br",
        "B39 zstd",
        "B39 list",
        "B39 unknown",
    ],
)
async def test_b35_b39_compressed_bodies_are_refused_unread(door: Door, encoding: str, body: bytes) -> None:
    answer = await ask(door.port, post(JSON, f"Content-Encoding: {encoding}", body=body))
    assert (answer.status, answer.problem()["path"]) == (415, "Content-Encoding")
    assert door.seen == []


@pytest.mark.parametrize(
    "line",
    [
        "X-None: 1",
        "Content-Type: text/plain",
        "Content-Type: application/json; charset=utf-7",
        "Content-Type: ",
    ],
)
async def test_b58_other_types_and_charsets_are_refused(door: Door, line: str) -> None:
    answer = await ask(door.port, post(line, body=b"{}"))
    assert (answer.status, answer.problem()["error"]) == (415, "unsupported_media_type")
    assert door.seen == []


async def test_identity_and_utf_8_are_taken(door: Door) -> None:
    lines = ("Content-Type: application/json; charset=UTF-8", "Content-Encoding: identity")
    assert (await ask(door.port, post(*lines, body=b"{}"))).status == 201
    assert [body for _, body in door.seen] == [b"{}"]


async def test_whoever_waits_for_100_continue_is_invited_before_the_body(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(post(JSON, "Expect: 100-continue", "Content-Length: 2"))
    assert await connection.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await connection.line() == b"\r\n"
    await connection.send(b"{}")
    assert (await connection.answer()).status == 201
    await connection.send(request_bytes("GET", "/things/a"))
    assert (await connection.answer()).status == 200
    connection.close()


@pytest.mark.parametrize(
    "data,status",
    [
        (post(JSON, "Expect: 100-continue", "Content-Length: 2"), 401),
        (post(JSON, "X-API-Key: k", "Expect: 100-continue", "Content-Length: 2000"), 413),
        (post("X-API-Key: k", "Expect: 100-continue", "Content-Length: 2"), 415),
        (request_bytes("POST", "/nix", "X-API-Key: k", "Expect: 100-continue", "Content-Length: 2"), 404),
        (request_bytes("PUT", "/things/a", "X-API-Key: k", "Expect: 100-continue", "Content-Length: 2"), 405),
    ],
)
async def test_nobody_is_invited_to_send_a_body_that_is_refused(data: bytes, status: int) -> None:
    async with open_door(http=HttpConfig(api_key="k", request_body_bytes_max=1024)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(data)
        assert (await connection.answer()).status == status
        connection.close()


async def test_an_expectation_that_nobody_knows_is_ignored(door: Door) -> None:
    assert (await ask(door.port, post(JSON, "Expect: a-miracle", body=b"{}"))).status == 201


async def test_a_caller_who_hangs_up_in_the_middle_of_a_body_leaves_nothing_behind(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(post(JSON, "Content-Length: 100") + b"{")
    connection.close()
    assert (await ask(door.port, request_bytes("GET", "/things/a"))).status == 200
    assert door.seen == [({"name": "a"}, b"")]


async def test_a_body_is_read_once() -> None:
    async def twice(request: web.Request) -> web.StreamResponse:
        await read_body(request)
        with pytest.raises(RuntimeError, match="already"):
            await read_body(request)
        return web.Response()

    async with open_door(row("POST", "/twice", twice)) as door:
        assert (await ask(door.port, request_bytes("POST", "/twice", JSON, body=b"{}"))).status == 200


async def test_a_timeout_that_is_not_the_bodys_own_is_not_told_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object) -> bytes:
        raise TimeoutError

    monkeypatch.setattr(body_module, "_read", broken)
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        await connection.send(post(JSON, "Content-Length: 2"))
        assert (await connection.answer()).status == 500
        connection.close()


async def test_a_body_in_small_pieces_is_put_together(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(post(JSON, "Content-Length: 10"))
    for n in range(10):
        await connection.send(b"%d" % n)
        await asyncio.sleep(0)
    assert (await connection.answer()).status == 201
    assert [body for _, body in door.seen] == [b"0123456789"]
    connection.close()
