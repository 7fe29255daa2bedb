"""Event streams and what becomes of their connections: slow ones, dead ones, refused ones."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from bridge.config import HttpConfig
from bridge.errors import ConnectionFailed
from bridge.limits import FEED_CATCH_UPS
from bridge.messagelog import NewMessage, Page, ToPartition
from bridge.policy.cursors import Cursor
from bridge.web.live.sse_stream import SseStream
from bridge.web.server.departures import on_departure
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.event_reader import EventReader, datas, offsets
from tests.support.event_source import EventStream
from tests.support.raw_http import dechunked

REQUEST = b"GET /messages/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
#: What fills the sockets of a reader that takes nothing, several times over.
PAYLOAD = b"x" * 60_000
COUNT = 150


@asynccontextmanager
async def _bridge(directory: Path, http: HttpConfig | None = None) -> AsyncIterator[BridgeApp]:
    async with bridge_app(directory, http=http or HttpConfig(rate_limit_rps=0)) as app:
        yield app


async def _store(bridge: BridgeApp, count: int, payload: bytes = PAYLOAD) -> None:
    for _ in range(count):
        await bridge.log.append(
            bridge.topic, ToPartition(0), [NewMessage(payload=payload)], deadline=bridge.deadline()
        )


async def _until(holds: Callable[[], bool], turn: Callable[[], Awaitable[object]] | None = None) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await (asyncio.sleep(0.001) if turn is None else turn())


def _is_full(stream: object) -> bool:
    return isinstance(stream, SseStream) and stream._protocol.writing_paused


class SlowReader:
    """A client with a small window that reads when it is told to."""

    def __init__(self, bridge: BridgeApp, request: bytes = REQUEST) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = bridge.base.removeprefix("http://").partition(":")
        self._socket.connect((host, int(port)))
        self._socket.sendall(request)
        self._socket.setblocking(False)
        self.got = bytearray()

    async def read(self) -> bytes:
        piece = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 20)
        self.got += piece
        return piece

    def seen(self) -> EventStream:
        seen = EventStream()
        body = bytes(self.got).partition(b"\r\n\r\n")[2]
        whole = body.rfind(b"\r\n") + 2
        seen.feed(dechunked(body[:whole]) if body.endswith(b"\r\n") else b"")
        return seen

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def buffered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What lay in the transport after each write."""
    found: list[int] = []
    write = SseStream._write

    def noted(self: SseStream, data: bytes) -> bool:
        goes_on = write(self, data)
        found.append(self._transport.get_write_buffer_size())
        return goes_on

    monkeypatch.setattr(SseStream, "_write", noted)
    return found


async def test_a_slow_reader_slows_nobody_holds_little_and_gets_everything(
    tmp_path: Path, buffered: list[int]
) -> None:
    async with _bridge(tmp_path) as bridge:
        with closing(SlowReader(bridge)) as slow:
            await _until(lambda: b"id: " in slow.got, slow.read)
            async with EventReader(bridge.session, f"{bridge.base}/messages/stream") as quick:
                storing = asyncio.create_task(_store(bridge, COUNT))
                assert offsets(await quick.events(COUNT)) == list(range(COUNT))
                await storing
                # 9 MB were read by one; the other has had what its sockets hold, and little more waits for it.
                assert max(buffered) < 1024 * 1024
                assert bridge.services.feeds.held_bytes < 32 * 1024 * 1024
            last = b'"offset":%d,' % (COUNT - 1)
            await _until(
                lambda: last in slow.got[-2 * len(PAYLOAD) :] and slow.got.endswith(b"\n\n\r\n"), slow.read
            )
            assert offsets(slow.seen().events) == list(range(COUNT))


@pytest.mark.parametrize("by", ["kernel", "bridge"])
async def test_a_reader_that_takes_nothing_for_too_long_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr("bridge.web.server.outflow._LOOK_S", 0.01 if by == "bridge" else 3600.0)
    monkeypatch.setattr("bridge.web.server.outflow.WRITE_PATIENCE_S", 0.2)
    if by == "bridge":
        monkeypatch.setattr("bridge.web.server.connection.bound_unsent", lambda _: None)
    async with _bridge(tmp_path) as bridge:
        with closing(SlowReader(bridge)) as dead:
            await _until(lambda: b"id: " in dead.got, dead.read)
            await _store(bridge, COUNT)
            await _until(lambda: len(bridge.services.live_streams._farewells) == 0)

            async def drained() -> bool:
                try:
                    return await dead.read() == b""
                except ConnectionResetError:
                    return True

            while not await drained():
                pass
            assert not dead.got.endswith(b"0\r\n\r\n")


