"""What every answer carries, whoever makes it."""

import asyncio

import pytest
from aiohttp import web

from bridge.config import HttpConfig
from bridge.web.server.answer_headers import send_head
from tests.support.clock import FakeClock
from tests.support.door import open_door, row
from tests.support.raw_http import RawConnection, ask, request_bytes

FULL = HttpConfig(
    api_key="k",
    rate_limit_rps=1,
    rate_limit_burst=100,
    request_body_bytes_max=1024,
    cors_allowed_origins=("https://app.example",),
)
BASE = ("X-Request-Id: my-id", "Origin: https://app.example", "X-Request-Timeout: 5000")
KEYED = (*BASE, "X-API-Key: k")
JSON = "Content-Type: application/json"


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await send_head(request, response)
    await response.write(b"data")
    await response.write_eof()
    return response


async def fail(_: web.Request) -> web.StreamResponse:
    raise ZeroDivisionError("secret-of-the-handler")


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("never")


ROWS = (
    row("GET", "/stream", stream),
    row("GET", "/fail", fail),
    row("GET", "/hang", hang),
    row("POST", "/hang", hang),
)

CASES = {
    "200": (200, request_bytes("GET", "/things/a", *KEYED)),
    "probe": (200, request_bytes("GET", "/health", *KEYED)),
    "201": (201, request_bytes("POST", "/things/a", JSON, *KEYED, body=b"{}")),
    "stream": (200, request_bytes("GET", "/stream", *KEYED)),
    "preflight": (204, request_bytes("OPTIONS", "/things/a", "Access-Control-Request-Method: POST", *BASE)),
    "unknown path": (404, request_bytes("GET", "/nix", *KEYED)),
    "unknown method": (405, request_bytes("DELETE", "/things/a", *KEYED)),
    "no key": (401, request_bytes("GET", "/things/a", *BASE)),
    "odd path": (400, request_bytes("GET", "/things/%00", *KEYED)),
    "other host": (421, request_bytes("GET", "http://other/", *KEYED)),
    "too large": (413, request_bytes("POST", "/things/a", JSON, *KEYED, "Content-Length: 9999")),
    "other type": (415, request_bytes("POST", "/things/a", *KEYED, body=b"{}")),
    "defect": (500, request_bytes("GET", "/fail", *KEYED)),
    "other version": (505, request_bytes("GET", "/", *KEYED).replace(b"HTTP/1.1", b"HTTP/2.0")),
}


@pytest.mark.parametrize("status,data", CASES.values(), ids=CASES.keys())
async def test_every_answer_carries_id_time_limits_and_origin(status: int, data: bytes) -> None:
    async with open_door(*ROWS, http=FULL, clock=FakeClock()) as door:
        answer = await ask(door.port, data)
        assert answer.status == status
        assert answer.headers["x-request-id"] == ["my-id"]
        assert answer.headers["x-effective-timeout"] == ["5000"]
        assert answer.headers["ratelimit-policy"] == ['"address";q=100;w=100']
        assert answer.headers["ratelimit"][0].startswith('"address";r=')
        assert answer.headers["access-control-allow-origin"] == ["https://app.example"]
        assert answer.headers["vary"] == ["Origin"]
        assert answer.headers["server"] == ["bridge"]


async def test_the_answer_to_a_parser_error_carries_them_too() -> None:
    async with open_door(http=FULL, clock=FakeClock()) as door:
        answer = await ask(door.port, b"rubbish\r\n\r\n")
        assert answer.status == 400
        assert len(answer.headers["x-request-id"][0]) == 36
        assert answer.headers["x-effective-timeout"] == ["30000"]
        assert answer.headers["ratelimit"] == ['"address";r=99;t=1']
        assert answer.headers["vary"] == ["Origin"]
        assert answer.headers["server"] == ["bridge"]


async def test_with_a_star_the_answer_to_a_parser_error_may_be_read_by_any_page() -> None:
    async with open_door(http=HttpConfig(rate_limit_rps=0, cors_allowed_origins=("*",))) as door:
        answer = await ask(door.port, b"rubbish\r\n\r\n")
        assert answer.headers["access-control-allow-origin"] == ["*"]
        assert "ratelimit" not in answer.headers


@pytest.mark.parametrize("offered", ["a b", "x" * 129, "\xff"])
async def test_an_id_that_is_not_acceptable_is_replaced(offered: str) -> None:
    async with open_door() as door:
        answer = await ask(door.port, request_bytes("GET", "/things/a", f"X-Request-Id: {offered}"))
        assert len(answer.headers["x-request-id"][0]) == 36


async def test_every_request_without_an_id_gets_another_one() -> None:
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        ids = set()
        for _ in range(20):
            await connection.send(request_bytes("GET", "/things/a"))
            ids.add((await connection.answer()).header("X-Request-Id"))
        connection.close()
        assert len(ids) == 20


async def test_a_defect_tells_nothing_and_is_in_the_log_under_its_id(
    log_lines: list[dict[str, object]],
) -> None:
    async with open_door(*ROWS) as door:
        answer = await ask(door.port, request_bytes("GET", "/fail", "X-Request-Id: find-me"))
    assert (answer.status, answer.problem()["error"]) == (500, "internal_error")
    assert b"secret" not in answer.body
    assert b"ZeroDivision" not in answer.body
    failed = [line for line in log_lines if line["event"] == "request_failed"]
    assert len(failed) == 1
    assert failed[0]["exc_info"]


async def test_preflights_of_other_origins_are_refused_and_other_options_are_not_preflights() -> None:
    async with open_door(http=FULL) as door:
        ask_for = "Access-Control-Request-Method: POST"
        other = await ask(
            door.port, request_bytes("OPTIONS", "/things/a", ask_for, "Origin: https://evil.example")
        )
        assert (other.status, other.problem()["error"]) == (403, "forbidden")
        assert "access-control-allow-origin" not in other.headers
        plain = await ask(door.port, request_bytes("OPTIONS", "/things/a", "X-API-Key: k"))
        assert plain.status == 405


@pytest.mark.parametrize("method,outcome", [("GET", None), ("POST", "unknown")])
async def test_what_does_not_end_by_itself_is_ended(
    method: str, outcome: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.middleware.deadline.DEADLINE_BACKSTOP_S", 0.0)
    async with open_door(*ROWS) as door:
        answer = await ask(door.port, request_bytes(method, "/hang", "X-Request-Timeout: 100"))
        assert (answer.status, answer.problem()["error"]) == (504, "timeout")
        assert answer.problem().get("outcome") == outcome


async def test_a_stream_that_fails_in_the_middle_is_cut_off_and_not_ended_well() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await send_head(request, response)
        await response.write(b"half")
        raise ZeroDivisionError

    async with open_door(row("GET", "/half", half)) as door:
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/half"))

        # The chunk that says "this was all" is missing: a reader can tell it from a whole answer.
        assert (await connection.rest()).endswith(b"\r\n4\r\nhalf\r\n")


async def test_a_redirect_passes_as_it_is() -> None:
    async def move(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/things/a")

    async with open_door(row("GET", "/move", move)) as door:
        answer = await ask(door.port, request_bytes("GET", "/move"))
        assert (answer.status, answer.header("Location")) == (302, "/things/a")
        assert answer.header("X-Request-Id")
