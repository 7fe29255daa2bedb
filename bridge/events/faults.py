"""What a decoder's complaint becomes in an answer (pure): what is wrong and where, never what was sent."""

import re
from typing import Final

import msgspec

from bridge.errors import SerializationError
from bridge.limits import FAULT_NAME_CHARS_MAX, FAULT_PATH_BYTES, FAULT_PATH_STEPS_MAX, JSON_FAST_BYTES_MAX

_WITH_PATH: Final = re.compile(r"(?P<what>.*) - at `(?P<path>\$[A-Za-z0-9_.\[\]]*)`", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_SHOWABLE: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{FAULT_NAME_CHARS_MAX}}}")
# These show the value that was sent.
_ECHOES: Final = ("Invalid value ", "Invalid enum value ")
_NOT_SAID: Final = "The value is not one of those allowed"
_MALFORMED: Final = "JSON is malformed: "
# What `msgspec` says of half a pair depends on what stands behind it; the first is said of a cut body too.
_OF_SURROGATES: Final = (
    "Input data was truncated",
    "JSON is malformed: unexpected end of hex escape",
    "JSON is malformed: invalid utf-16 surrogate pair",
)

# Half a surrogate pair: well-formed by the grammar, and no text.
_PAIR: Final = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
# Everything before it: other text, other escapes, whole pairs.
_WHOLE: Final = re.compile(rb"(?:[^\\]++|\\(?:%b|(?!%b).))*+" % (_PAIR, _HALF), re.DOTALL)
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)
_SHOWABLE_KEY: Final = re.compile(rb'"([A-Za-z0-9_.-]{1,%d})"' % FAULT_NAME_CHARS_MAX)


def fault_of(error: Exception, *, at: str = "$", written: bytes = b"") -> SerializationError:
    """The error for the caller.

    Args:
        error: what `msgspec` raised while decoding: `DecodeError`, `ValidationError`, `UnicodeDecodeError` or
            `RecursionError`.
        at: JSON path of the part that was decoded.
        written: that part; where the error does not say what is wrong with it, this does.
    """
    if isinstance(error, msgspec.ValidationError):
        return _misshapen(str(error), at)
    if isinstance(error, RecursionError):
        return SerializationError("The JSON is nested too deep.")
    if isinstance(error, UnicodeDecodeError):
        return SerializationError("A string of the JSON is not UTF-8.", path=at)
    return _malformed(str(error), at, written)


def _malformed(text: str, at: str, written: bytes) -> SerializationError:
    if text.startswith(_OF_SURROGATES) and (half := _half_surrogate(written, at)) is not None:
        return half
    if text.startswith(_MALFORMED):
        return SerializationError(f"The body is not well-formed JSON: {text.removeprefix(_MALFORMED)}.")
    if len(written) > JSON_FAST_BYTES_MAX:
        return SerializationError(
            "The body is not well-formed JSON: it ends too early, or a string holds half of a surrogate pair."
        )
    return SerializationError("The body is not well-formed JSON: it ends too early.")


def _half_surrogate(written: bytes, at: str) -> SerializationError | None:
    # A large body is not looked through for the sake of a better word.
    index = first_half_surrogate(written) if len(written) <= JSON_FAST_BYTES_MAX else None
    if index is None:
        return None
    return SerializationError(
        f"A string of the JSON holds half of a surrogate pair, at byte {index}: that is no character.",
        path=at + path_at(written, index).removeprefix("$"),
    )


def _misshapen(text: str, at: str) -> SerializationError:
    path = at
    if (placed := _WITH_PATH.fullmatch(text)) is not None:
        text = placed["what"]
        path = at + placed["path"].removeprefix("$")
    if text.startswith(_ECHOES):
        text = _NOT_SAID
    elif (unknown := _UNKNOWN_FIELD.fullmatch(text)) is not None:
        name = unknown["name"]
        if _SHOWABLE.fullmatch(name):
            text, path = f"There is no field '{name}' here", f"{path}.{name}"
        else:
            text = "There is a field here that this route does not know"
    return SerializationError(f"{text}.", path=path)


def first_half_surrogate(written: bytes) -> int | None:
    """Where the first escape of one half without the other begins, in bytes; None if there is none."""
    if b"\\u" not in written:
        return None
    found = _WHOLE.match(written)
    end = 0 if found is None else found.end()
    # A backslash at the very end is none.
    return end if end < len(written) - 1 else None


def path_at(written: bytes, index: int) -> str:
    """The JSON path of the value, or of the object of the key, that byte *index* stands in.

    Only names that are harmless are shown, others as `[...]`; where it is far in or deep down, the path of what is around.

    Args:
        written: JSON, well-formed up to *index*.
    """
    if index > FAULT_PATH_BYTES:
        return "$"
    # The number of an element, the spelling of a key, or None where a key follows.
    steps: list[int | bytes | None] = []
    for token in _TOKEN.finditer(written, 0, index):
        mark = token.group()
        if mark == b"[":
            steps.append(0)
        elif mark == b"{":
            steps.append(None)
        elif not steps:
            break
        elif mark in b"]}":
            steps.pop()
        elif mark == b",":
            step = steps[-1]
            steps[-1] = step + 1 if isinstance(step, int) else None
        elif steps[-1] is None and token.end() < index:
            steps[-1] = mark
    return "$" + "".join(map(_shown, steps[:FAULT_PATH_STEPS_MAX]))


def _shown(step: int | bytes | None) -> str:
    if step is None:
        return ""
    if isinstance(step, int):
        return f"[{step}]"
    name = _SHOWABLE_KEY.fullmatch(step)
    return "[...]" if name is None else f".{name[1].decode()}"
