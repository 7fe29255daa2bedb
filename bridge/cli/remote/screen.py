"""Messages shown one after the other (shell)."""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from bridge.cli.client.messages import SeenMessage, message_line, printable
from bridge.cli.remote.rendering import Output, OutputFormat

_NONE: Final = b"null"


class _ShownEvent(msgspec.Struct, gc=False):
    event_type: str


_TYPED: Final = msgspec.json.Decoder(_ShownEvent)


class Screen:
    """Shows each message once, up to *count* of them.

    Args:
        event_types: only events of these; all messages if empty.
        count: None for no end.

    Attributes:
        shown: messages so far.
    """

    def __init__(self, out: Output, event_types: Sequence[str], count: int | None) -> None:
        self._out = out
        self._count = count
        self._newest: dict[int, int] = {}
        self.event_types = tuple(event_types)
        self.shown = 0

    @property
    def is_full(self) -> bool:
        return self._count is not None and self.shown >= self._count

    def message(self, message: SeenMessage, line: bytes) -> None:
        """Show *message*, of which *line* is the JSON, unless it was, or is not wanted."""
        if self.is_full or not self._is_wanted(message):
            return
        if not message.token:
            # A group gives older ones again.
            if message.offset <= self._newest.get(message.partition_id, -1):
                return
            self._newest[message.partition_id] = message.offset
        self.shown += 1
        if self._out.form is OutputFormat.NDJSON:
            self._out.line(line)
        elif self._out.form is OutputFormat.JSON:
            self._out.json(orjson.loads(line))
        else:
            self._show(message)

    def _show(self, message: SeenMessage) -> None:
        shown = message_line(message)
        if not self._out.is_terminal:
            self._out.text(f"{shown.place}  {shown.time}  {shown.content}")
            return
        from rich.text import Text  # noqa: PLC0415 (a tenth of a second)

        # The date is that of today for who follows; what is older has its day in the other forms.
        text = Text.assemble(
            (shown.place, "cyan"), "  ", (shown.time[11:23], "dim"), "  ", printable(shown.content)
        )
        self._out.console.print(text, soft_wrap=True)

    def _is_wanted(self, message: SeenMessage) -> bool:
        if not self.event_types:
            return True
        event = bytes(message.event)
        return event != _NONE and _TYPED.decode(event).event_type in self.event_types
