"""Payloads as they are stored, and as they come back."""

import os
from base64 import b64encode
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.encryption.keys import DataKeys, parse_keys
from bridge.encryption.payloads import ENCRYPTION, ENCRYPTION_ERROR, Opened, Payloads, Unopened
from bridge.errors import BadRequest
from bridge.limits import ENCRYPTION_OVERHEAD_BYTES
from bridge.messagelog import NewMessage, NewRecords, Records, TopicRef

TOPIC = TopicRef("stream", "topic")
OLD, NEW = f"old:{b64encode(b'o' * 32).decode()}", f"new:{b64encode(b'n' * 32).decode()}"


def _payloads(*keys: str) -> Payloads:
    return Payloads(DataKeys(parse_keys(",".join(keys)), os.urandom))


PAYLOADS = _payloads(OLD)

MESSAGES = st.lists(
    st.builds(
        NewMessage,
        st.binary(min_size=1, max_size=64),
        st.integers(1, 2**128 - 1),
        st.dictionaries(
            st.text("abc", min_size=1, max_size=4), st.text("xyz", min_size=1, max_size=8), max_size=2
        ),
    ),
    min_size=1,
    max_size=6,
)


def _stored(records: NewRecords) -> Records:
    """As a log gives it back."""
    count = len(records)
    return Records(range(count), [7] * count, records.ids, records.payloads, dict(records.headers))


def _opened(records: Records, payloads: Payloads = PAYLOADS, topic: TopicRef = TOPIC) -> Opened:
    return payloads.opened(topic, records)


@given(MESSAGES)
def test_what_was_encrypted_comes_back_as_it_was(messages: Sequence[NewMessage]) -> None:
    sent = NewRecords.of(messages)
    sealed = PAYLOADS.sealed(TOPIC, sent)
    assert all(
        len(stored) == len(payload) + ENCRYPTION_OVERHEAD_BYTES
        for stored, payload in zip(sealed.payloads, sent.payloads, strict=True)
    )
    assert all(headers[ENCRYPTION] == "A256GCM old" for headers in sealed.headers.values())
    assert not sealed.events
    back = _opened(_stored(sealed))
    assert back.records == _stored(sent)
    assert not back.unopened


def test_the_same_payload_twice_is_stored_as_two_that_show_nothing_of_it() -> None:
    payload = b"the same secret of somebody"
    sealed = PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(payload, 1), NewMessage(payload, 2)]))
    one, other = sealed.payloads
    assert one[16:] != other[16:]
    assert payload not in one + other


def test_a_page_of_messages_in_the_clear_passes_as_it_is() -> None:
    page = _stored(NewRecords.of([NewMessage(b"a", 1, {"k": "v"}), NewMessage(b"b", 2)]))
    assert _opened(page).records is page


def test_messages_in_the_clear_stay_beside_those_that_are_not() -> None:
    sealed = PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)]))
    page = Records(
        [0, 1],
        [7, 7],
        (9).to_bytes(16, "big") + sealed.ids,
        [b"clear", *sealed.payloads],
        {0: {"k": "v"}, 1: sealed.headers[0]},
    )
    back = _opened(page).records
    assert back.payloads == [b"clear", b"secret"]
    assert back.headers == {0: {"k": "v"}}


def test_a_message_whose_key_is_not_there_is_given_as_ciphertext_and_says_why() -> None:
    page = _stored(PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1, {"k": "v"})])))
    back = _opened(page, _payloads(NEW))
    assert back.unopened == {0: Unopened.UNKNOWN_KEY}
    assert back.records.payloads == page.payloads
    assert back.records.headers == {0: {"k": "v", ENCRYPTION: "A256GCM old", ENCRYPTION_ERROR: "unknown_key"}}


def test_a_rotated_key_still_opens_what_it_encrypted() -> None:
    page = _stored(PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)])))
    rotated = _payloads(NEW, OLD)
    assert _opened(page, rotated).records.payloads == [b"secret"]
    assert rotated.sealed(TOPIC, NewRecords.of([NewMessage(b"x", 1)])).headers[0][ENCRYPTION] == "A256GCM new"


def test_another_key_under_the_same_id_is_damage_and_no_fault_of_the_bridge() -> None:
    page = _stored(PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)])))
    other = _payloads(f"old:{b64encode(b'x' * 32).decode()}")
    assert _opened(page, other).unopened == {0: Unopened.DAMAGED}


@given(st.data())
def test_no_bit_of_a_stored_payload_can_be_changed_unnoticed(data: st.DataObject) -> None:
    sealed = PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)]))
    stored = bytearray(sealed.payloads[0])
    bit = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[bit // 8] ^= 1 << bit % 8
    page = Records([0], [7], sealed.ids, [bytes(stored)], sealed.headers)
    assert _opened(page).unopened == {0: Unopened.DAMAGED}


@given(st.integers(0, 50))
def test_a_payload_cut_short_is_damage(length: int) -> None:
    sealed = PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)]))
    page = Records([0], [7], sealed.ids, [sealed.payloads[0][: min(length, 49)]], sealed.headers)
    assert _opened(page).unopened == {0: Unopened.DAMAGED}


def test_a_payload_opens_neither_in_another_topic_nor_under_another_id() -> None:
    sealed = PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)]))
    assert _opened(_stored(sealed), topic=TopicRef("stream", "other")).unopened == {0: Unopened.DAMAGED}
    moved = Records([0], [7], (2).to_bytes(16, "big"), sealed.payloads, sealed.headers)
    assert _opened(moved).unopened == {0: Unopened.DAMAGED}


@pytest.mark.parametrize(
    "value", [b"A256GCM old", 7, True, "A128GCM old", "A256GCM ", "A256GCM " + "x" * 65, "old"]
)
def test_a_header_that_says_something_else_is_damage(value: str | bytes | int) -> None:
    sealed = PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"secret", 1)]))
    page = Records([0], [7], sealed.ids, sealed.payloads, {0: {ENCRYPTION: value}})
    assert _opened(page).unopened == {0: Unopened.DAMAGED}


@pytest.mark.parametrize("name", [ENCRYPTION, ENCRYPTION_ERROR])
def test_a_header_of_the_bridge_s_own_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="Message 1 has a header"):
        PAYLOADS.sealed(TOPIC, NewRecords.of([NewMessage(b"a", 1), NewMessage(b"b", 2, {name: "x"})]))
