"""Which request id a request gets (pure)."""

from collections.abc import Callable
from typing import Final

from bridge.limits import REQUEST_ID_CHARS_MAX

__all__ = ("is_request_id", "request_id")

# RFC 9562: the two top bits of the variant nibble are 10.
_VARIANT: Final = "89ab" * 4


def is_request_id(text: str) -> bool:
    """Whether *text* is 1..128 visible ASCII characters (0x21..0x7E): safe in a header, a log line and a shell."""
    return 0 < len(text) <= REQUEST_ID_CHARS_MAX and text.isascii() and text.isprintable() and " " not in text


def request_id(offered: str | None, random_bytes: Callable[[int], bytes]) -> str:
    """
    The caller's id where it is acceptable, else a UUIDv4.

    Args:
        random_bytes: gives that many random bytes; asked for 16.
    """
    if offered is not None and is_request_id(offered):
        return offered
    digits = random_bytes(16).hex()
    variant = _VARIANT[int(digits[16], 16)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
