"""The names of aiohttp that the web room leans on: an update that moves one must fail here, not in service."""

import ast
import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import http_parser, streams, web
from aiohttp.http import StreamWriter
from aiohttp.http_writer import _serialize_headers
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from bridge import limits
from bridge.config import HttpConfig
from bridge.errors import StartupError
from bridge.web.app import build_app
from bridge.web.server import runner as server
from bridge.web.server.arrivals import Arrival
from bridge.web.server.connection import BridgeProtocol
from bridge.web.server.heads import Head
from bridge.web.server.plain_answers import PlainAnswer
from bridge.web.server.runner import BridgeServer, check_parser, make_runner
from tests.support.door import open_door, services_for
from tests.support.raw_http import RawConnection, ask, request_bytes

WEB = Path(server.__file__).parent
#: Every private name of aiohttp's that a module of ours says, by what has it.
HOOKS: dict[str, dict[str, set[str]]] = {
    "connection": {
        "protocol": {
            "_buffer_paused",
            "_close",
            "_current_request",
            "_force_close",
            "_handler_waiter",
            "_keepalive",
            "_lingering_time",
            "_loop",
            "_manager",
            "_messages",
            "_msg_queue_resume_size",
            "_parser",
            "_request_count",
            "_request_handler",
            "_request_in_progress",
            "_resume_reading_if_drained",
            "_task_handler",
            "_waiter",
        },
        "request": {"_payload", "_task"},
    },
    "framed_protocol": {
        "protocol": {
            "_buffer_paused",
            "_close",
            "_force_close",
            "_keepalive_handle",
            "_keepalive_timeout",
            "_loop",
            "_messages",
            "_next_keepalive_close_time",
            "_process_keepalive",
            "_reading_paused",
            "_request_count",
            "_waiter",
        },
    },
    "plain_answers": {
        "response": {
            "_body",
            "_chunked",
            "_compression",
            "_cookies",
            "_eof_sent",
            "_headers",
            "_keep_alive",
            "_payload_writer",
            "_reason",
            "_state",
            "_status",
            "_zlib_executor",
            "_zlib_executor_size",
        },
        "request": {"_message", "_method", "_version"},
    },
    "arrivals": {
        "request": {
            "_cache",
            "_client_max_fields",
            "_client_max_size",
            "_headers",
            "_loop",
            "_message",
            "_method",
            "_payload",
            "_payload_writer",
            "_protocol",
            "_read_bytes",
            "_rel_url",
            "_state",
            "_task",
            "_transport_peername",
            "_transport_sockname",
            "_transport_sslcontext",
            "_version",
        }
    },
    "static_routes": {"request": {"_match_info"}},
    "runner": {"server": {"_kwargs", "_loop"}, "runner": {"_make_server"}},
}


def said_and_own(module: str) -> tuple[set[str], set[str]]:
    """Names with an underscore that *module* says of something, and those that its classes bring themselves."""
    tree = ast.parse((WEB / f"{module}.py").read_text())
    said = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    }
    # Of every named tuple.
    own.add("_replace")
    return {name for name in said if name.startswith("_") and not name.startswith("__")}, own


@pytest.mark.parametrize("module", HOOKS)
def test_every_private_name_that_a_module_says_is_in_the_table(module: str) -> None:
    said, own = said_and_own(module)
    table: set[str] = set().union(*HOOKS[module].values())
    assert said - own <= table <= said


async def test_aiohttp_has_every_name_in_the_table() -> None:
    async with open_door() as door:
        made = door.runner.server
        assert isinstance(made, BridgeServer)
        protocol = web.RequestHandler(made, loop=asyncio.get_running_loop())
        having: dict[str, Any] = {
            "protocol": protocol,
            "request": make_mocked_request("GET", "/"),
            "response": web.Response(body=b"x"),
            "server": made,
            "runner": door.runner,
        }
        for names in HOOKS.values():
            for owner, private in names.items():
                assert [name for name in sorted(private) if not hasattr(having[owner], name)] == []
        # What the parser and the writer are asked.
        assert callable(protocol._parser.message_consumed)  # type: ignore[union-attr]
        writer = StreamWriter(protocol, asyncio.get_running_loop())
        assert writer.output_size == 0


def test_the_payload_of_a_request_without_a_body_is_one_that_has_ended() -> None:
    assert streams.EMPTY_PAYLOAD.is_eof()


def test_the_serializer_takes_a_plain_dictionary_and_refuses_line_breaks() -> None:
    assert (
        _serialize_headers("HTTP/1.1 200 OK", cast("Any", {"A": "b"})) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    )
    with pytest.raises(ValueError, match="header"):
        _serialize_headers("HTTP/1.1 200 OK", cast("Any", {"A": "b\r\nC: d"}))


@pytest.mark.parametrize("status", [200, 201, 599])
def test_an_answer_of_ours_is_what_aiohttp_would_have_made(status: int) -> None:
    ours = PlainAnswer(b"{}", status=status, content_type="application/json")
    theirs = web.Response(body=b"{}", status=status, content_type="application/json")
    made = {**vars(ours), "_headers": ours.headers, "_compressed_body": None}
    for own in ("_type", "_own_headers"):
        del made[own]
    assert vars(theirs) == made


async def test_a_request_with_a_known_head_is_what_aiohttp_would_have_made() -> None:
    mocked: Any = make_mocked_request("POST", "/messages", headers={"Host": "x"})
    given = (mocked._payload, mocked._protocol, mocked._payload_writer, mocked._task, mocked._loop)
    head = Head(mocked._message)
    theirs, ours = (Arrival(head, body, *given, body_bytes_max=7) for body in (None, b"{}"))
    assert vars(theirs) == {**vars(ours), "_whole_body": None}


def test_the_c_parser_is_here_and_accepted() -> None:
    check_parser()


def test_without_extensions_the_bridge_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    with pytest.raises(StartupError, match="AIOHTTP_NO_EXTENSIONS"):
        check_parser()


async def test_with_the_python_parser_the_bridge_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HttpRequestParser", http_parser.HttpRequestParserPy)
    services = services_for(HttpConfig())
    runner = make_runner(build_app(services, routes=()), services)
    with pytest.raises(StartupError, match="C parser"):
        await runner.setup()


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
