"""Where each worker leaves its figures for the others (pure): memory they share, without locks."""

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

# Number of the writing, when (monotonic), length, checksum of all else.
_HEAD: Final = Struct("=QdQQ")
_HALVES: Final = 2


class Left(NamedTuple):
    """What a worker left.

    Attributes:
        number: grows with each writing.
        at_s: monotonic reading of the writing.
    """

    number: int
    at_s: float
    payload: bytes


def slots_bytes(count: int, payload_bytes_max: int) -> int:
    return count * _HALVES * (_HEAD.size + payload_bytes_max)


class FigureSlots:
    """A slot for each worker, in two halves written in turn.

    Whoever is killed while it writes spoils one half, and the checksum tells; the other one still holds what was last
    said, so that a counter never goes back.

    Args:
        memory: zeros at first; `slots_bytes` long.
    """

    def __init__(self, memory: memoryview, count: int) -> None:
        self.count = count
        self._memory = memory
        self._half_bytes = len(memory) // (count * _HALVES)

    def write(self, slot: int, payload: bytes, at_s: float) -> bool:
        """Leave *payload*; False, and nothing changed, where it is too long. Each slot has one writer."""
        if len(payload) > self._half_bytes - _HEAD.size:
            return False
        newest = self.read(slot)
        number = 1 if newest is None else newest.number + 1
        at = self._at(slot, number % _HALVES)
        self._memory[at + _HEAD.size : at + _HEAD.size + len(payload)] = payload
        _HEAD.pack_into(self._memory, at, number, at_s, len(payload), _checksum(number, at_s, payload))
        return True

    def read(self, slot: int) -> Left | None:
        """What was left there last, None where nothing was."""
        found = [left for half in range(_HALVES) if (left := self._half(slot, half)) is not None]
        return max(found, default=None)

    def _at(self, slot: int, half: int) -> int:
        return (slot * _HALVES + half) * self._half_bytes

    def _half(self, slot: int, half: int) -> Left | None:
        at = self._at(slot, half)
        number, at_s, length, checksum = _HEAD.unpack_from(self._memory, at)
        if number == 0 or length > self._half_bytes - _HEAD.size:
            return None
        payload = bytes(self._memory[at + _HEAD.size : at + _HEAD.size + length])
        return Left(number, at_s, payload) if checksum == _checksum(number, at_s, payload) else None


def _checksum(number: int, at_s: float, payload: bytes) -> int:
    return crc32(payload, crc32(_HEAD.pack(number, at_s, len(payload), 0)))
