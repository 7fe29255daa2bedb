"""What common readers of event streams send, and what they make of what they get: as seen on the wire and in their sources."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

__all__ = ("CLIENTS", "SseClient", "Told")


class Told(NamedTuple):
    """What the program behind the reader is handed."""

    type: str
    data: str
    last_event_id: str

    @property
    def object(self) -> Any:
        """As programs do who take each event for JSON; raises where it is none."""
        return json.loads(self.data)


class Block(NamedTuple):
    """What lies between blank lines, which is not what the standard calls an event: there may be no data in it."""

    type: str
    data: list[str]
    id: str | None
    retry: str | None


def _blocks(stream: str) -> Iterator[Block]:
    fields: dict[str, list[str]] = {}
    for line in stream.split("\n")[:-1]:
        name, _, value = line.partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))
        elif not line:
            last = {each: values[-1] for each, values in fields.items()}
            yield Block(last.get("event", ""), fields.get("data", []), last.get("id"), last.get("retry"))
            fields = {}


def _each_block(_: Block, __: str) -> bool:
    """`@microsoft/fetch-event-source` 2.0.1: every blank line is an event, whatever came before it."""
    return True


def _each_with_an_id(block: Block, last_event_id: str) -> bool:
    """`httpx-sse` 0.4.3: a block without data is none only as long as there was never an id."""
    return bool(block.type or block.data or last_event_id or block.retry is not None)


def _each_with_data(block: Block, _: str) -> bool:
    return bool(block.data)


class SseClient(NamedTuple):
    """
    Attributes:
        head: of a request, behind its request line; `{port}` stands in it for the port.
        id_line: how it says where it stands when it comes back, among the others of its head; empty: in the query.
        takes: whether a block is an event to it, after the id that was told last.
        forgets: the id of a block without data.
        preflight: what its requests ask of a bridge of another origin, in a browser.
    """

    name: str
    head: tuple[str, ...]
    id_line: str
    takes: Callable[[Block, str], bool]
    forgets: bool
    preflight: str

    def request(self, port: int, path: str, query: str, last_event_id: str = "") -> bytes:
        """The first, or that of one who comes back."""
        lines = [line.format(port=port) for line in self.head]
        if last_event_id and self.id_line:
            lines.insert(3, self.id_line + last_event_id)
        elif last_event_id:
            query = f"{query}&lastEventId={last_event_id}"
        return "\r\n".join((f"GET {path}?{query} HTTP/1.1", *lines, "", "")).encode()

    def reads(self, stream: str) -> tuple[list[Told], str]:
        """What it makes of a stream, and the id that it would send then."""
        told, last = [], ""
        for block in _blocks(stream):
            if block.id is not None and (block.data or not self.forgets):
                last = block.id
            if self.takes(block, last):
                told.append(Told(block.type or "message", "\n".join(block.data), last))
        return told, last


_FETCH: Final = (
    "host: 127.0.0.1:{port}",
    "connection: keep-alive",
    "Accept: text/event-stream",
    "accept-language: *",
    "sec-fetch-mode: cors",
    "user-agent: node",
    "pragma: no-cache",
    "cache-control: no-cache",
    "accept-encoding: gzip, deflate",
)

CLIENTS: Final = (
    SseClient("event-source-polyfill", _FETCH, "", _each_with_data, True, ""),
    SseClient(
        "fetch-event-source",
        (
            "host: 127.0.0.1:{port}",
            "connection: keep-alive",
            "accept: text/event-stream",
            "accept-language: *",
            "sec-fetch-mode: cors",
            "user-agent: node",
            "accept-encoding: gzip, deflate",
        ),
        "last-event-id: ",
        _each_block,
        False,
        "last-event-id",
    ),
    SseClient("eventsource 4", _FETCH, "Last-Event-ID: ", _each_with_data, True, "last-event-id"),
    SseClient(
        "eventsource 2",
        (
            "Cache-Control: no-cache",
            "Accept: text/event-stream",
            "Host: 127.0.0.1:{port}",
            "Connection: keep-alive",
        ),
        "Last-Event-ID: ",
        _each_with_data,
        False,
        "cache-control,last-event-id",
    ),
    SseClient(
        "httpx-sse",
        (
            "Host: 127.0.0.1:{port}",
            "Accept-Encoding: gzip, deflate",
            "Connection: keep-alive",
            "User-Agent: python-httpx/0.28.1",
            "Accept: text/event-stream",
            "Cache-Control: no-store",
        ),
        "Last-Event-ID: ",
        _each_with_an_id,
        False,
        "cache-control,last-event-id",
    ),
    SseClient(
        "react-native-sse",
        (
            "Accept: text/event-stream",
            "Cache-Control: no-cache",
            "X-Requested-With: XMLHttpRequest",
            "Host: 127.0.0.1:{port}",
            "Connection: Keep-Alive",
        ),
        "Last-Event-ID: ",
        _each_with_data,
        False,
        "cache-control,last-event-id,x-requested-with",
    ),
)
