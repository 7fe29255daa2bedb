"""What a log line may show of a value (pure): short, on one line, without secrets."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from bridge.limits import LOG_FIELD_CHARS_MAX, LOG_TEXTS_REMEMBERED_MAX, LOG_TRACEBACK_CHARS_MAX

HIDDEN = "***"

# Control characters move a terminal's cursor or forge lines; bidirectional ones reorder what is read; lone
# surrogates have no UTF-8.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_TRACEBACK = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SECRET_NAME = re.compile(
    r"api_?key|passw|secret|token|authorization|cookie|connection_?string|credential", re.IGNORECASE
)
# A list in a line is for people; beyond this many entries nobody reads it.
_ITEMS_MAX = 50
# Credentials inside a text: the user part of a URL, and the key that the original's clients put into a query.
_URL_CREDENTIALS = re.compile(r"://[^/@\s]*@")
# A key in whole or in part, wherever it stands; its id tells which, and is no secret.
_KEY = re.compile(r"(brk_[a-z0-9]{8}_)[A-Za-z0-9_]+")
_QUERY_KEY = re.compile(r"(?i:(api_key=))[^&\s\"']*")


@lru_cache(LOG_TEXTS_REMEMBERED_MAX)
def is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "backslashreplace").decode("ascii")


def _without_credentials(text: str) -> str:
    if "://" in text:
        text = _URL_CREDENTIALS.sub(f"://{HIDDEN}@", text)
    if "brk_" in text:
        text = _KEY.sub(rf"\1{HIDDEN}", text)
    if "=" in text:
        text = _QUERY_KEY.sub(rf"\1{HIDDEN}", text)
    return text


def clean_text(text: str) -> str:
    """The text on one line, credentials hidden, cut after `LOG_FIELD_CHARS_MAX` characters with a mark of the cut."""
    if len(text) > LOG_FIELD_CHARS_MAX:
        # What is cut off anyway need not be searched; the margin keeps a credential at the cut recognisable.
        text = text[: 4 * LOG_FIELD_CHARS_MAX]
    # What each of them has in it; an id has none, and is spared three searches.
    if "=" in text or "_" in text or "/" in text:
        text = _without_credentials(text)
    if len(text) > LOG_FIELD_CHARS_MAX:
        text = text[:LOG_FIELD_CHARS_MAX] + "…"
    return text if text.isprintable() else _UNSAFE.sub(_escaped, text)


def are_clean(texts: Sequence[str]) -> bool:
    """Whether `clean_text` leaves each of *texts*, at least one, as it is; False says nothing."""
    joined = "".join(texts)
    return (
        joined.isprintable()
        and not ("=" in joined or "_" in joined or "/" in joined)
        and len(max(texts, key=len)) <= LOG_FIELD_CHARS_MAX
    )


def clean_traceback(text: str) -> str:
    """A traceback with its line breaks, credentials hidden, its middle left out beyond `LOG_TRACEBACK_CHARS_MAX`."""
    text = _without_credentials(text)
    if len(text) > LOG_TRACEBACK_CHARS_MAX:
        half = LOG_TRACEBACK_CHARS_MAX // 2
        text = f"{text[:half]}\n  …\n{text[-half:]}"
    return _UNSAFE_IN_TRACEBACK.sub(_escaped, text)


def clean_field(name: str, value: Any) -> Any:
    """The value as a line may show it: numbers and booleans as they are, all else as text."""
    kind = type(value)
    if is_secret_name(name):
        return HIDDEN if value is not None else None
    if kind is str:
        return clean_text(value)
    if kind is int or kind is float or kind is bool or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [clean_text(str(each)) for each in value[:_ITEMS_MAX]]
    return clean_text(str(value))
