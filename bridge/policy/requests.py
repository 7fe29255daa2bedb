"""What the head of a request says of it (pure): its id, its target, its time; and what is said of it once, not each time."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from bridge.errors import BadRequest, MisdirectedRequest
from bridge.limits import REQUEST_ID_CHARS_MAX, REQUEST_TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS_MIN

# RFC 9562: the two top bits of the variant nibble are 10.
_VARIANT: Final = "89ab" * 4
_ID_BYTES: Final = 16
# Made in one go: one look at the source, and hot code, 0.6 us an id where one at a time takes 3.
_MADE_AT_ONCE: Final = 64


def is_request_id(text: str) -> bool:
    """Whether *text* is 1..128 visible ASCII characters (0x21..0x7E): safe in a header, a log line and a shell."""
    return 0 < len(text) <= REQUEST_ID_CHARS_MAX and text.isascii() and text.isprintable() and " " not in text


class RequestIds:
    """The caller's id where it is acceptable, else a UUIDv4 of *random_bytes*, which gives so many."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._made: list[str] = []

    def id_of(self, offered: str | None) -> str:
        """The id of a request that brought *offered* along."""
        if offered is not None and is_request_id(offered):
            return offered
        if not self._made:
            digits = self._random_bytes(_ID_BYTES * _MADE_AT_ONCE).hex()
            self._made = [_uuid4(digits[at : at + 32]) for at in range(0, len(digits), 32)]
        return self._made.pop()


def _uuid4(digits: str) -> str:
    variant = _VARIANT[int(digits[16], 16)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


# What no name may hold, and what a proxy in front or a log behind may read differently than we do.
_FORBIDDEN: Final = re.compile(r"%(?:[01][0-9a-f]|2f|5c|7f)", re.IGNORECASE)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check_target(target: str, host: str) -> None:
    """Refuse targets that different readers read differently.

    Raises:
        MisdirectedRequest: if it is in absolute form and names another host than *host*.
        BadRequest: if the path holds an encoded control character, slash or backslash, a broken escape, or a dot
            segment, plain or encoded.
    """
    if target[:1] != "/" and target != "*":
        scheme, mark, rest = target.partition("://")
        authority, slash, path = rest.partition("/")
        if not mark or scheme.lower() not in {"http", "https"} or authority.lower() != host.lower():
            raise MisdirectedRequest(path="Host")
        target = slash + path
    path = target.partition("?")[0]
    if "%" in path:
        if _FORBIDDEN.search(path) or _BROKEN_ESCAPE.search(path):
            raise BadRequest("The path holds an encoded character that no name may hold.", path="path")
        path = unquote(path)
        if "�" in path:
            raise BadRequest("The path is not UTF-8.", path="path")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise BadRequest("The path holds a dot segment.", path="path")


_DIGITS_MAX: Final = len(str(REQUEST_TIMEOUT_MS_MAX))


def effective_timeout_ms(asked: str | None, configured_ms: int) -> int:
    """The shorter of the configured time and the one asked for with `X-Request-Timeout`, in milliseconds.

    Anything but a plain decimal number of 100..300000 is ignored: a caller who cannot spell it is served as if he
    had not asked.
    """
    if asked is None or len(asked) > _DIGITS_MAX or not (asked.isascii() and asked.isdigit()):
        return configured_ms
    asked_ms = int(asked)
    if not REQUEST_TIMEOUT_MS_MIN <= asked_ms <= REQUEST_TIMEOUT_MS_MAX:
        return configured_ms
    return min(asked_ms, configured_ms)


class Reminders:
    """Says of each of a few keys, once in a while, that it may be told again.

    Args:
        interval_s: how long a key that was told keeps still.
        keys_max: keys told within that time; further ones keep still, so that a log is bounded whoever writes keys.
    """

    def __init__(self, *, interval_s: float, keys_max: int) -> None:
        self._interval_s = interval_s
        self._keys_max = keys_max
        # By when they were told, the oldest first.
        self._again_s: dict[str, float] = {}

    def is_due(self, key: str, now_s: float) -> bool:
        """Whether *key* may be told now; if so, it counts as told."""
        again_s = self._again_s.get(key)
        if again_s is not None:
            if now_s < again_s:
                return False
            del self._again_s[key]
        elif len(self._again_s) >= self._keys_max:
            oldest = next(iter(self._again_s))
            if now_s < self._again_s[oldest]:
                return False
            del self._again_s[oldest]
        self._again_s[key] = now_s + self._interval_s
        return True
