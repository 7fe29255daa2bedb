"""A reader of server-sent events that comes back as a browser does."""

import json
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support.described import check_event
from tests.support.event_source import EventStream, SeenEvent

__all__ = ("EventReader", "datas", "offsets")


def datas(events: list[SeenEvent]) -> list[Any]:
    return [json.loads(event.data) for event in events]


def offsets(events: list[SeenEvent]) -> list[int]:
    """Of the messages among them."""
    return [told["offset"] for told in datas([event for event in events if event.type == "message"])]


class EventReader:
    """
    Args:
        url: of the stream, with its query.
        last_event_id: sent as a browser does: not at all if empty.

    Attributes:
        opened: what its first event told, which is none of `events`.
        seen: everything since the stream began.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        last_event_id: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", **(headers or {})}
        if last_event_id:
            self._headers["Last-Event-ID"] = last_event_id
        self._taken = 0
        self.seen = EventStream()
        self.response: aiohttp.ClientResponse
        self.opened: Any

    async def __aenter__(self) -> Self:
        self.response = await self._session.get(self._url, headers=self._headers)
        assert self.response.status == 200, await self.response.read()
        while not self.seen.events:
            await self._read()
        (opened,) = self._take(1)
        assert opened.type == "open"
        self.opened = json.loads(opened.data)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.response.close()

    async def _read(self) -> None:
        piece = await self.response.content.readany()
        if not piece:
            raise EOFError("the stream has ended")
        self.seen.feed(piece)

    async def events(self, count: int) -> list[SeenEvent]:
        """The next *count* events."""
        while len(self.seen.events) < self._taken + count:
            await self._read()
        return self._take(count)

    async def comments(self, count: int) -> None:
        """Return when there were so many."""
        while len(self.seen.comments) < count:
            await self._read()

    async def rest(self) -> list[SeenEvent]:
        """What comes until the stream ends; it must end as a body does, with its last chunk."""
        while True:
            piece = await self.response.content.readany()
            if not piece:
                return self._take(len(self.seen.events) - self._taken)
            self.seen.feed(piece)

    def _take(self, count: int) -> list[SeenEvent]:
        taken = self.seen.events[self._taken : self._taken + count]
        for event in taken:
            check_event(event.type, json.loads(event.data))
        self._taken += count
        return taken
