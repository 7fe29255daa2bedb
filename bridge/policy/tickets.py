"""Tickets (pure): what a page that cannot set headers puts into the URL of its stream or socket, once and soon.

Browsers' `EventSource` and `WebSocket` send no header of the page's own, and a key in a URL stands in the log of every proxy (RFC
9700 section 2.5 forbids it for tokens). A ticket says the same for half a minute and for one connection.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import msgspec

from bridge.errors import BadRequest
from bridge.limits import TICKET_CHARS_MAX, TICKET_LIFETIME_S
from bridge.policy.access import Principal, parse_permissions
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.base64_texts import bytes_of
from bridge.policy.key_ring import KeyRing

_TAG_BYTES: Final = 16
_ID_BYTES: Final = 12
_PERSON: Final = b"bridge tickets"


class _Ticket(msgspec.Struct, array_like=True):
    """What is signed: of a key of the file its id alone, so that what it may is looked up again."""

    id: bytes
    ends_s: float
    key_id: str | None
    name: str
    permissions: tuple[str, ...]
    unrestricted: bool
    expires_at_s: float | None


class Tickets:
    """Makes and takes tickets.

    Args:
        key: whoever has the same takes each other's.
        ring: of the keys that some callers have; None where there is no file of keys.
        spend: told the id of a ticket, whether it is used for the first time.
        random_bytes: gives so many of them.
    """

    def __init__(
        self,
        key: bytes,
        ring: KeyRing | None,
        spend: Callable[[str], bool],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._key = blake2b(key, digest_size=32, person=_PERSON).digest()
        self._ring = ring
        self._spend = spend
        self._random_bytes = random_bytes

    def issue(self, principal: Principal, now_s: float) -> str:
        """A ticket of *principal*, good for `TICKET_LIFETIME_S`.

        Raises:
            BadRequest: if what they may does not fit into one.
        """
        of_key = principal.key_id is not None
        ticket = _Ticket(
            self._random_bytes(_ID_BYTES),
            now_s + TICKET_LIFETIME_S,
            principal.key_id,
            principal.name,
            () if of_key else tuple(each.text for each in principal.permissions),
            principal.unrestricted,
            principal.expires_at_s,
        )
        body = msgspec.msgpack.encode(ticket)
        text = urlsafe_b64encode(self._tag(body) + body).rstrip(b"=").decode()
        if len(text) > TICKET_CHARS_MAX:
            raise BadRequest("A ticket has no room for so many permissions.", limit=TICKET_CHARS_MAX)
        return text

    def redeem(self, text: str, client: str, now_s: float) -> Principal | KeyVerdict:
        """Whose ticket *text* is, the first time; *client* is the address that it comes from.

        What it was made of holds still: a key that was revoked meanwhile is, and so is what it is worth.
        """
        ticket = self._read(text)
        if ticket is None:
            return KeyVerdict.WRONG
        if ticket.ends_s <= now_s or not self._spend(ticket.id.hex()):
            return KeyVerdict.EXPIRED
        if ticket.key_id is not None:
            return (
                KeyVerdict.REVOKED
                if self._ring is None
                else self._ring.judge_id(ticket.key_id, client, now_s)
            )
        return Principal(
            name=ticket.name,
            permissions=parse_permissions(ticket.permissions),
            unrestricted=ticket.unrestricted,
            expires_at_s=ticket.expires_at_s,
        )

    def _read(self, text: str) -> _Ticket | None:
        if len(text) > TICKET_CHARS_MAX:
            return None
        data = bytes_of(text)
        if data is None:
            return None
        tag, body = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)):
            return None
        return msgspec.msgpack.decode(body, type=_Ticket)

    def _tag(self, body: bytes) -> bytes:
        return blake2b(body, digest_size=_TAG_BYTES, key=self._key, person=_PERSON).digest()
