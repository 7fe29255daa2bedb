"""Messages on their way in, side by side, as columns (pure)."""

import secrets
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

from bridge.messagelog.columns import ID_BYTES, NO_HEADERS_AT_ALL, Columns, joined_headers
from bridge.messagelog.values import NO_HEADERS, Headers, NewEvent, NewMessage

__all__ = ("NewRecords", "id_of", "in_a_row", "payload_bytes_of", "payloads_of")

_PAYLOAD_OF: Final = attrgetter("payload")


class NewRecords(Columns[NewMessage]):
    """
    What `Records` is on the way out; a `NewMessage` is made when one is asked for.

    A batch of 1,000 is taken in, weighed and sent on by loops in C over its columns, and its ids stay the bytes that
    they become in the log.

    Args:
        payloads: of each message.
        ids: 16 bytes each, big endian, one after the other; none is 0.
        headers: of the messages that have any, by their index.
        events: each is a `NewEvent`.
    """

    __slots__ = ("events",)

    def __init__(
        self,
        payloads: Sequence[bytes],
        ids: bytes,
        headers: Mapping[int, Headers] = NO_HEADERS_AT_ALL,
        *,
        events: bool = False,
    ) -> None:
        super().__init__(payloads, ids, headers)
        self.events = events

    @classmethod
    def of(cls, messages: Sequence[NewMessage]) -> "NewRecords":
        """The same messages as columns, those without an id under a random one; other `NewRecords` are it itself."""
        if isinstance(messages, NewRecords):
            return messages
        return cls(
            [message.payload for message in messages],
            b"".join([id_of(message).to_bytes(ID_BYTES, "big") for message in messages]),
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
            dict.fromkeys(range(count), headers) if headers else NO_HEADERS_AT_ALL,
        )

    @classmethod
    def joined(cls, runs: Sequence["NewRecords"]) -> "NewRecords":
        """Runs that follow each other, as one; a single run is it itself."""
        if len(runs) == 1:
            return runs[0]
        return cls(
            list(chain.from_iterable(run.payloads for run in runs)),
            b"".join([run.ids for run in runs]),
            joined_headers(runs),
            events=all(run.events for run in runs),
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


def id_of(message: NewMessage) -> int:
    """Its id, or a random one if it has none."""
    return message.id or secrets.randbits(128) or 1


def in_a_row(runs: Sequence[Sequence[NewMessage]]) -> Sequence[NewMessage]:
    """Messages of all *runs*, one after the other; as columns where all of them are, or there is one run only."""
    if len(runs) == 1:
        return runs[0]
    if isinstance(runs[0], NewRecords):
        columns = [run for run in runs if isinstance(run, NewRecords)]
        if len(columns) == len(runs):
            return NewRecords.joined(columns)
    return list(chain.from_iterable(runs))


def payloads_of(messages: Sequence[NewMessage]) -> Sequence[bytes]:
    """The payload of each."""
    return messages.payloads if isinstance(messages, NewRecords) else list(map(_PAYLOAD_OF, messages))


def payload_bytes_of(messages: Sequence[NewMessage]) -> int:
    """Sum over the payloads."""
    if isinstance(messages, NewRecords):
        return messages.payload_bytes
    return sum(map(len, map(_PAYLOAD_OF, messages)))
