"""Messages side by side, as columns: on their way in and on their way out (pure)."""

import secrets
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar, overload

from bridge.errors import BadRequest
from bridge.limits import (
    HOT_PAGES_MESSAGE_BYTES,
    KEPT_HEADER_BYTES,
    KEPT_HEADERS_BYTES,
    KEPT_RECORDS_BYTES,
    MESSAGE_ID_MAX,
    PAGE_LIGHT_BYTES,
)
from bridge.messagelog.header_runs import HeaderRuns, Run
from bridge.messagelog.values import NO_HEADERS, Headers, Message, NewEvent, NewMessage

ID_BYTES: Final = 16
_IS_EVENTS: Final = attrgetter("events")
NO_HEADERS_AT_ALL: Final[Mapping[int, Headers]] = {}

M = TypeVar("M")
T = TypeVar("T")


class Columns(Sequence[M]):
    """Messages as columns, never changed; one of them is made when it is asked for.

    Attributes:
        payloads: of each message.
        ids: 16 bytes each, big endian, one after the other.
        headers: of the messages that have any, by their index.
    """

    __slots__ = ("_payload_bytes", "headers", "ids", "payloads")

    def __init__(self, payloads: Sequence[bytes], ids: bytes, headers: Mapping[int, Headers]) -> None:
        self.payloads = payloads
        self.ids = ids
        self.headers = headers
        self._payload_bytes: int | None = None

    @property
    def payload_bytes(self) -> int:
        """Sum over the payloads."""
        if self._payload_bytes is None:
            self._payload_bytes = sum(map(len, self.payloads))
        return self._payload_bytes

    def __len__(self) -> int:
        return len(self.payloads)

    @overload
    def __getitem__(self, index: int) -> M: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[M, ...]: ...
    def __getitem__(self, index: int | slice) -> M | tuple[M, ...]:
        if isinstance(index, slice):
            return tuple(map(self._message, range(*index.indices(len(self)))))
        count = len(self)
        if not -count <= index < count:
            raise IndexError(index)
        return self._message(index % count)

    def __iter__(self) -> Iterator[M]:
        return map(self._message, range(len(self)))

    def _message(self, index: int) -> M:
        raise NotImplementedError

    def _id(self, index: int) -> int:
        return int.from_bytes(self.ids[index * ID_BYTES : (index + 1) * ID_BYTES], "big")

    def _ids_of(self, start: int, stop: int) -> bytes:
        return self.ids[start * ID_BYTES : stop * ID_BYTES]

    def _headers_of(self, start: int, stop: int) -> Mapping[int, Headers]:
        if not self.headers:
            return NO_HEADERS_AT_ALL
        # Of these alone: a batch of a thousand is cut into eight.
        among = range(*slice(start, stop).indices(len(self.payloads)))
        if type(self.headers) is HeaderRuns:
            return self.headers.part(among.start, among.stop)
        return {place: self.headers[index] for place, index in enumerate(among) if index in self.headers}


def _in_a_row(columns: Iterable[Iterable[T]]) -> list[T]:
    # A list takes in another, or a tuple, in a tenth of the time that a chain of iterators takes.
    joined: list[T] = []
    for column in columns:
        joined += column
    return joined


def joined_headers(runs: Sequence[Columns[M]]) -> Mapping[int, Headers]:
    """The headers of runs that follow each other, by the index in all of them."""
    if {type(run.headers) for run in runs if run.headers} == {HeaderRuns}:
        return HeaderRuns(_in_a_row(map(_header_runs, runs)))
    headers: dict[int, Headers] = {}
    before = 0
    for run in runs:
        if run.headers:
            for index, found in run.headers.items():
                headers[before + index] = found
        before += len(run.payloads)
    return headers


def _header_runs(run: Columns[M]) -> Sequence[Run]:
    return run.headers.runs if type(run.headers) is HeaderRuns else ((len(run), NO_HEADERS),)


def headers_of_all(count: int, headers: Headers) -> Mapping[int, Headers]:
    """*headers* for each of *count* messages."""
    return HeaderRuns([(count, headers)]) if headers else NO_HEADERS_AT_ALL


