"""Readers of event streams that people use, over the loop that production runs on: the same bytes as they send."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import uvloop

from bridge.config import HttpConfig
from bridge.messagelog import NewMessage, ToPartition
from bridge.policy.cursors import Cursor
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.event_reader import EventReader, offsets
from tests.support.events import generic_event
from tests.support.sse_clients import CLIENTS, SseClient, Told

PATH = "/messages/stream"
ORIGIN = "https://app.example"


def _run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


@asynccontextmanager
async def _bridge(directory: Path) -> AsyncIterator[BridgeApp]:
    http = HttpConfig(rate_limit_rps=0, cors_allowed_origins=(ORIGIN,))
    async with bridge_app(directory, http=http) as app:
        yield app


class Stream:
    """One connection of a client's."""

    def __init__(self, client: SseClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._client = client
        self._reader = reader
        self._writer = writer
        self._text = ""

    @classmethod
    async def opened(cls, bridge: BridgeApp, client: SseClient, query: str, last_event_id: str = "") -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
        writer.write(client.request(bridge.port, PATH, query, last_event_id))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head + await reader.read(2000)
        assert b"Content-Type: text/event-stream\r\n" in head
        return cls(client, reader, writer)

    @property
    def told(self) -> list[Told]:
        return self._client.reads(self._text)[0]

    @property
    def last_event_id(self) -> str:
        return self._client.reads(self._text)[1]

    async def until(self, what: str) -> None:
        """Read on until there is that in what comes."""
        begin = len(self._text)
        while what not in self._text[begin:]:
            size = int(await self._reader.readline(), 16)
            self._text += (await self._reader.readexactly(size + 2))[:-2].decode()
            assert size, "ended early"

    async def messages(self, count: int) -> None:
        """Read on until there were so many."""
        while len(_places(self.told)) < count:
            await self.until("\n\n")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def _send(bridge: BridgeApp, number: int, event_type: str = "a") -> tuple[int, int]:
    answer = await bridge.call("POST", "/messages", {"event": generic_event(number, event_type=event_type)})
    assert answer.status == 201
    return answer.json["partition_id"], answer.json["offset"]


def _beat(bridge: BridgeApp) -> None:
    for stream in tuple(bridge.services.heartbeats._due_s):
        stream.beat()


async def _until_the_last_is_behind(bridge: BridgeApp) -> None:
    """All that was sent has been looked at, and left out."""
    async with EventReader(bridge.session, f"{bridge.base}{PATH}?from=first") as reader:
        await reader.events(5)


def _places(told: list[Told]) -> list[tuple[int, int]]:
    messages: list[Any] = [json.loads(each.data) for each in told if each.type == "message"]
    return [(message["partition_id"], message["offset"]) for message in messages]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_all_that_a_client_is_handed_is_json_and_after_a_restart_it_has_each_message_once(
    tmp_path: Path, client: SseClient
) -> None:
    _run(_reads_across_a_restart(tmp_path, client))


async def _reads_across_a_restart(directory: Path, client: SseClient) -> None:
    query = "from=first&event_type=a"
    async with _bridge(directory) as bridge:
        wanted = [await _send(bridge, number) for number in range(4)]
        stream = await Stream.opened(bridge, client, query)
        await stream.messages(4)
        # What the filter leaves out, and then nothing.
        await _send(bridge, 4, "b")
        await _until_the_last_is_behind(bridge)
        for _ in range(3):
            _beat(bridge)
        await stream.until("\n:\n")
        first, place = stream.told, stream.last_event_id
        await stream.close()
    async with _bridge(directory) as bridge:
        wanted += [await _send(bridge, number) for number in (5, 6)]
        again = await Stream.opened(bridge, client, query, place)
        await again.messages(2)
        second = again.told
        await again.close()
    for told in (first, second):
        assert told[0].type == "open"
        assert all(isinstance(each.object, dict) for each in told)
    assert [each.type for each in first if each.type != "message"] == ["open", "progress"]
    assert sorted(_places(first + second)) == sorted(wanted)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_is_told_of_the_end_and_comes_back_where_it_was(tmp_path: Path, client: SseClient) -> None:
    _run(_reads_across_a_drain(tmp_path, client))


async def _reads_across_a_drain(directory: Path, client: SseClient) -> None:
    async with _bridge(directory) as bridge:
        stream = await Stream.opened(bridge, client, "")
        wanted = [await _send(bridge, 0)]
        await stream.messages(1)
        await bridge.services.live_streams.say_farewell()
        await stream.until("event: bye\n")
        bye = stream.told[-1]
        assert (bye.type, bye.object["reason"], bye.object["cursor"]) == (
            "bye",
            "shutdown",
            stream.last_event_id,
        )
        await stream.close()
        # Between two processes, as it were.
        wanted.append(await _send(bridge, 1))
    async with _bridge(directory) as bridge:
        again = await Stream.opened(bridge, client, "", stream.last_event_id)
        await again.messages(1)
        assert _places(stream.told + again.told) == wanted
        await again.close()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_page_of_another_origin_may_send_what_a_client_sends_of_itself(
    tmp_path: Path, client: SseClient
) -> None:
    _run(_asks_before_it_calls(tmp_path, client))


async def _asks_before_it_calls(directory: Path, client: SseClient) -> None:
    async with _bridge(directory) as bridge:
        answer = await bridge.call(
            "OPTIONS",
            PATH,
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": client.preflight,
            },
        )
        assert answer.status == 204
        allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
        assert set(filter(None, client.preflight.split(","))) <= allowed


