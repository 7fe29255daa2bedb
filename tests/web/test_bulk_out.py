"""A partition as lines: all of it, once, in order, and never more of it in memory than two pages."""

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest

from bridge.errors import PollError
from bridge.messagelog import NewMessage, Page, ToPartition
from bridge.policy.body_kinds import Coding
from bridge.web.bodies.codings import inflater_of
from bridge.web.handlers import reading
from bridge.web.rules import RULES
from bridge.web.wire.cursors import cursor_lines
from tests.support.bridge_app import Answer, BridgeApp
from tests.support.events import generic_event, order_event, user_event
from tests.support.long_polls import told_end_of_bulk_reads

NDJSON = {"Accept": "application/x-ndjson", "Accept-Encoding": "identity"}


@pytest.fixture(autouse=True)
def pages_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.flow.following.topic_reader.READ_PAGE_MESSAGES", 3)


async def _store(bridge: BridgeApp, *payloads: bytes, partition_id: int = 0) -> None:
    for payload in payloads:
        await bridge.log.append(
            bridge.topic,
            ToPartition(partition_id),
            [NewMessage(payload=payload)],
            deadline=bridge.deadline(),
        )


async def _stream(
    bridge: BridgeApp, query: str = "from=first", headers: dict[str, str] = NDJSON, path: str = "/messages"
) -> Answer:
    answer = await bridge.call("GET", f"{path}?{query}", headers=headers)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return answer


def _lines(answer: Answer) -> list[Any]:
    assert not answer.body or answer.body.endswith(b"\n")
    return [json.loads(line) for line in answer.body.split(b"\n")[:-1]]


def _offsets(answer: Answer) -> list[int]:
    return [line["offset"] for line in _lines(answer)]


class Reads:
    """Stands before the log's `read`: counts, and does something before a certain one."""

    def __init__(self, bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._read = bridge.log.read
        self.before: dict[int, Any] = {}
        monkeypatch.setattr(bridge.log, "read", self.read)

    async def read(self, *args: Any, **options: Any) -> Page:
        self.count += 1
        if self.count in self.before:
            await self.before[self.count]()
        return await self._read(*args, **options)


async def test_each_line_is_the_message_of_a_page_and_its_partition(bridge: BridgeApp) -> None:
    await _store(
        bridge,
        json.dumps(user_event()).encode(),
        json.dumps(order_event(), indent=2).encode(),
        json.dumps(generic_event("a\r\nb"), indent=1).replace("\n", "\r\n").encode(),
        b'{"a":\n1}',
        b"text\nof two lines\r\n",
        b"\xff\n",
        partition_id=1,
    )
    await bridge.log.append(
        bridge.topic,
        ToPartition(1),
        [NewMessage(payload=json.dumps(user_event()).encode(), headers={"trace": "t\n"})],
        deadline=bridge.deadline(),
    )
    page = (await bridge.call("GET", "/messages?from=first&partition_id=1")).json
    for path in ("/messages", f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}/messages"):
        answer = await _stream(bridge, "from=first&partition_id=1", path=path)
        assert _lines(answer) == [{"partition_id": 1} | message for message in page["messages"]]
        assert b"\r" not in answer.body
        assert answer.headers["X-End-Offset"] == "7"
        assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "query, offsets",
    [
        ("from=first", range(10)),
        ("", range(10)),
        ("offset=4", range(4, 10)),
        ("offset=9", [9]),
        ("offset=2&count=5", range(2, 7)),
        ("from=first&count=100", range(10)),
        ("from=last&count=4", range(6, 10)),
        ("from=last&count=400", range(10)),
        ("from=first&until=4", range(4)),
        ("offset=3&until=4", [3]),
        ("offset=3&until=8&count=2", [3, 4]),
        ("from=first&until=400", range(10)),
        ("from=1970-01-01T00:00:00Z", range(10)),
        ("from=first&until=2200-01-01T00:00:00Z", range(10)),
    ],
)
async def test_a_stream_gives_what_was_asked_for_and_says_where_it_ends(
    bridge: BridgeApp, query: str, offsets: Any
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(10)))
    answer = await _stream(bridge, query)
    assert _offsets(answer) == list(offsets)
    assert answer.headers["X-End-Offset"] == str(offsets[-1] + 1)


