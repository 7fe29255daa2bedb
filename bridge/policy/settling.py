"""Which requests settle messages of a group (pure): they are counted apart, so that receiving does not starve them."""

import re
from typing import Final

__all__ = ("SETTLING", "settles", "settling_key")

#: The name of the limit that they draw on.
SETTLING: Final = "settling"

_TARGET: Final = re.compile(r"/streams/[^/?]+/topics/[^/?]+/groups/[^/?]+/(?:ack|nack|extend)(?:\?.*)?")
_MARK: Final = "/groups/"


def settles(method: str, target: str) -> bool:
    """
    Whether a request is an ack, a nack or an extension.

    Args:
        target: as it stood in the request line; one that is spelled otherwise, with escapes, counts as any other.
    """
    return method == "POST" and _MARK in target and _TARGET.fullmatch(target) is not None


def settling_key(key: str) -> str:
    """Under which what an address settles is counted; *key* is that of its other requests."""
    return f"{SETTLING} {key}"
