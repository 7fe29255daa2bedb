"""
The ledger's state as a run of messages, so that a starting process need not fold the whole ledger (pure).

Each piece begins with its format, the ledger it belongs to (the moment at which that topic was made), and its place
among all; they are stored by one append, so they stand side by side.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

import msgspec

from bridge import limits
from bridge.groups.ledger import LedgerState

__all__ = ("Piece", "piece_of", "restored", "snapshot")

_FORMAT: Final = b"BGS1"
_HEAD: Final = Struct(">4sQII")
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(LedgerState)


class Piece(NamedTuple):
    """Piece *number* (from 0) of *total* of a snapshot of the ledger made at *made_us*."""

    made_us: int
    number: int
    total: int
    body: bytes


def snapshot(state: LedgerState, made_us: int) -> tuple[bytes, ...]:
    """The payloads that hold *state* of the ledger made at *made_us*, 1 or more."""
    body = _encoder.encode(state)
    size = limits.GROUP_SNAPSHOT_PIECE_BYTES
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return tuple(
        _HEAD.pack(_FORMAT, made_us, index, len(pieces)) + piece for index, piece in enumerate(pieces)
    )


def piece_of(payload: bytes) -> Piece | None:
    """The piece that a message holds, None where it holds none."""
    if len(payload) < _HEAD.size:
        return None
    form, made_us, number, total = _HEAD.unpack_from(payload)
    if form != _FORMAT or number >= total:
        return None
    return Piece(made_us, number, total, payload[_HEAD.size :])


def restored(payloads: Sequence[bytes], made_us: int) -> LedgerState | None:
    """The state that *payloads* hold, None where they are not all pieces of one snapshot of that ledger."""
    pieces = [piece_of(payload) for payload in payloads]
    if not pieces or any(
        piece is None or (piece.made_us, piece.number, piece.total) != (made_us, index, len(pieces))
        for index, piece in enumerate(pieces)
    ):
        return None
    try:
        return _decoder.decode(b"".join(piece.body for piece in pieces if piece is not None))
    except msgspec.DecodeError:
        return None
