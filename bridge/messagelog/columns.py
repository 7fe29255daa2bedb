"""What messages side by side have in common, on the way in and on the way out (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar, overload

from bridge.messagelog.values import Headers

__all__ = ("ID_BYTES", "NO_HEADERS_AT_ALL", "Columns", "joined_headers")

ID_BYTES: Final = 16
NO_HEADERS_AT_ALL: Final[Mapping[int, Headers]] = {}

M = TypeVar("M")


class Columns(Sequence[M]):
    """
    Messages as columns, never changed; one of them is made when it is asked for.

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
        return {index - start: found for index, found in self.headers.items() if start <= index < stop}


def joined_headers(runs: Sequence[Columns[M]]) -> dict[int, Headers]:
    """The headers of runs that follow each other, by the index in all of them."""
    headers: dict[int, Headers] = {}
    before = 0
    for run in runs:
        headers.update((before + index, found) for index, found in run.headers.items())
        before += len(run)
    return headers