class NewRecords(Columns[NewMessage]):
    """What `Records` is on the way out; a `NewMessage` is made when one is asked for.

    A batch of 1,000 is taken in, weighed and sent on by loops in C over its columns, and its ids stay the bytes that
    they become in the log.

    Args:
        payloads: of each message.
        ids: 16 bytes each, big endian, one after the other; none is 0.
        headers: of the messages that have any, by their index.
        events: each is a `NewEvent`.
    """

    __slots__ = ("_ends", "events")

    def __init__(
        self,
        payloads: Sequence[bytes],
        ids: bytes,
        headers: Mapping[int, Headers] = NO_HEADERS_AT_ALL,
        events: bool = False,
    ) -> None:
        # Not by way of `Columns`: every message that comes alone has two of these.
        self.payloads = payloads
        self.ids = ids
        self.headers = headers
        self._payload_bytes = None
        self._ends: Sequence[int] | None = None
        self.events = events

    @property
    def ends(self) -> Sequence[int]:
        """Sum over the payloads up to and with each: to weigh many and to divide them takes one look at each."""
        if self._ends is None:
            self._ends = list(accumulate(map(len, self.payloads)))
            self._payload_bytes = self._ends[-1] if self._ends else 0
        return self._ends

    @classmethod
    def of(cls, messages: Sequence[NewMessage]) -> "NewRecords":
        """The same messages as columns, those without an id under a random one; other `NewRecords` are it itself.

        Raises:
            BadRequest: if an id is out of bounds.
        """
        # Not `isinstance`: of a class with an abstract ancestor it asks in Python, 0.3 us.
        if type(messages) is NewRecords:
            return messages
        try:
            ids = [(each.id or secrets.randbits(128) or 1).to_bytes(ID_BYTES, "big") for each in messages]
        except OverflowError:
            at = next(at for at, each in enumerate(messages) if not 0 <= each.id <= MESSAGE_ID_MAX)
            raise BadRequest(
                f"The id of message {at} is outside 0 to 2^128-1.", limit=MESSAGE_ID_MAX
            ) from None
        return cls(
            [message.payload for message in messages],
            b"".join(ids),
            {index: message.headers for index, message in enumerate(messages) if message.headers},
            events=set(map(type, messages)) == {NewEvent},
        )

    @classmethod
    def unnamed(cls, payloads: list[bytes], headers: Headers) -> "NewRecords":
        """Messages under random ids, each with all of *headers*."""
        count = len(payloads)
        return cls(
            payloads,
            # One draw for all: one for each takes 0.6 us.
            secrets.token_bytes(ID_BYTES * count),
            headers_of_all(count, headers),
        )

    @classmethod
    def joined(cls, runs: Sequence["NewRecords"]) -> "NewRecords":
        """Runs that follow each other, as one; a single run is it itself."""
        if len(runs) == 1:
            return runs[0]
        return cls(
            _in_a_row([run.payloads for run in runs]),
            b"".join([run.ids for run in runs]),
            joined_headers(runs),
            events=all(map(_IS_EVENTS, runs)),
        )

    def part(self, start: int, stop: int) -> "NewRecords":
        """Those numbered *start* up to, not including, *stop*; all of them is it itself."""
        if start <= 0 and stop >= len(self):
            return self
        return NewRecords(
            self.payloads[start:stop],
            self._ids_of(start, stop),
            self._headers_of(start, stop),
            events=self.events,
        )

    def __repr__(self) -> str:
        return f"<{len(self)} new records>"

    def _message(self, index: int) -> NewMessage:
        return (NewEvent if self.events else NewMessage)(
            self.payloads[index], self._id(index), self.headers.get(index, NO_HEADERS)
        )


NOTHING_SHOWN: Final[Mapping[int, object]] = MappingProxyType({})


class Records(Columns[Message]):
    """Messages of one partition in order of offset.

    Most pages are passed on, not looked at. In columns a page is taken apart and put together by loops in C: 0.5 us
    a message instead of 3.2 us as tuples (measured, Iggy's reply to JSON).

    Args:
        offsets, timestamps_us, payloads: of each message.
        ids: 16 bytes each, big endian, one after the other.
        headers: of the messages that have any, by their index.
        events: every payload is known to be a domain event; False says nothing.
    """

    __slots__ = ("_headers_bytes", "events", "kept", "offsets", "page_json", "shown", "timestamps_us")

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
        #: Set by a log that keeps this object to give it again, as `kept_bytes`: then what is made of it is kept here.
        self.kept = False
        #: All of them as they go out in a page, of at most `weight_bytes`.
        self.page_json: bytes | None = None
        #: By index, what whoever shows these messages found out of them beforehand, since it takes long.
        self.shown: Mapping[int, object] = NOTHING_SHOWN
        self._headers_bytes: int | None = None

    @property
    def headers_bytes(self) -> int:
        """What the headers of all messages take of memory, about."""
        if self._headers_bytes is None:
            self._headers_bytes = _headers_bytes(self.headers.values()) if self.headers else 0
        return self._headers_bytes

    @property
    def weight_bytes(self) -> int:
        """About what this takes of memory."""
        messages_bytes = len(self) * HOT_PAGES_MESSAGE_BYTES
        return KEPT_RECORDS_BYTES + self.payload_bytes + self.headers_bytes + messages_bytes

    @property
    def may_be_kept(self) -> bool:
        """Whether nothing is left in `shown` of these that their weight does not tell: it may be six times as long."""
        return self.events or self.payload_bytes <= PAGE_LIGHT_BYTES

    @property
    def kept_bytes(self) -> int:
        """The same with what is kept here, at most."""
        return 2 * self.weight_bytes

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
            _in_a_row([run.offsets for run in runs]),
            _in_a_row([run.timestamps_us for run in runs]),
            b"".join([run.ids for run in runs]),
            _in_a_row([run.payloads for run in runs]),
            joined_headers(runs),
            events=all(map(_IS_EVENTS, runs)),
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


def _headers_bytes(of_messages: Collection[Headers]) -> int:
    texts_bytes = sum(
        [
            len(key) + (len(value) if isinstance(value, str | bytes) else 0)
            for each in of_messages
            for key, value in each.items()
        ]
    )
    headers_count = sum(map(len, of_messages))
    return texts_bytes + headers_count * KEPT_HEADER_BYTES + len(of_messages) * KEPT_HEADERS_BYTES


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
