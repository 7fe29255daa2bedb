"""Records and the chain that they make."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audit.chain import GENESIS, Broken, Chain, resumed, verify
from bridge.limits import AUDIT_LINE_BYTES_MAX

MEMBERS = st.dictionaries(
    st.text(max_size=8), st.none() | st.text(max_size=20) | st.integers(-(2**53), 2**53), max_size=4
)


def _lines(*members: dict[str, object]) -> list[bytes]:
    chain = Chain()
    return [chain.record(each) for each in members]


@given(st.lists(MEMBERS, min_size=1, max_size=6))
def test_what_was_written_is_whole_and_each_record_is_json(members: list[dict[str, object]]) -> None:
    lines = _lines(*members)
    verified = list(verify(lines))
    assert [each.seq for each in verified] == list(range(1, len(members) + 1))
    decoded = [orjson.loads(line) for line in lines]
    assert [each["hash"] for each in decoded] == [each.hash for each in verified]
    assert [each["prev"] for each in decoded] == [GENESIS, *(each.hash for each in verified[:-1])]


@given(st.data())
def test_no_byte_can_be_changed_unnoticed(data: st.DataObject) -> None:
    lines = _lines({"action": "one"}, {"action": "two"}, {"action": "three"})
    whole = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Broken):
        list(verify(bytes(whole).splitlines(keepends=True)))


@pytest.mark.parametrize("order", [(0, 2), (0, 1, 1, 2), (1, 0, 2), (0, 2, 1), (0, 1, 2, 0)])
def test_no_record_can_be_taken_out_put_in_or_moved(order: tuple[int, ...]) -> None:
    lines = _lines({"a": 1}, {"a": 2}, {"a": 3})
    with pytest.raises(Broken, match="line"):
        list(verify([lines[at] for at in order]))


def test_a_record_that_is_missing_is_named() -> None:
    lines = _lines({"a": 1}, {"a": 2}, {"a": 3})
    with pytest.raises(Broken, match="line 2: record 2 should stand here"):
        list(verify([lines[0], lines[2]]))


def test_a_record_of_another_chain_does_not_follow() -> None:
    lines, others = _lines({"a": 1}, {"a": 2}), _lines({"b": 1}, {"a": 2})
    with pytest.raises(Broken, match="record 2 does not follow"):
        list(verify([lines[0], others[1]]))


def test_the_first_record_of_all_follows_nothing() -> None:
    forged = Chain(0, "f" * 64).record({"a": 1})
    with pytest.raises(Broken, match="record 1 does not follow"):
        list(verify([forged]))


def test_files_of_before_may_be_gone() -> None:
    lines = _lines({"a": 1}, {"a": 2}, {"a": 3})
    assert [each.seq for each in verify(lines[1:])] == [2, 3]
    assert list(verify([])) == []


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"x" * (AUDIT_LINE_BYTES_MAX + 1), b'{"seq":1}\n'])
def test_what_is_no_record_breaks_the_chain(line: bytes) -> None:
    with pytest.raises(Broken, match="line 2: it is no whole record"):
        list(verify([*_lines({"a": 1}), line]))
    with pytest.raises(ValueError, match="no record"):
        resumed(line)


def test_a_chain_goes_on_where_it_was_left() -> None:
    lines = _lines({"a": 1}, {"a": 2})
    chain = resumed(lines[-1])
    assert [each.seq for each in verify([*lines, chain.record({"a": 3})])] == [1, 2, 3]
