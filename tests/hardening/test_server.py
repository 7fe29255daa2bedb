"""The server under the application: its parser, its limits, what it counts, and what it says when all else failed."""

import pytest
from aiohttp import http_parser, web
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from bridge import limits
from bridge.config import HttpConfig
from bridge.errors import StartupError
from bridge.web.app import build_app
from bridge.web.server import framed_protocol
from bridge.web.server import runner as server
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.runner import BridgeServer, check_parser, make_runner
from tests.support.door import open_door, services_for
from tests.support.raw_http import RawConnection, ask, request_bytes


def test_this_aiohttp_has_the_names_by_which_requests_are_told_apart() -> None:
    assert framed_protocol.INTERNALS_ARE_KNOWN


@pytest.mark.parametrize("first", ["Upgrade: h2c", "X-Other: h2c"])
async def test_without_those_names_a_request_behind_an_upgrade_is_never_made_of_a_body(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(framed_protocol, "INTERNALS_ARE_KNOWN", False)
    hidden = request_bytes("DELETE", "/things/hidden")
    json = "Content-Type: application/json"
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/things/first", "Connection: Upgrade", first))
        await connection.send(request_bytes("POST", "/things/second", json, body=hidden))
        answer = await connection.answer()
        assert answer.status == 200
        if first == "Upgrade: h2c":
            assert answer.header("Connection") == "close"
        else:
            assert (await connection.answer()).status == 201
        connection.close()
        assert [match["name"] for match, _ in door.seen] == ["first", "second"][: len(door.seen)]


async def test_without_those_names_broken_chunks_are_refused_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(framed_protocol, "INTERNALS_ARE_KNOWN", False)
    head = request_bytes("POST", "/things/a", "Content-Type: application/json", "Transfer-Encoding: chunked")
    async with open_door() as door:
        connection = await RawConnection.open(door.port)
        await connection.send(head + b"ZZ\r\n}\r\n0\r\n\r\n" + request_bytes("DELETE", "/things/hidden"))
        await connection.ended()
        assert door.seen == []


def test_the_c_parser_is_here_and_accepted() -> None:
    check_parser()


def test_without_extensions_the_bridge_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    with pytest.raises(StartupError, match="AIOHTTP_NO_EXTENSIONS"):
        check_parser()


async def test_with_the_python_parser_the_bridge_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HttpRequestParser", http_parser.HttpRequestParserPy)
    services = await services_for(HttpConfig())
    with pytest.raises(StartupError, match="C parser"):
        await make_runner(build_app(services, routes=()), services)


async def test_every_connection_gets_our_protocol_with_our_limits() -> None:
    async with open_door() as door:
        made = door.runner.server
        assert isinstance(made, BridgeServer)
        protocol = made()
        assert isinstance(protocol, BridgeProtocol)
        assert protocol.keepalive_timeout == HttpConfig().keepalive_timeout_s == limits.KEEPALIVE_TIMEOUT_S
        assert protocol.max_line_size == limits.REQUEST_LINE_BYTES_MAX
        assert protocol.max_field_size == limits.HEADER_FIELD_BYTES_MAX
        assert protocol.max_headers == limits.HEADER_FIELDS_MAX
        assert protocol._lingering_time == limits.LINGER_S
        assert protocol.access_logger is None


def test_a_long_target_is_not_told_as_a_long_header_field() -> None:
    assert len({limits.REQUEST_LINE_BYTES_MAX, limits.HEADER_FIELD_BYTES_MAX}) == 2


def test_pipelined_requests_are_capped_by_aiohttp_itself() -> None:
    assert MAX_MSG_QUEUE_SIZE == 32


async def test_connections_are_counted_up_and_down() -> None:
    async with open_door() as door:
        made = door.runner.server
        assert isinstance(made, BridgeServer)
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/things/a"))
        await connection.answer()
        assert (made._open_count, dict(made._by_address)) == (1, {"127.0.0.1": 1})
        await connection.send(request_bytes("GET", "/things/a", "Connection: close"))
        await connection.answer()
        assert await connection.ended()
        assert (made._open_count, dict(made._by_address)) == (0, {})


async def test_an_error_outside_every_middleware_is_a_problem_too(log_lines: list[dict[str, object]]) -> None:
    async def broken(_: web.Request) -> web.StreamResponse:
        raise ZeroDivisionError("secret")

    async with open_door(middlewares=()) as door:
        made = door.runner.server
        assert made is not None
        made.request_handler = broken  # type: ignore[assignment]
        answer = await ask(door.port, request_bytes("GET", "/things/a"))
        assert (answer.status, answer.problem()["error"]) == (500, "internal_error")
        assert b"secret" not in answer.body
        assert answer.header("X-Request-Id")
    assert "request_failed" in [line["event"] for line in log_lines]


async def test_an_error_after_the_answer_began_cuts_it_off() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.Response(text="x" * 10)
        response.content_length = 10
        await response.prepare(request)
        raise ZeroDivisionError

    async with open_door(middlewares=()) as door:
        made = door.runner.server
        assert made is not None
        made.request_handler = half  # type: ignore[assignment]
        connection = await RawConnection.open(door.port)
        await connection.send(request_bytes("GET", "/things/a"))
        await connection.ended()
