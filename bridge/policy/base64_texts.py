"""Bytes as texts that may stand in a URL (pure): base64url without padding (RFC 4648, section 5)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error


def bytes_of(text: str) -> bytes | None:
    """The bytes that *text* spells; None where it spells none, also for what base64 would read as a second spelling."""
    try:
        spelled = text.encode("ascii")
        data = urlsafe_b64decode(spelled + b"=" * (-len(spelled) % 4))
    except (UnicodeEncodeError, Base64Error):
        return None
    return data if urlsafe_b64encode(data).rstrip(b"=") == spelled else None
