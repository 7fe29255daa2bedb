"""A request that ends, however it does, is freed by its references alone: nothing is left to the garbage collector.

The collector is rarely let look (`bridge.process.memory`), so that what waits for it is gigabytes once clients leave in the middle.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import uvloop

from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.garbage import Left, left_by
from tests.support.turns import until

_TIMES: Final = 3
_MESSAGES: Final = 6
_MESSAGE_BYTES: Final = 1_000_000
# Unsent, all of it fits no buffer of the kernel's.
_CUT_BODY: Final = b'{"a":"%s"}\n' % (b"x" * 10_000) * 300
# asyncio's own transport holds a method of its own: a circle, small and not ours.
_LOOPS: Final = pytest.mark.parametrize(
    "new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)


class Case(NamedTuple):
    """What a client sends before it leaves, and what it waits for."""

    sent: bytes
    body: bytes = b""
    waits_for: str = "head"
    # Less where the server reads on for a while after its answer.
    times: int = _TIMES


def _get(target: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def _post(target: str, *lines: str) -> bytes:
    return b"POST" + _get(target, *lines)[3:]


_OCTETS: Final = "Content-Type: application/octet-stream"
_LINES: Final = "Content-Type: application/x-ndjson"
_LONG: Final = "Content-Length: 9000000"
_CASES: Final = {
    "a short answer": Case(_get("/health")),
    "a refusal": Case(_get("/messages?count=0")),
    "what is no request": Case(b"GARBAGE\r\n\r\n"),
    "a page left in the middle": Case(_get("/messages?partition_id=0&offset=0&count=6")),
    "the head of a page": Case(b"HEAD" + _get("/messages?partition_id=0&offset=0&count=6")[3:]),
    "a page by cursor left in the middle": Case(_get("/messages?cursor=first&count=6")),
    "lines left in the middle": Case(_get("/messages?partition_id=0", "Accept: application/x-ndjson")),
    "lines left in the middle, compressed": Case(
        _get("/messages?partition_id=0", "Accept: application/x-ndjson", "Accept-Encoding: gzip")
    ),
    "lines by cursor left in the middle": Case(
        _get("/messages?cursor=first", "Accept: application/x-ndjson")
    ),
    "events left in the middle": Case(_get("/messages/stream?from=first", "Accept: text/event-stream")),
    "events left while none came": Case(_get("/messages/stream", "Accept: text/event-stream")),
    "a long poll": Case(_get("/messages?partition_id=0&wait_ms=30000&offset=6"), waits_for="long poll"),
    "a body left in the middle": Case(_post("/messages", _OCTETS, _LONG), _CUT_BODY, "body"),
    "JSON left in the middle": Case(
        _post("/messages", "Content-Type: application/json", _LONG), _CUT_BODY, "body"
    ),
    "lines sent and left in the middle": Case(_post("/messages", _LINES, _LONG), _CUT_BODY, "body"),
    "lines in broken framing": Case(
        _post("/messages", _LINES, "Transfer-Encoding: chunked"), b'7\r\n{"a":1\r\nzz\r\n'
    ),
    "a body that came too late": Case(
        _post("/messages", _OCTETS, _LONG, "X-Request-Timeout: 100"), _CUT_BODY, times=1
    ),
    "a body that is too long": Case(_post("/messages", _OCTETS, "Content-Length: 90000000"), times=1),
    "a body left before its refusal": Case(
        _post("/messages", "Content-Type: image/png", "Content-Length: 100"), b"half", waits_for="nothing"
    ),
    "a message that is no JSON": Case(
        _post("/messages", "Content-Type: application/json", "Content-Length: 1"), b"{"
    ),
    "a socket": Case(
        _get(
            "/ws",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: bridge.v1",
        )
    ),
    "messages of a group left in the middle": Case(
        _post("/streams/sample-stream/topics/events/groups/g/receive", "Content-Length: 0")
    ),
}


@_LOOPS
@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES.keys())
def test_a_request_leaves_nothing_to_the_garbage_collector(
    case: Case, new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        left = runner.run(_left_by(case, tmp_path))
    assert left == Left([], 0)


@_LOOPS
def test_a_request_without_a_route_leaves_no_more_than_two_objects(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    # aiohttp's way to say 404: a route that holds a method of its own, and the error to raise.
    with asyncio.Runner(loop_factory=new_loop) as runner:
        left = runner.run(_left_by(Case(_get("/nowhere")), tmp_path))
    assert set(left.ours) <= {"HTTPNotFound", "SystemRoute", "CIMultiDict"}
    assert left.payload_bytes < 100 * _TIMES


async def _left_by(case: Case, directory: Path) -> Left:
    async with bridge_app(directory) as app:
        for _ in range(_MESSAGES):
            stored = await app.call(
                "POST",
                "/messages?partition_id=0",
                b"x" * _MESSAGE_BYTES,
                headers={"Content-Type": "application/octet-stream"},
            )
            assert stored.status == 201
        # The client keeps a connection of its own.
        await app.session.close()
        await until(lambda: _is_idle(app))
        return await left_by(
            lambda: _come_and_leave(app, case), times=case.times, settled=lambda: _settled(app)
        )


async def _come_and_leave(app: BridgeApp, case: Case) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", app.port))
        await loop.sock_sendall(client, case.sent + case.body)
        match case.waits_for:
            case "head":
                seen = b""
                while b"\r\n\r\n" not in seen:
                    seen += await loop.sock_recv(client, 4096)
            case "nothing":
                # Reset: the answer cannot be written.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "long poll":
                await until(lambda: len(app.services.long_polls) > 0)
            case _:
                await until(lambda: app.services.metrics.http.requests_in_flight > 0)
    await until(lambda: _is_idle(app))


def _is_idle(app: BridgeApp) -> bool:
    server = app.runner.server
    return server is not None and not server.connections and not app.services.metrics.http.requests_in_flight


async def _settled(app: BridgeApp) -> None:
    await until(lambda: _is_idle(app))
    # Tasks that the end of a request has ended, and their callbacks.
    names = {"bulk writer", "publish", "subscription", "socket call"}
    await until(lambda: not any(task.get_name() in names for task in asyncio.all_tasks()))
    for _ in range(10):
        await asyncio.sleep(0)
