"""What a decoder's complaint becomes in an answer (pure): what is wrong and where, never what was sent."""

import re
from typing import Final

import msgspec

from bridge.errors import SerializationError
from bridge.limits import FAULT_NAME_CHARS_MAX

__all__ = ("fault_of",)

_WITH_PATH: Final = re.compile(r"(?P<what>.*) - at `(?P<path>\$[A-Za-z0-9_.\[\]]*)`", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_SHOWABLE: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{FAULT_NAME_CHARS_MAX}}}")
# These show the value that was sent.
_ECHOES: Final = ("Invalid value ", "Invalid enum value ")
_NOT_SAID: Final = "The value is not one of those allowed"
_MALFORMED: Final = "JSON is malformed: "


def fault_of(error: Exception, *, at: str = "$") -> SerializationError:
    """
    The error for the caller.

    Args:
        error: what `msgspec` raised while decoding: `DecodeError`, `ValidationError`, `UnicodeDecodeError` or
            `RecursionError`.
        at: JSON path of the part that was decoded.
    """
    if isinstance(error, msgspec.ValidationError):
        return _misshapen(str(error), at)
    if isinstance(error, RecursionError):
        return SerializationError("The JSON is nested too deep.")
    if isinstance(error, UnicodeDecodeError):
        return SerializationError("A string of the JSON is not UTF-8.", path=at)
    text = str(error)
    if text.startswith(_MALFORMED):
        return SerializationError(f"The body is not well-formed JSON: {text.removeprefix(_MALFORMED)}.")
    return SerializationError("The body is not well-formed JSON: it ends too early.")


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