@pytest.mark.parametrize(
    "query", ["offset=2", "from=last&count=3", "offset=1&until=1", "until=1970-01-01T00:00:00Z"]
)
async def test_a_stream_without_a_line_names_no_end(bridge: BridgeApp, query: str) -> None:
    await _store(bridge, b"0", b"1")
    if query.startswith("from=last"):
        query += "&partition_id=2"
    answer = await _stream(bridge, query)
    assert answer.body == b""
    assert "X-End-Offset" not in answer.headers


async def test_until_a_time_ends_before_the_first_message_of_it(bridge: BridgeApp) -> None:
    await _store(bridge, *(b"%d" % number for number in range(8)))
    page = (await bridge.call("GET", "/messages?from=first&count=8")).json["messages"]
    for message in page:
        answer = await _stream(bridge, f"from=first&until={message['timestamp']}")
        expected = [one["offset"] for one in page if one["timestamp"] < message["timestamp"]]
        assert _offsets(answer) == expected


async def test_a_stream_goes_on_where_the_last_line_ended(bridge: BridgeApp) -> None:
    await _store(bridge, *(b"%d" % number for number in range(7)))
    seen: list[int] = []
    while True:
        found = _offsets(await _stream(bridge, f"offset={seen[-1] + 1 if seen else 0}&count=2"))
        if not found:
            break
        seen += found
    assert seen == list(range(7))


async def test_what_comes_after_the_stream_began_is_not_part_of_it(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(7)))
    reads = Reads(bridge, monkeypatch)

    async def more() -> None:
        await _store(bridge, b"new")

    reads.before = dict.fromkeys(range(2, 9), more)
    answer = await _stream(bridge)
    assert _offsets(answer) == list(range(7))
    assert answer.headers["X-End-Offset"] == "7"


async def test_a_stream_stores_no_offset(bridge: BridgeApp) -> None:
    await _store(bridge, b"0")
    await _stream(bridge, "consumer=c")
    assert await bridge.log.stored_offset(bridge.topic, 0, "c", deadline=bridge.deadline()) is None


@pytest.mark.parametrize(
    "query, status, path",
    [
        ("auto_commit=true", 400, "auto_commit"),
        ("from=last", 400, "count"),
        ("until=-1", 400, "until"),
        ("until=soon", 400, "until"),
        ("until=", 400, "until"),
        ("count=0", 400, "count"),
        ("since=1", 400, "since"),
        ("partition_id=3", 404, None),
    ],
)
async def test_what_cannot_be_streamed_is_refused_before_a_line(
    bridge: BridgeApp, query: str, status: int, path: str | None
) -> None:
    answer = await bridge.call("GET", f"/messages?{query}", headers=NDJSON)
    assert (answer.status, answer.json.get("path")) == (status, path)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_page_takes_no_until(bridge: BridgeApp) -> None:
    assert (await bridge.call("GET", "/messages?until=1")).json["path"] == "until"


async def test_a_missing_topic_is_not_found(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", f"/streams/{bridge.topic.stream}/topics/none/messages", headers=NDJSON)
    assert answer.status == 404


@pytest.mark.parametrize(
    "accept", ["application/json", "*/*", "application/json, application/x-ndjson;q=0.5"]
)
async def test_a_page_is_given_where_lines_are_not_preferred(bridge: BridgeApp, accept: str) -> None:
    answer = await bridge.call("GET", "/messages?from=first", headers={"Accept": accept})
    assert answer.json["count"] == 0


@pytest.mark.parametrize("coding", [Coding.GZIP, Coding.ZSTD])
async def test_a_stream_is_compressed_where_asked(bridge: BridgeApp, coding: Coding) -> None:
    await _store(bridge, *(json.dumps(generic_event("x" * 500)).encode() for _ in range(7)))
    plain = await _stream(bridge)
    assert "Content-Encoding" not in plain.headers
    headers = NDJSON | {"Accept-Encoding": f"br, {coding.name}"}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(bridge.base + "/messages?from=first", headers=headers) as response,
    ):
        assert response.headers["Content-Encoding"] == coding.name.lower()
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        packed = await response.read()
    inflater = inflater_of(coding)
    assert b"".join(inflater.feed(packed)) == plain.body
    inflater.end()
    assert len(packed) < len(plain.body) / 3


