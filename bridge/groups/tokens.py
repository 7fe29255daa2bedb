"""The name of one message in one lease, as its consumer hands it back (pure).

A token is signed: its tag is keyed BLAKE2b (RFC 7693) over the group and the token, under a key that all bridges of one log
share and nobody else knows. So whoever learned of a lease, but was not given it, can acknowledge none of its messages.
"""

import hmac
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from bridge.errors import BadRequest
from bridge.groups.records import GroupRef

#: As strong as the tag is long, twice over; BLAKE2b takes up to 64.
TOKEN_KEY_BYTES: Final = 32

# Version, partition, offset, lease. The first version had a checksum that anybody could compute.
_FORM: Final = Struct(">BIQQ")
_VERSION: Final = 2
_TAG_BYTES: Final = 16
_PERSON: Final = b"bridge token"


class Token(NamedTuple):
    partition_id: int
    offset: int
    lease_id: int


class Tokens:
    """The tokens of one group.

    Args:
        key: `TOKEN_KEY_BYTES`; whoever has the same reads the same.
    """

    def __init__(self, ref: GroupRef, key: bytes) -> None:
        names = "\0".join(ref).encode("utf-8", "surrogatepass")
        self._tag = blake2b(names, digest_size=_TAG_BYTES, key=key, person=_PERSON)

    def text(self, token: Token) -> str:
        """74 hexadecimal digits."""
        form = _FORM.pack(_VERSION, *token)
        return (form + self._signature(form)).hex()

    def read(self, text: str, *, path: str) -> Token:
        """What *text* names.

        Args:
            path: where it stood in the request, for the fault.

        Raises:
            BadRequest: if it is no token, or one of another group, topic, log or version.
        """
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        if raw.hex() != text:
            # Capitals and spaces would make a second name of the same message.
            raw = b""
        form = raw[: _FORM.size]
        if not hmac.compare_digest(raw[_FORM.size :], self._signature(form)):
            raise BadRequest("This is no token of a message of this group.", path=path)
        version, partition_id, offset, lease_id = _FORM.unpack(form)
        if version != _VERSION:
            raise BadRequest("This token is of another version of the bridge.", path=path)
        return Token(partition_id, offset, lease_id)

    def _signature(self, form: bytes) -> bytes:
        tag = self._tag.copy()
        # The names end with a byte that none of them holds, so that no group's tokens are another's.
        tag.update(b"\0" + form)
        return tag.digest()
