"""What JSON must be before it is believed (pure): in text, in depth and in its numbers.

`msgspec` checks the grammar. It skips what it need not build without a look at three things, and these are looked at
here: whether strings are UTF-8, how deep it goes, and whether each number fits a double. All of it runs in C, since
a body of 10 MB in a loop of Python would hold up everybody else.
"""

import math
import re
from itertools import accumulate
from typing import Final

import msgspec
import orjson

from bridge.errors import SerializationError
from bridge.limits import JSON_DEPTH_MAX, JSON_FAST_BYTES_MAX, JSON_WIDE_NUMBERS_MAX

__all__ = ("check_json", "depth_of", "is_well_formed")

_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_NUMBER: Final = re.compile(rb"[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+")
# Strings, everything between, and numbers that are surely far from the end of a double: up to 200 digits with an
# exponent of two make 1e299, up to 8 with one of at most 299 make 1e307.
_HARMLESS: Final = re.compile(
    rb"""(?: [^"0-9]++
        | "[^"\\]*+(?:\\.[^"\\]*+)*+"
        | (?! [0-9]{201}
            | [0-9]{9}[0-9.]*+[eE]\+?[0-9]{3}
            | [0-9.]++[eE]\+?0*+(?:[3-9][0-9]{2}|[0-9]{4})
            ) [0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+
        )*+""",
    re.VERBOSE | re.DOTALL,
)


def check_json(body: bytes) -> None:
    """
    Let *body* pass if, as far as it is JSON at all, it is safe to parse, keep and hand out again.

    Raises:
        SerializationError: if it is empty, not UTF-8, deeper than `JSON_DEPTH_MAX`, or holds a number beyond a
            double, or is large and holds very many that come near to it. That it is well-formed is for the parser to find out.

    Source: RFC 8259 sections 6, 8.1 and 9; shared trust.md B49-B55.
    """
    if not body:
        raise SerializationError("The body is empty; JSON is expected.")
    if body.count(b"[") + body.count(b"{") > JSON_DEPTH_MAX and depth_of(body) > JSON_DEPTH_MAX:
        raise SerializationError(
            f"The JSON is nested deeper than {JSON_DEPTH_MAX} levels.", limit=JSON_DEPTH_MAX
        )
    if len(body) <= JSON_FAST_BYTES_MAX and _is_strict_json(body):
        return
    if body.startswith(_BYTE_ORDER_MARK):
        raise SerializationError("The JSON begins with a byte order mark, which JSON must not have.")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise SerializationError(f"The JSON is not UTF-8 at byte {error.start}.") from None
    _check_numbers(body)


def is_well_formed(body: bytes) -> bool:
    """Whether *body*, which `check_json` let pass, is one JSON value."""
    try:
        _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def depth_of(body: bytes) -> int:
    """
    How deep arrays and objects are nested, 0 for none; a bound from above where *body* is not well-formed.

    A bracket stands in a string exactly if the number of quotes before it is odd. That stays so when escaped
    characters, all that is neither quote nor bracket, and quotes side by side are taken out.
    """
    marks = (
        body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    )
    if b'"' in marks:
        marks = b"".join(marks.split(b'"')[::2])
    return max(accumulate(memoryview(marks.translate(_STEPS)).cast("b")), default=0)


def _is_strict_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _check_numbers(body: bytes) -> None:
    position = 0
    for _ in range(JSON_WIDE_NUMBERS_MAX):
        harmless = _HARMLESS.match(body, position)
        number = None if harmless is None else _NUMBER.match(body, harmless.end())
        if number is None:
            return
        if math.isinf(float(number.group())):
            raise SerializationError(
                f"The number at byte {number.start()} is beyond a double (about 1.8e308)."
            )
        position = number.end()
    raise SerializationError(
        f"A large body holds more than {JSON_WIDE_NUMBERS_MAX} numbers near the end of a double.",
        limit=JSON_WIDE_NUMBERS_MAX,
    )