async def test_a_reader_that_is_stuck_does_not_hold_up_the_drain(tmp_path: Path) -> None:
    async with _bridge(tmp_path) as bridge:
        with closing(SlowReader(bridge)) as stuck:
            await _until(lambda: b"id: " in stuck.got, stuck.read)
            await _store(bridge, COUNT)
            async with EventReader(bridge.session, f"{bridge.base}/messages/stream?from=first") as quick:
                await quick.events(COUNT)
                await _until(lambda: any(map(_is_full, bridge.services.heartbeats._due_s)))
                await bridge.services.live_streams.say_farewell()
                assert [event.type for event in await quick.rest()] == ["bye"]
            await _until(lambda: len(bridge.services.live_streams._farewells) == 0)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_stream_ends_when_its_client_leaves(tmp_path: Path, how: str) -> None:
    async with _bridge(tmp_path) as bridge:
        with closing(SlowReader(bridge)) as reader:
            await _until(lambda: b"id: " in reader.got, reader.read)
            assert len(bridge.services.live_streams._farewells) == 1
            if how == "reset":
                reader._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            reader.close()
            await _until(lambda: len(bridge.services.live_streams._farewells) == 0)
            assert not list(bridge.services.heartbeats._due_s)
            # What it followed is let go as well.
            assert not bridge.services.feeds._feeds


