"""What a browser makes of an event stream, step by step as WHATWG HTML, section 9.2.6, says it (written from the text)."""

import codecs
import re
from typing import Final, NamedTuple

__all__ = ("EventStream", "SeenEvent")


_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class SeenEvent(NamedTuple):
    """What a page's listener is given."""

    type: str
    data: str
    last_event_id: str


class EventStream:
    """
    A stream as it is read, in pieces of any size.

    Attributes:
        events: dispatched so far.
        last_event_id: what would be sent as `Last-Event-ID` by a reconnection now.
        retry_ms: the reconnection time, None as long as it was not told.
        comments: lines that begin with a colon.
    """

    def __init__(self) -> None:
        self.events: list[SeenEvent] = []
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.comments: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._begun = False
        self._after_cr = False
        self._data = ""
        self._event_type = ""
        self._id_buffer = ""

    def feed(self, piece: bytes) -> list[SeenEvent]:
        """What *piece* completed."""
        before = len(self.events)
        text = self._decoder.decode(piece)
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        self._take(text)
        return self.events[before:]

    def _take(self, text: str) -> None:
        if not text:
            return
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        lines = _LINE_END.split(text)
        lines[0] = self._text + lines[0]
        self._text = lines.pop()
        for line in lines:
            self._process(line)

    def _process(self, line: str) -> None:
        if not line:
            self._dispatch()
        elif line.startswith(":"):
            self.comments.append(line)
        else:
            name, _, value = line.partition(":")
            self._field(name, value.removeprefix(" "))

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._event_type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self._id_buffer = value
        elif name == "retry" and value and all("0" <= digit <= "9" for digit in value):
            self.retry_ms = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id_buffer
        if self._data:
            self.events.append(
                SeenEvent(self._event_type or "message", self._data.removesuffix("\n"), self.last_event_id)
            )
        self._data = self._event_type = ""