async def test_head_tells_the_end_and_reads_no_further(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(7)))
    reads = Reads(bridge, monkeypatch)
    answer = await bridge.call("HEAD", "/messages?from=first", headers=NDJSON)
    assert (answer.status, answer.headers["X-End-Offset"], answer.body) == (200, "7", b"")
    assert reads.count == 1


async def test_a_fault_in_the_middle_ends_without_the_last_chunk(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(7)))
    reads = Reads(bridge, monkeypatch)

    async def fail() -> None:
        raise PollError

    reads.before = {4: fail}
    url = bridge.base + "/messages?from=first"
    async with bridge.session.get(url, headers=NDJSON) as response:
        assert response.headers["X-End-Offset"] == "7"
        lines = [await response.content.readline() for _ in range(6)]
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readline()
    assert [json.loads(line)["offset"] for line in lines] == list(range(6))
    assert (await _stream(bridge)).status == 200


async def test_a_drain_ends_a_stream_after_its_page_and_properly(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(10)))
    reads = Reads(bridge, monkeypatch)

    async def drain() -> None:
        bridge.services.lifecycle.draining = True

    reads.before = {3: drain}
    answer = await _stream(bridge)
    offsets = _offsets(answer)
    assert offsets in (list(range(3)), list(range(6)))
    assert answer.headers["X-End-Offset"] == "10"


async def test_too_many_streams_are_refused(bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bridge.services.bulk_reads._slots, "amount_max", 0)
        answer = await bridge.call("GET", "/messages", headers=NDJSON)
        assert (answer.status, answer.json["error"]) == (503, "overloaded")
        assert answer.headers["Retry-After"]
    await _stream(bridge)


async def test_a_stream_that_has_begun_holds_no_place_of_requests(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(7)))
    reads = Reads(bridge, monkeypatch)
    admission = bridge.runner.app[RULES].admission
    places: list[int] = []

    async def look() -> None:
        places.append(admission.in_flight)

    reads.before = {1: look, 3: look}
    assert _offsets(await _stream(bridge)) == list(range(7))
    assert places == [1, 0]
    assert admission.in_flight == 0


async def test_a_stream_by_cursor_that_has_begun_holds_none_either(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(bridge, *(b"%d" % number for number in range(7)))
    admission = bridge.runner.app[RULES].admission
    places: list[int] = []

    def look(*args: Any) -> bytes:
        places.append(admission.in_flight)
        return cursor_lines(*args)

    monkeypatch.setattr(reading, "cursor_lines", look)
    answer = await bridge.call("GET", "/messages?cursor=first", headers=NDJSON)
    assert len(_lines(answer)) == 7
    assert places
    assert set(places) == {0}


async def test_a_client_that_takes_nothing_is_cut_and_the_log_is_not_read_for_it(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = json.dumps(generic_event("x" * 700_000)).encode()
    await _store(bridge, *[large] * 60)
    reads = Reads(bridge, monkeypatch)
    monkeypatch.setattr("bridge.web.server.outflow._LOOK_S", 0.01)
    monkeypatch.setattr("bridge.web.server.outflow.WRITE_PATIENCE_S", 0.1)
    ended = told_end_of_bulk_reads(bridge)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", bridge.port))
        await loop.sock_sendall(
            client,
            b"GET /messages?from=first HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/x-ndjson\r\n\r\n",
        )
        await asyncio.wait_for(ended.wait(), 30)
        # 42 MB are stored; what the kernel holds for a connection is a few, and two pages are 4 MB.
        assert reads.count < 15
        got = await _rest(client)
    assert len(got) < 20_000_000
    assert not got.endswith(b"0\r\n\r\n")


async def _rest(client: socket.socket) -> bytes:
    got = bytearray()
    while part := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
        got += part
    return bytes(got)
