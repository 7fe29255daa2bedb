"""JSON's structure in pieces (pure): brackets and commas that stand outside of strings, a bound of bytes at a time."""

from collections.abc import Generator, Iterator
from itertools import accumulate
from typing import Final

from bridge.errors import SerializationError
from bridge.limits import JSON_DEPTH_MAX, JSON_STEP_BYTES

__all__ = ("comma_steps", "depths_of", "whole_escapes")

_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_NOT_MEMBERS: Final = bytes(byte for byte in range(256) if byte not in b'"[]{},')
_STEPS: Final = bytes.maketrans(b"[]{},", b"\x01\xff\x01\xff\x00")


def whole_escapes(body: bytes) -> Iterator[bytes]:
    """*body* in pieces of `JSON_STEP_BYTES`, cut where no escape is cut in two."""
    start = 0
    while len(body) - start > JSON_STEP_BYTES:
        piece = body[start : start + JSON_STEP_BYTES]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            # Pairs of backslashes are whole, from the cut before on.
            piece = body[start : start + JSON_STEP_BYTES + 1]
        start += len(piece)
        yield piece
    yield body[start:] if start else body


def _outside(body: bytes, others: bytes) -> Iterator[bytes]:
    """
    What stands outside of strings, without *others*, piece by piece.

    A byte stands in a string exactly if the number of quotes before it is odd. That stays so when escaped characters,
    what is not looked for, and quotes side by side are taken out.
    """
    inside = 0
    for piece in whole_escapes(body):
        marks = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, others).replace(b'""', b"")
        parts = marks.split(b'"')
        yield b"".join(parts[inside::2])
        inside ^= (len(parts) - 1) & 1


def depths_of(body: bytes) -> Iterator[int]:
    """How deep arrays and objects are nested up to the end of each piece of *body*; a bound from above where it is no JSON."""
    depth = deepest = 0
    for marks in _outside(body, _NOT_BRACKETS):
        depths = list(accumulate(memoryview(marks.translate(_STEPS)).cast("b"), initial=depth))
        depth, deepest = depths[-1], max(deepest, *depths)
        yield deepest


def comma_steps(body: bytes, *, level: int) -> Generator[None, None, int]:
    """
    How many commas stand directly in arrays and objects of *level*, from 1.

    Args:
        body: well-formed JSON.

    Raises:
        SerializationError: if it is far deeper than JSON may be.
    """
    depth = count = 0
    comma = bytes((0, level))
    for marks in _outside(body, _NOT_MEMBERS):
        steps = marks.translate(_STEPS)
        depths = list(accumulate(memoryview(steps).cast("b"), initial=depth))
        depth = depths[-1]
        # Each mark and the level it leaves behind, side by side. A level of 0 is behind the last mark only, so that no
        # level and mark of two neighbours look like a comma.
        pairs = bytearray(2 * len(steps))
        pairs[::2] = steps
        try:
            pairs[1::2] = bytes(depths[1:])
        except ValueError:
            raise SerializationError(
                f"The JSON is nested deeper than {JSON_DEPTH_MAX} levels.", limit=JSON_DEPTH_MAX
            ) from None
        count += pairs.count(comma)
        yield
    return count
