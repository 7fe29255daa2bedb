"""Messages side by side, as columns (pure)."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from types import MappingProxyType
from typing import Final, NamedTuple

from bridge.limits import HOT_PAGES_MESSAGE_BYTES
from bridge.messagelog.columns import ID_BYTES, Columns, joined_headers
from bridge.messagelog.values import NO_HEADERS, Headers, Message

__all__ = ("NO_RECORDS", "Page", "Records")

NOTHING_SHOWN: Final[Mapping[int, object]] = MappingProxyType({})


class Records(Columns[Message]):
    """
    Messages of one partition in order of offset.

    Most pages are passed on, not looked at. In columns a page is taken apart and put together by loops in C: 0.5 us
    a message instead of 3.2 us as tuples (measured, Iggy's reply to JSON).

    Args:
        offsets, timestamps_us, payloads: of each message.
        ids: 16 bytes each, big endian, one after the other.
        headers: of the messages that have any, by their index.
        events: every payload is known to be a domain event; False says nothing.
    """

    __slots__ = ("events", "kept", "offsets", "shown", "timestamps_us")

    def __init__(
        self,
        offsets: Sequence[int],
        timestamps_us: Sequence[int],
        ids: bytes,
        payloads: Sequence[bytes],
        headers: Mapping[int, Headers],
        *,
        events: bool = False,
    ) -> None:
        super().__init__(payloads, ids, headers)
        self.offsets = offsets
        self.timestamps_us = timestamps_us
        self.events = events
        #: Set by a log that keeps this object to give it again: what is made of it is then worth keeping too.
        self.kept = False
        #: By index, what whoever shows these messages found out of them beforehand, since it takes long.
        self.shown: Mapping[int, object] = NOTHING_SHOWN

    @property
    def weight_bytes(self) -> int:
        """About what this takes of memory."""
        return self.payload_bytes + len(self) * HOT_PAGES_MESSAGE_BYTES

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Records":
        """The same messages as columns; those of another `Records` are it itself."""
        if isinstance(messages, Records):
            return messages
        return cls(
            [message.offset for message in messages],
            [message.timestamp_us for message in messages],
            b"".join([message.id.to_bytes(ID_BYTES, "big") for message in messages]),
            [message.payload for message in messages],
            {index: message.headers for index, message in enumerate(messages) if message.headers},
        )

    @classmethod
    def joined(cls, runs: Sequence["Records"]) -> "Records":
        """Runs that follow each other, as one; a single run is it itself."""
        if len(runs) == 1:
            return runs[0]
        return cls(
            list(chain.from_iterable(run.offsets for run in runs)),
            list(chain.from_iterable(run.timestamps_us for run in runs)),
            b"".join([run.ids for run in runs]),
            list(chain.from_iterable(run.payloads for run in runs)),
            joined_headers(runs),
            events=all(run.events for run in runs),
        )

    def parts(self, *, messages_max: int, bytes_max: int) -> Iterator["Records"]:
        """The same in runs of at most so many messages and bytes of payload; a larger message is a run by itself."""
        start = 0
        large = self.payload_bytes > bytes_max
        while start < len(self):
            part = self.part(start, start + messages_max)
            if large and part.payload_bytes > bytes_max:
                fitting = bisect_right(list(accumulate(map(len, part.payloads))), bytes_max)
                part = part.part(0, max(fitting, 1))
            yield part
            start += len(part)

    def part(self, start: int, stop: int) -> "Records":
        """Those numbered *start* up to, not including, *stop*; all of them is it itself."""
        if start <= 0 and stop >= len(self):
            return self
        part = Records(
            self.offsets[start:stop],
            self.timestamps_us[start:stop],
            self._ids_of(start, stop),
            self.payloads[start:stop],
            self._headers_of(start, stop),
            events=self.events,
        )
        if self.shown:
            numbers = range(*slice(start, stop).indices(len(self)))
            part.shown = {
                place: self.shown[index] for place, index in enumerate(numbers) if index in self.shown
            }
        return part

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Records | tuple):
            return NotImplemented
        theirs: Iterable[object] = other
        return len(self) == len(other) and all(
            mine == their for mine, their in zip(self, theirs, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} records>"

    def _message(self, index: int) -> Message:
        return Message(
            self.offsets[index],
            self.timestamps_us[index],
            self._id(index),
            self.payloads[index],
            self.headers.get(index, NO_HEADERS),
        )


NO_RECORDS: Final = Records((), (), b"", (), {})


class Page(NamedTuple):
    """What one read gave.

    Attributes:
        partition_id: the partition that was read.
        end_offset: the offset that the partition's next message gets, as of the read; 0 while there never was one.
        messages: in order of offset, without gaps but for what retention removed; never changed, so that a log may
            give the same object again for the same messages.
    """

    partition_id: int
    end_offset: int
    messages: Records
