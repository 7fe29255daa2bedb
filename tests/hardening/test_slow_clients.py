"""What is held for clients that do not take it has one bound, whatever they asked for; and none of it is held for ever."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import uvloop

from bridge.policy.slow_clients import SlowReaders
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.turns import until

_MESSAGE_BYTES: Final = 1_000_000
_MESSAGES: Final = 3
# Of three messages, as base64 in JSON.
_PAGE_BYTES: Final = 4 * _MESSAGES * _MESSAGE_BYTES // 3
_LOOPS: Final = pytest.mark.parametrize(
    "new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
_HEAD: Final = b"HTTP/1.1\r\nHost: localhost\r\n"
_ASKS: Final = {
    "pages": b"GET /messages?partition_id=0&offset=0&count=3 " + _HEAD + b"\r\n",
    "lines": b"GET /messages?partition_id=0 " + _HEAD + b"Accept: application/x-ndjson\r\n\r\n",
    "events": b"GET /messages/stream?from=first " + _HEAD + b"Accept: text/event-stream\r\n\r\n",
}


@asynccontextmanager
async def _bridge(directory: Path, *, bytes_max: int) -> AsyncIterator[BridgeApp]:
    async with bridge_app(directory) as app:
        app.services.outflow._readers = SlowReaders(bytes_max)
        for _ in range(_MESSAGES):
            stored = await app.call(
                "POST",
                "/messages?partition_id=0",
                b"\xff" * _MESSAGE_BYTES,
                headers={"Content-Type": "application/octet-stream"},
            )
            assert stored.status == 201
        yield app


@contextlib.contextmanager
def _client() -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        yield client


async def _ask(app: BridgeApp, client: socket.socket, ask: bytes) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", app.port))
    await loop.sock_sendall(client, ask)


@_LOOPS
@pytest.mark.parametrize("ask", _ASKS.values(), ids=_ASKS.keys())
def test_many_that_never_read_hold_no_more_than_the_budget_and_others_are_served(
    ask: bytes, new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def hold() -> None:
        budget = 2 * _PAGE_BYTES + _PAGE_BYTES // 2
        async with _bridge(tmp_path, bytes_max=budget) as app:
            outflow, server = app.services.outflow, app.runner.server
            assert server is not None
            cut: list[str] = []
            outflow.on_cut = cut.append
            most = 0
            with ExitStack() as stack:
                for count in range(1, 13):
                    await _ask(app, stack.enter_context(_client()), ask)
                    await until(lambda count=count: len(outflow) + len(cut) >= count)  # type: ignore[misc]
                    most = max(most, outflow.held_bytes)
                assert 0 < outflow.held_bytes <= most <= budget
                assert set(cut) == {"budget"}
                # Those that were cut are gone, the client of the test and the rest are there.
                await until(lambda: len(server.connections) <= len(outflow) + 1)
                assert (await app.call("GET", "/health")).status == 200
            await until(lambda: not len(outflow))
            assert outflow.held_bytes == 0

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(hold())


@_LOOPS
def test_an_answer_that_nobody_takes_ends_when_patience_does(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.server.outflow._LOOK_S", 0.01)
    monkeypatch.setattr("bridge.web.server.outflow.WRITE_PATIENCE_S", 0.2)

    async def wait() -> None:
        async with _bridge(tmp_path, bytes_max=10**9) as app:
            server = app.runner.server
            assert server is not None
            await app.session.close()
            await until(lambda: not server.connections)
            with _client() as client:
                await _ask(app, client, _ASKS["pages"])
                await until(lambda: len(app.services.outflow) == 1)
                assert app.services.outflow.held_bytes > _PAGE_BYTES // 2
                await until(lambda: not server.connections)
                assert not len(app.services.outflow)
            text = app.services.metrics.render()[0].decode()
            assert 'bridge_slow_clients_cut_total{reason="too_slow"} 1.0' in text

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(wait())


@_LOOPS
def test_a_client_that_reads_slowly_but_keeps_up_gets_all_of_its_page(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def read() -> None:
        loop = asyncio.get_running_loop()
        async with _bridge(tmp_path, bytes_max=10**9) as app:
            with _client() as client:
                await _ask(app, client, _ASKS["pages"])
                got = 0
                while got < _PAGE_BYTES:
                    part = await loop.sock_recv(client, 16 * 1024)
                    assert part
                    got += len(part)
            await until(lambda: not len(app.services.outflow))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(read())
