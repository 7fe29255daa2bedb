"""Server-sent events out of lines (pure), as WHATWG HTML reads them (section 9.2)."""

from collections.abc import AsyncIterator
from typing import NamedTuple


class ServerEvent(NamedTuple):
    """One event.

    Attributes:
        name: empty for a message.
        id: where a reader that has it goes on; empty where it was never told.
    """

    name: str
    id: str
    data: bytes


async def server_events(lines: AsyncIterator[bytes]) -> AsyncIterator[ServerEvent]:
    """The events that *lines* spell, each as soon as its blank line is there; one that is cut is let go."""
    name, last_id = "", ""
    data: list[bytes] = []
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(name, last_id, b"\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
        elif field == b"id":
            last_id = value.decode(errors="replace")
