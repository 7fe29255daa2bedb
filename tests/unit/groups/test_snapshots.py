import pytest

from bridge import limits
from bridge.groups.ledger import GroupState, LedgerState, MemberState, piece_of, restored, snapshot
from bridge.groups.partition import GroupPartitionState, HeldState
from bridge.groups.records import GroupRef, OffsetRange

REF = GroupRef("stream", "topic", "group")
PARTITION = GroupPartitionState(
    3,
    2**62,
    (OffsetRange(1, 2), OffsetRange(5, 2**61)),
    (HeldState(0, 2**63 - 1, 2**60, 2), HeldState(3, 0, 5, 1)),
)
STATE = LedgerState(
    9, 10, (MemberState(1, 20, (REF,)),), (GroupState(REF, 7, ((0, PARTITION), (4, PARTITION))),)
)
EMPTY = LedgerState(0, 0, (), ())


@pytest.mark.parametrize("state", [STATE, EMPTY])
@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000_000])
def test_a_state_comes_back_from_its_pieces(
    state: LedgerState, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_SNAPSHOT_PIECE_BYTES", piece_bytes)
    pieces = snapshot(state, 77)
    assert restored(pieces, 77) == state
    for number, payload in enumerate(pieces):
        piece = piece_of(payload)
        assert piece is not None
        assert (piece.made_us, piece.number, piece.total) == (77, number, len(pieces))


def test_pieces_that_are_not_all_of_one_snapshot_of_that_ledger_give_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "GROUP_SNAPSHOT_PIECE_BYTES", 20)
    pieces = snapshot(STATE, 77)
    assert restored((), 77) is None
    assert restored(pieces, 78) is None
    assert restored(pieces[:-1], 77) is None
    assert restored(pieces[1:], 77) is None
    assert restored((*pieces[:-1], b"a stranger"), 77) is None
    assert restored((pieces[1], pieces[0], *pieces[2:]), 77) is None


@pytest.mark.parametrize(
    "payload",
    [b"", b"BGS1", b"BGS2" + b"\0" * 20, b"BGS1" + b"\0" * 16, b"BGS1" + b"\0" * 11 + b"\1" + b"\0" * 8],
)
def test_what_is_no_piece_gives_nothing(payload: bytes) -> None:
    assert piece_of(payload) is None
    assert restored([payload], 0) is None


def test_a_body_that_is_no_state_gives_nothing() -> None:
    (payload,) = snapshot(STATE, 77)
    assert restored([payload[:-1]], 77) is None
    assert restored([payload + b"\0"], 77) is None
