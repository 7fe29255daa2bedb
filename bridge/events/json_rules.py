"""What JSON must be before it is believed (pure): in text, in depth and in its numbers.

`msgspec` checks the grammar. It skips what it need not build without a look at three things, and these are looked at
here: whether strings are UTF-8, how deep it goes, and whether each number fits a double. All of it runs in C, and in
steps of a few milliseconds, since a body of 10 MB in one go would hold up everybody else.
"""

import math
import re
from collections.abc import Generator, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeAlias, TypeVar

import msgspec
import orjson

from bridge.errors import SerializationError
from bridge.limits import (
    JSON_DEPTH_MAX,
    JSON_FAST_BRACKETS_MAX,
    JSON_FAST_BYTES_MAX,
    JSON_STEP_BYTES,
    JSON_WIDE_NUMBERS_MAX,
)

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""Work in pieces of at most some milliseconds: whoever runs it lets others go first wherever it yields."""

_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_QUOTE: Final = ord('"')
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_NOT_MEMBERS: Final = bytes(byte for byte in range(256) if byte not in b'"[]{},')
# No byte of UTF-8: it parts values.
_MARK: Final = b"\xff"
# So many values are looked at together for their depth. Most have a few brackets, so that these rarely have too many for one.
_TOGETHER: Final = 8
# What is left are marks and opening brackets, all as one character.
_OPENING: Final = bytes.maketrans(b"{", b"[")
_NOT_OPENING: Final = bytes(byte for byte in range(256) if byte not in b"[{%b" % _MARK)
_LEVELS: Final = bytes.maketrans(b"[]{},", b"\x01\xff\x01\xff\x00")

# What may be the exponent of a number beyond a double, where digits and plus signs are all as one: of numbers of up to 200
# digits, one with three digits or more.
_DIGITS: Final = bytes.maketrans(b"0123456789+E", b"0" * 11 + b"e")
_EXPONENT: Final = b"0e000"
_WIDE_EXPONENT: Final = re.compile(rb"[eE]\+?[0-9]{3}")
_MANTISSA: Final = b"0123456789.-"
# What stands before a number; UUIDs and other words have a quote or a letter before their digits.
_BEFORE_NUMBER: Final = b"[:, \t\r\n"
_PLAIN_DIGITS_MAX: Final = 200
# One digit more in a row holds at least 25 of every eighth byte.
_STEP: Final = 8
_LONG_NUMBER: Final = b"0" * 25
# Of words that look like an exponent, so many are looked at: in hexadecimal digits one in 105 bytes is such. Each takes 800
# instructions.
_BYTES_PER_LOOK: Final = 64
_LOOKS_MIN: Final = 8

_NUMBER: Final = re.compile(rb"[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+")
# Of a number of more digits than this is looked at by itself, whatever it comes to.
_NUMBER_CHARS: Final = 400
# Short strings, everything between, and numbers that are surely far from the end of a double: up to 200 digits with an
# exponent of two make 1e299, up to 8 with one of at most 299 make 1e307. Each part and their number are bounded, so that
# one call takes some milliseconds.
_HARMLESS: Final = re.compile(
    rb"""(?: [^"0-9]{1,256}+
        | "[^"\\]{0,256}+(?:\\.[^"\\]{0,64}+){0,16}+"
        | (?! [0-9.]{%d}
            | [0-9]{201}
            | [0-9]{9}[0-9.]*+[eE]\+?[0-9]{3}
            | [0-9.]++[eE][+-]?[0-9]{20}
            | [0-9.]++[eE]\+?0*+(?:[3-9][0-9]{2}|[0-9]{4})
            ) [0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+
        ){0,4000}+"""
    % _NUMBER_CHARS,
    re.VERBOSE | re.DOTALL,
)
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


def result_of(steps: Steps[T]) -> T:
    """What comes of *steps*, taken in one go."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def check_json(body: bytes) -> None:
    """`json_steps` in one go."""
    result_of(json_steps(body))


def json_steps(body: bytes, *, levels_around: int = 0, at: str | None = None) -> Steps[None]:
    """Let *body* pass if, as far as it is JSON at all, it is safe to parse, keep and hand out again.

    Args:
        levels_around: levels of a larger body that it stands in.
        at: its JSON path there, for faults.

    Raises:
        SerializationError: if it is empty, not UTF-8, deeper than `JSON_DEPTH_MAX`, or holds a number beyond a
            double, or is large and holds very many that come near to it. That it is well-formed is for the parser to find out.

    Source: RFC 8259 sections 6, 8.1 and 9; shared trust.md B49-B55.
    """
    if not body:
        raise SerializationError("The body is empty; JSON is expected.", path=at)
    depth_max = JSON_DEPTH_MAX - levels_around
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > depth_max and (yield from _is_deeper(body, depth_max)):
        raise SerializationError(
            f"The JSON is nested deeper than {JSON_DEPTH_MAX} levels.", path=at, limit=JSON_DEPTH_MAX
        )
    if len(body) <= JSON_FAST_BYTES_MAX and brackets <= JSON_FAST_BRACKETS_MAX and _is_strict_json(body):
        return
    if body.startswith(_BYTE_ORDER_MARK):
        raise SerializationError("The JSON begins with a byte order mark, which JSON must not have.", path=at)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise SerializationError(f"The JSON is not UTF-8 at byte {error.start}.", path=at) from None
    yield
    if not (yield from _plain_number_steps(body)):
        yield
        yield from _number_steps(body, at)


def is_surely_safe(value: bytes, *, levels_around: int = 0) -> bool:
    """Whether `json_steps` would let *value* pass, seen in a few passes over it; False says nothing.

    Args:
        value: well-formed JSON in UTF-8.
        levels_around: as for `json_steps`.
    """
    depth_max = JSON_DEPTH_MAX - levels_around
    # What is deeper has so many brackets, and as many that close them.
    if len(value) > 2 * depth_max:
        brackets = 2 * len(value) - len(value.replace(b"[", b"")) - len(value.replace(b"{", b""))
        if brackets > depth_max:
            return False
    return _has_plain_numbers(value) or _is_strict_json(value)


def count_by_leaps(text: bytes, byte: bytes) -> int:
    """How often *byte* is in *text*, where it is rare; `bytes.count` takes five instructions for each byte, this one."""
    return len(text) - len(text.replace(byte, b""))


def are_surely_safe(values: Sequence[bytes | msgspec.Raw], *, levels_around: int = 0) -> bool:
    """`is_surely_safe` of each of *values*, in a few passes over all of them; at least one."""
    depth_max = JSON_DEPTH_MAX - levels_around
    parts = [values[at : at + _TOGETHER] for at in range(0, len(values), _TOGETHER)]
    joined = list(map(b",".join, parts))
    for part, text in zip(parts, joined, strict=True):
        # Two hundred instructions a value; what is left of it where all but brackets is deleted takes ten a byte.
        if count_by_leaps(text, b"[") + count_by_leaps(text, b"{") > depth_max and _has_deeper(
            part, depth_max
        ):
            return False
    text = b",".join(joined)
    return _has_plain_numbers(text) or _is_strict_json(b"[%b]" % text)


def _has_deeper(values: Sequence[bytes | msgspec.Raw], depth_max: int) -> bool:
    """Whether one of them may be nested deeper; False is sure."""
    # So many brackets in a row, once all else is gone, stand in one of them.
    return b"[" * (depth_max + 1) in _MARK.join(values).translate(_OPENING, _NOT_OPENING)


def _has_plain_numbers(text: bytes) -> bool:
    """Whether no number of *text*, well-formed values side by side, has more than 200 digits or an exponent of more than two.

    False says nothing.
    """
    marks = text.translate(_DIGITS)
    if len(text) > _PLAIN_DIGITS_MAX and marks[::_STEP].find(_LONG_NUMBER) >= 0:
        return False
    # Backwards `bytes` finds it in a third of the time.
    at = marks.rfind(_EXPONENT)
    return at < 0 or _are_no_numbers(text, marks, at)


def _are_no_numbers(text: bytes, marks: bytes, at: int) -> bool:
    """Whether surely none of the exponents in *marks*, the last of which is *at*, belongs to a number of *text*."""
    for _ in range(_LOOKS_MIN + len(text) // _BYTES_PER_LOOK):
        before = text[max(0, at - 2 * _PLAIN_DIGITS_MAX) : at + 1].rstrip(_MANTISSA)
        # Nothing is in everything: digits as far as one looks are a number.
        if before[-1:] in _BEFORE_NUMBER and _WIDE_EXPONENT.match(text, at + 1) is not None:
            return False
        at = marks.rfind(_EXPONENT, 0, at + len(_EXPONENT) - 1)
        if at < 0:
            return True
    return False


def _plain_number_steps(body: bytes) -> Steps[bool]:
    """`_has_plain_numbers` of pieces, which overlap so far that each number that is none stands in one of them whole."""
    if len(body) <= JSON_STEP_BYTES:
        return _has_plain_numbers(body)
    for start in range(0, len(body), JSON_STEP_BYTES):
        if start:
            yield
        piece = body[max(0, start - 4 * _PLAIN_DIGITS_MAX) : start + JSON_STEP_BYTES]
        if not _has_plain_numbers(piece):
            return False
    return True


def is_well_formed(body: bytes) -> bool:
    """Whether *body*, which `check_json` let pass, is one JSON value."""
    try:
        _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_deeper(body: bytes, depth_max: int) -> Steps[bool]:
    for number, depth in enumerate(depths_of(body)):
        if depth > depth_max:
            return True
        if number:
            yield
    return False


def _is_strict_json(body: bytes) -> bool:
    """Whether *body* is one JSON value in UTF-8 whose numbers fit a double and whose surrogates come in pairs."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _number_steps(body: bytes, at: str | None) -> Steps[None]:
    position = wide = 0
    while position < len(body):
        harmless = _HARMLESS.match(body, position)
        end = position if harmless is None else harmless.end()
        if end > position:
            position = end
        elif body.startswith(b'"', position):
            position = yield from _end_of_string(body, position)
        elif (number := _NUMBER.match(body, position)) is not None:
            wide += 1
            if wide > JSON_WIDE_NUMBERS_MAX:
                raise SerializationError(
                    f"A large body holds more than {JSON_WIDE_NUMBERS_MAX} numbers near the end of a double.",
                    path=at,
                    limit=JSON_WIDE_NUMBERS_MAX,
                )
            if math.isinf(float(number.group())):
                raise SerializationError(
                    f"The number at byte {position} is beyond a double (about 1.8e308).", path=at
                )
            position = number.end()
        yield


def _end_of_string(body: bytes, begin: int) -> Steps[int]:
    """Where the string that begins there ends, or where *body* does."""
    position = begin + 1
    while position < len(body) and body[position] != _QUOTE:
        inside = _IN_STRING.match(body, position, position + JSON_STEP_BYTES)
        end = position if inside is None else inside.end()
        # An escape that the end of the piece cuts in two is passed over whole.
        position = end if end > position else end + 2
        yield
    return position + 1


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
    """What stands outside of strings, without *others*, piece by piece.

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
        depths = list(accumulate(memoryview(marks.translate(_LEVELS)).cast("b"), initial=depth))
        depth, deepest = depths[-1], max(deepest, *depths)
        yield deepest


def comma_steps(body: bytes, *, level: int) -> Steps[int]:
    """How many commas stand directly in arrays and objects of *level*, from 1.

    Args:
        body: well-formed JSON.

    Raises:
        SerializationError: if it is far deeper than JSON may be.
    """
    depth = count = 0
    comma = bytes((0, level))
    for marks in _outside(body, _NOT_MEMBERS):
        steps = marks.translate(_LEVELS)
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
