"""
The name of one message in one lease, as its consumer hands it back (pure).

A token is not signed: the lease's id in it is random, known only to the consumer it was given to and to those who may read
the ledger. Its checksum, over the group as well, tells a mangled or foreign one from one that came too late.
"""

from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from bridge.errors import BadRequest
from bridge.groups.records import Scope
from bridge.limits import OFFSET_MAX

__all__ = ("Token", "Tokens")

# Version, partition, offset, lease.
_FORM: Final = Struct(">BIQQ")
_VERSION: Final = 1
_CHECK_BYTES: Final = 6
_LEASE_ID_MAX: Final = 2**63 - 1


class Token(NamedTuple):
    partition_id: int
    offset: int
    lease_id: int


class Tokens:
    """The tokens of one group."""

    __slots__ = ("_check",)

    def __init__(self, scope: Scope) -> None:
        self._check = blake2b("\0".join(scope).encode("utf-8", "surrogatepass"), digest_size=_CHECK_BYTES)

    def text(self, token: Token) -> str:
        """54 hexadecimal digits."""
        form = _FORM.pack(_VERSION, *token)
        check = self._check.copy()
        check.update(form)
        return (form + check.digest()).hex()

    def read(self, text: str, *, path: str) -> Token:
        """
        What *text* names.

        Args:
            path: where it stood in the request, for the fault.

        Raises:
            BadRequest: if it is no token, or one of another group, topic or version.
        """
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        check = self._check.copy()
        check.update(raw[: _FORM.size])
        if len(raw) != _FORM.size + _CHECK_BYTES or raw[_FORM.size :] != check.digest():
            raise BadRequest("This is no token of a message of this group.", path=path)
        version, partition_id, offset, lease_id = _FORM.unpack_from(raw)
        if version != _VERSION:
            raise BadRequest("This token is of another version of the bridge.", path=path)
        # Anybody can compute a checksum; what no record can hold must not be asked of the ledger.
        if offset >= OFFSET_MAX or not 1 <= lease_id <= _LEASE_ID_MAX:
            raise BadRequest("This is no token of a message of this group.", path=path)
        return Token(partition_id, offset, lease_id)