async def test_another_request_behind_a_stream_waits_until_the_stream_ends(tmp_path: Path) -> None:
    async with _bridge(tmp_path) as bridge:
        with closing(
            SlowReader(bridge, REQUEST + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ) as reader:
            await _until(lambda: b"id: " in reader.got, reader.read)
            await _store(bridge, 1, b"1")
            await _until(lambda: b'"offset":0' in reader.got, reader.read)
            assert reader.got.count(b"HTTP/1.1 ") == 1
            await bridge.services.live_streams.say_farewell()
            await _until(lambda: reader.got.count(b"HTTP/1.1 ") == 2, reader.read)
            assert b"\r\n0\r\n\r\nHTTP/1.1 200 OK" in reader.got
            reader.close()


async def test_a_page_of_an_allowed_origin_may_read_a_stream_and_no_other(tmp_path: Path) -> None:
    http = HttpConfig(rate_limit_rps=0, cors_allowed_origins=("https://app.example",))
    async with _bridge(tmp_path, http) as bridge:
        url = f"{bridge.base}/messages/stream"
        async with EventReader(bridge.session, url, headers={"Origin": "https://app.example"}) as reader:
            assert reader.response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert reader.response.headers["Vary"] == "Accept, Origin"
        refused = await bridge.call("GET", "/messages/stream", headers={"Origin": "https://evil.example"})
        assert refused.status == 403
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_a_stream_needs_the_key_which_a_browser_gives_in_its_query(tmp_path: Path) -> None:
    http = HttpConfig(rate_limit_rps=0, api_key="0123456789abcdef")
    async with _bridge(tmp_path, http) as bridge:
        refused = await bridge.call("GET", "/messages/stream")
        assert refused.status == 401
        url = f"{bridge.base}/messages/stream?api_key=0123456789abcdef"
        async with EventReader(bridge.session, url):
            pass


async def test_streams_take_no_place_from_requests(tmp_path: Path) -> None:
    http = HttpConfig(rate_limit_rps=0, in_flight_requests_max=2)
    async with _bridge(tmp_path, http) as bridge:
        url = f"{bridge.base}/messages/stream"
        async with (
            EventReader(bridge.session, url),
            EventReader(bridge.session, url),
            EventReader(bridge.session, url),
        ):
            assert (await bridge.call("GET", "/streams")).status == 200


async def test_a_stream_outlives_the_time_of_a_request(tmp_path: Path) -> None:
    async with (
        _bridge(tmp_path) as bridge,
        EventReader(
            bridge.session, f"{bridge.base}/messages/stream", headers={"X-Request-Timeout": "5000"}
        ) as reader,
    ):
        assert set(bridge.services.lifecycle.backstops._ends_at_s.values()) == {math.inf}
        await _store(bridge, 1, b"late")
        assert offsets(await reader.events(1)) == [0]


async def test_a_reader_that_waits_for_the_log_is_told_where_to_go_on_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _bridge(tmp_path) as bridge:
        url = f"{bridge.base}/messages/stream"
        await _store(bridge, 3, b"x")
        async with EventReader(bridge.session, url):
            asked = asyncio.Event()

            async def unreachable(*_: object, **__: object) -> Page:
                asked.set()
                raise ConnectionFailed

            monkeypatch.setattr(bridge.log, "read", unreachable)
            place = bridge.services.cursors.token(Cursor(bridge.topic, ((0, 1), (1, 0), (2, 0))))
            async with EventReader(bridge.session, url, last_event_id=place) as waiting:
                await asked.wait()
                await bridge.services.live_streams.say_farewell()
                (bye,) = await waiting.rest()
                assert (bye.type, bye.last_event_id) == ("bye", place)
        await _until(lambda: len(bridge.services.live_streams._farewells) == 0)


async def test_a_client_that_has_left_already_is_told_of_at_once(tmp_path: Path) -> None:
    async with _bridge(tmp_path) as bridge:
        told: list[str] = []
        with closing(SlowReader(bridge)) as reader:
            await _until(lambda: b"id: " in reader.got, reader.read)
            (stream,) = bridge.services.heartbeats._due_s
            assert isinstance(stream, SseStream)
            request = stream._request
        await _until(lambda: request.protocol.transport is None)
        with on_departure(request, lambda: told.append("left")):
            assert told == ["left"]
        with pytest.raises(ConnectionResetError):
            SseStream(request, stream._response, retry_ms=1)


async def test_a_connection_that_the_loop_has_closed_already_is_a_client_that_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        """As uvloop's transports are, before their protocol hears of it."""

        def is_closing(self) -> bool:
            return True

        def write(self, _data: bytes) -> None:
            raise RuntimeError("the handler is closed")

    async with _bridge(tmp_path) as bridge:
        with closing(SlowReader(bridge)) as reader:
            await _until(lambda: b"id: " in reader.got, reader.read)
            (stream,) = bridge.services.heartbeats._due_s
            assert isinstance(stream, SseStream)
            transport = stream._transport
            monkeypatch.setattr(stream, "_transport", Closed())
            stream.beat()
            stream.beat()
            await _store(bridge, 1)
            await _until(lambda: not list(bridge.services.heartbeats._due_s))
            transport.abort()
        assert b'status="500"' not in bridge.services.metrics.render()[0]


async def test_only_connections_that_tell_of_their_end_can_be_waited_on() -> None:
    request = make_mocked_request("GET", "/")
    with pytest.raises(TypeError), on_departure(request, lambda: None):
        raise AssertionError("nobody would have been told")


async def test_readers_that_come_back_together_read_the_log_a_few_at_a_time_and_each_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _bridge(tmp_path) as bridge:
        await _store(bridge, 40, b"x")
        url = f"{bridge.base}/messages/stream"
        async with EventReader(bridge.session, url), AsyncExitStack() as stack:
            reading = most = 0
            read = bridge.log.read

            async def counted(*args: Any, **options: Any) -> Page:
                nonlocal reading, most
                reading += 1
                most = max(most, reading)
                try:
                    return await read(*args, **options)
                finally:
                    reading -= 1

            monkeypatch.setattr(bridge.log, "read", counted)
            place = bridge.services.cursors.token(Cursor(bridge.topic, ((0, 0), (1, 0), (2, 0))))
            readers = [
                await stack.enter_async_context(EventReader(bridge.session, url, last_event_id=place))
                for _ in range(20)
            ]
            for reader in readers:
                assert offsets(await reader.events(40)) == list(range(40))
            # The tails of the three partitions read as well.
            assert most <= FEED_CATCH_UPS + 3


async def test_readers_that_are_stuck_far_behind_keep_nobody_from_catching_up(tmp_path: Path) -> None:
    async with _bridge(tmp_path) as bridge, AsyncExitStack() as stack:
        await _store(bridge, COUNT)
        target = REQUEST.replace(b"stream", b"stream?from=first")
        for _ in range(FEED_CATCH_UPS + 2):
            stack.enter_context(closing(SlowReader(bridge, target)))
        await _until(lambda: sum(map(_is_full, bridge.services.heartbeats._due_s)) == FEED_CATCH_UPS + 2)
        async with EventReader(bridge.session, f"{bridge.base}/messages/stream?from=first") as quick:
            assert offsets(await quick.events(COUNT)) == list(range(COUNT))


async def test_partitions_are_caught_up_with_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("topic_reader", "fan_out"):
        monkeypatch.setattr(f"bridge.flow.following.{module}.READ_PAGE_MESSAGES", 2)
    async with _bridge(tmp_path) as bridge:
        for partition_id in (0, 1):
            for _ in range(6):
                await bridge.log.append(
                    bridge.topic,
                    ToPartition(partition_id),
                    [NewMessage(payload=b"x")],
                    deadline=bridge.deadline(),
                )
        async with EventReader(bridge.session, f"{bridge.base}/messages/stream?from=first") as reader:
            told = datas(await reader.events(12))
        assert {each["partition_id"] for each in told[:4]} == {0, 1}
        for partition_id in (0, 1):
            assert [each["offset"] for each in told if each["partition_id"] == partition_id] == list(range(6))
