"""Whether a request carries the right API key (pure)."""

import hmac
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

__all__ = ("ApiKeyRule", "KeyVerdict")


class KeyVerdict(StrEnum):
    """What was found; the last two never tell the caller more than "401"."""

    #: No key is configured: everyone may.
    OPEN = "open"
    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"


class ApiKeyRule:
    """
    One key, kept as its digest only.

    Digests of equal length are compared in constant time, so neither length nor a common prefix of the key shows
    in the time an answer takes.

    Args:
        key: the configured key; None where the bridge is open.
    """

    __slots__ = ("_digest",)

    def __init__(self, key: str | None) -> None:
        self._digest = None if key is None else _digest(key)

    def verdict(self, header: Sequence[str], query: Sequence[str] = ()) -> KeyVerdict:
        """
        What the key of a request is worth.

        Args:
            header: every `X-API-Key` line. Two of them are refused: a proxy in front may have checked the other one.
            query: every `api_key` of the query; looked at only where there is no header.
        """
        if self._digest is None:
            return KeyVerdict.OPEN
        offered = header or query
        if not any(offered):
            return KeyVerdict.MISSING
        if len(offered) == 1 and hmac.compare_digest(_digest(offered[0]), self._digest):
            return KeyVerdict.RIGHT
        return KeyVerdict.WRONG


def _digest(key: str) -> bytes:
    # Header bytes that are no UTF-8 arrive as lone surrogates; they are wrong, not an error.
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