PLACES = "lastEventId={late}", "last_event_id={late}", "lastEventId=&last_event_id={late}"


@pytest.mark.parametrize("given", PLACES)
@pytest.mark.parametrize("begin", ["", "from=first&", "from=last&", "cursor=first&", "cursor={early}&"])
def test_the_place_in_the_query_holds_against_where_the_stream_first_began(
    tmp_path: Path, given: str, begin: str
) -> None:
    _run(_begins(tmp_path, begin + given, wanted=3))


@pytest.mark.parametrize(
    "query, header, wanted",
    [
        ("lastEventId={early}&lastEventId={late}", "", 3),
        ("lastEventId={late}&last_event_id={early}", "", 3),
        ("lastEventId={early}", "{late}", 3),
        ("lastEventId={late}", "{early}", 3),
        # A time that is before what was seen already says nothing, one that is behind it does.
        ("from={first_at}&lastEventId={late}", "", 3),
        ("from={last_at}&lastEventId={early}", "", 4),
        # A header is what a browser sends that comes back, whatever its page asked for at first.
        ("from={last_at}", "{early}", 1),
    ],
)
def test_of_several_places_the_latest_holds(tmp_path: Path, query: str, header: str, wanted: int) -> None:
    _run(_begins(tmp_path, query, header, wanted=wanted))


async def _begins(directory: Path, query: str, header: str = "", *, wanted: int) -> None:
    """Of five messages in a partition, whose cursors are early behind the first and late behind the third."""
    async with _bridge(directory) as bridge:
        for number in range(5):
            message = NewMessage(payload=b"%d" % number)
            await bridge.log.append(bridge.topic, ToPartition(0), [message], deadline=bridge.deadline())
        page = (await bridge.call("GET", "/messages?from=first")).json["messages"]
        early, late = (
            bridge.services.cursors.token(Cursor(bridge.topic, ((0, offset), (1, 0), (2, 0))))
            for offset in (1, 3)
        )
        given = {
            "early": early,
            "late": late,
            "first_at": page[0]["timestamp"],
            "last_at": page[4]["timestamp"],
        }
        url = f"{bridge.base}{PATH}?{query.format(**given)}"
        async with EventReader(bridge.session, url, last_event_id=header.format(**given)) as reader:
            (first,) = offsets(await reader.events(1))
        assert first == wanted


def test_a_place_in_the_query_that_is_none_is_told_by_its_name(tmp_path: Path) -> None:
    async def told() -> None:
        async with _bridge(tmp_path) as bridge:
            for name in ("lastEventId", "last_event_id"):
                answer = await bridge.call("GET", f"{PATH}?from=first&{name}=7")
                assert (answer.status, answer.json["path"]) == (400, name)

    _run(told())
