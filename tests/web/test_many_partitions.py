"""Cursors over as many partitions as a topic may have, and over a topic that grows to them; on both logs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.limits import END_CURSOR_CHARS_MAX, HEADER_FIELD_BYTES_MAX, PARTITIONS_MAX
from bridge.locallog import LocalMessageLog
from bridge.messagelog import NewMessage, ToPartition, TopicRef
from bridge.policy.cursors import Cursor
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.event_reader import EventReader, datas
from tests.support.ws_client import open_socket

#: What a cursor once held.
BEFORE = 256
LAST = PARTITIONS_MAX - 1
#: So that cursors are longer than any header of a request could once be.
FAR = 2**48 - 1


class Wide(NamedTuple):
    """A topic of its own."""

    bridge: BridgeApp
    topic: TopicRef
    grown: int

    @property
    def last(self) -> int:
        """The last partition, once it has grown."""
        return self.grown - 1

    @property
    def path(self) -> str:
        return f"/streams/{self.topic.stream}/topics/{self.topic.topic}"

    async def store(self, partition_id: int, text: str) -> None:
        message = NewMessage(payload=text.encode())
        await self.bridge.log.append(
            self.topic, ToPartition(partition_id), [message], deadline=self.bridge.deadline()
        )

    async def grow(self) -> None:
        answer = await self.bridge.call("POST", f"{self.path}/partitions", {"count": self.grown - BEFORE})
        assert (answer.status, answer.json["partitions_count"]) == (201, self.grown)

    async def page(self, cursor: str, **query: Any) -> Any:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        answer = await self.bridge.call("GET", f"{self.path}/messages?cursor={cursor}{more}")
        assert answer.status == 200, answer.json
        return answer.json

    async def lines(self, cursor: str) -> tuple[list[Any], Any]:
        headers = {"Accept": "application/x-ndjson"}
        answer = await self.bridge.call("GET", f"{self.path}/messages?cursor={cursor}", headers=headers)
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()], answer.headers

    def reader(self, query: str = "", **options: Any) -> EventReader:
        url = f"{self.bridge.base}{self.path}/messages/stream?{query}"
        return EventReader(self.bridge.session, url, **options)


async def _made(bridge: BridgeApp, partitions_count: int, grown: int = PARTITIONS_MAX) -> Wide:
    topic = TopicRef(bridge.topic.stream, "wide")
    await bridge.log.create_topic(topic, partitions_count=partitions_count, deadline=bridge.deadline())
    return Wide(bridge, topic, grown)


@pytest.fixture
async def growing(bridge: BridgeApp) -> Wide:
    """Iggy opens files for each partition, and takes a minute to take leave of thousands."""
    is_local = isinstance(bridge.bare_log, LocalMessageLog)
    return await _made(bridge, BEFORE, PARTITIONS_MAX if is_local else BEFORE + 50)


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Wide]:
    async with bridge_app(tmp_path) as bridge:
        yield await _made(bridge, PARTITIONS_MAX)


def _texts(told: list[Any]) -> dict[int, str]:
    return {each["partition_id"]: each["text"] for each in told}


async def test_readers_of_a_topic_that_grows_past_what_a_cursor_once_held_go_on(growing: Wide) -> None:
    async with (
        growing.reader() as reader,
        open_socket(growing.bridge.session, growing.bridge.base) as client,
    ):
        subscription = {"permits": 10, "stream": growing.topic.stream, "topic": growing.topic.topic}
        begun = await client.ask("subscribe", "subscribed", id="s", **subscription)
        await growing.store(0, "before")
        before = await client.hear("message")
        (event,) = await reader.events(1)
        await growing.grow()
        await growing.store(growing.last, "behind")
        (behind,) = await reader.events(1)
        assert _texts(datas([behind])) == {growing.last: "behind"}
        told = await client.hear("message", "ended")
        assert (told["op"], told["message"]["partition_id"]) == ("message", growing.last)
        # Cursors of before, of each kind, hold as they did.
        for place in (begun["cursor"], reader.opened["cursor"]):
            found = (await growing.page(place))["messages"]
            assert _texts(found) == {0: "before", growing.last: "behind"}
        again = await client.ask("subscribe", "subscribed", id="t", cursor=before["cursor"], **subscription)
        assert again["subscription"] == "t"
        assert (await client.hear("message"))["message"]["partition_id"] == growing.last
    for options in ({"last_event_id": event.last_event_id}, {"query": f"cursor={event.last_event_id}"}):
        async with growing.reader(**options) as late:
            assert _texts(datas(await late.events(1))) == {growing.last: "behind"}
    # And those of now, with a thousand partitions in them.
    await growing.store(BEFORE, "last")
    for options in (
        {"last_event_id": behind.last_event_id},
        {"query": f"lastEventId={behind.last_event_id}"},
    ):
        async with growing.reader(**options) as late:
            assert _texts(datas(await late.events(1))) == {BEFORE: "last"}


async def test_polls_and_lines_go_on_where_the_topic_was_smaller(growing: Wide) -> None:
    await growing.store(1, "before")
    page = await growing.page("first")
    lines, headers = await growing.lines("first")
    assert page["next_cursor"] == lines[-1]["cursor"] == headers["X-End-Cursor"]
    await growing.grow()
    await growing.store(growing.last, "behind")
    found = await growing.page(page["next_cursor"])
    assert _texts(found["messages"]) == {growing.last: "behind"}
    lines, headers = await growing.lines(page["next_cursor"])
    assert _texts(lines) == {growing.last: "behind"}
    assert found["next_cursor"] == lines[-1]["cursor"] == headers["X-End-Cursor"]
    assert (await growing.page(found["next_cursor"], wait_ms=1))["messages"] == []


async def test_a_topic_of_all_partitions_that_there_may_be_is_read_from_its_beginning(whole: Wide) -> None:
    places = (0, BEFORE, LAST)
    for partition_id in places:
        await whole.store(partition_id, f"p{partition_id}")
    wanted = {each: f"p{each}" for each in places}
    assert _texts((await whole.page("first"))["messages"]) == wanted
    assert _texts((await whole.lines("first"))[0]) == wanted
    async with whole.reader("from=first") as reader:
        assert _texts(datas(await reader.events(3))) == wanted
    named = "partitions=" + ",".join(map(str, range(0, PARTITIONS_MAX, 3)))
    async with whole.reader(f"from=first&{named}") as reader:
        event = (await reader.events(2))[-1]
    await whole.store(LAST, "more")
    async with whole.reader(last_event_id=event.last_event_id) as reader:
        assert _texts(datas(await reader.events(1))) == {LAST: "more"}


async def test_the_longest_cursor_that_occurs_is_taken_in_the_head_of_a_request(whole: Wide) -> None:
    # As of partitions that hold a million million messages; whoever stands beyond their end is told so.
    far = Cursor(whole.topic, tuple((each, FAR * (each == 7)) for each in range(PARTITIONS_MAX)))
    place = whole.bridge.services.cursors.token(far)
    assert 8_000 < len("Last-Event-ID: ") + len(place) <= HEADER_FIELD_BYTES_MAX
    for options in ({"last_event_id": place}, {"query": f"lastEventId={place}"}):
        async with whole.reader(**options) as reader:
            (gap,) = await reader.events(1)
            assert (gap.type, datas([gap])[0]["partition_id"]) == ("gap", 7)
    assert (await whole.page(place))["gaps"] == [{"partition_id": 7, "from_offset": FAR, "to_offset": 0}]


async def test_an_end_that_is_too_long_for_the_head_of_an_answer_is_left_out_of_it(
    whole: Wide, monkeypatch: pytest.MonkeyPatch
) -> None:
    await whole.store(3, "x")
    lines, headers = await whole.lines("first")
    assert len(headers["X-End-Cursor"]) <= END_CURSOR_CHARS_MAX
    monkeypatch.setattr("bridge.web.handlers.reading.END_CURSOR_CHARS_MAX", len(headers["X-End-Cursor"]) - 1)
    again, headers = await whole.lines("first")
    assert (again, "X-End-Cursor" in headers) == (lines, False)
