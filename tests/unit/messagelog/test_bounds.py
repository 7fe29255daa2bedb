"""What every log refuses before it writes anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import limits
from bridge.errors import BadRequest, PayloadTooLarge
from bridge.messagelog import (
    Balanced,
    ByKey,
    HeaderValue,
    NewMessage,
    ToPartition,
    check_append,
    check_placement,
)


def with_header(key: str, value: HeaderValue) -> list[NewMessage]:
    return [NewMessage(payload=b"x", headers={key: value})]


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=20))
def test_the_size_of_an_append_is_its_payloads_and_the_overhead_of_each_message(
    payloads: list[bytes],
) -> None:
    expected = sum(map(len, payloads)) + len(payloads) * limits.APPEND_MESSAGE_OVERHEAD_BYTES
    assert check_append([NewMessage(payload=payload) for payload in payloads]) == expected


def test_headers_count_with_the_frame_that_iggy_puts_around_them() -> None:
    bare = check_append([NewMessage(payload=b"x")])
    assert check_append(with_header("key", b"12345")) == bare + 10 + 3 + 5
    assert check_append(with_header("ü", "ü")) == bare + 10 + 2 + 2
    assert check_append(with_header("n", 1)) == check_append(with_header("n", 1.5)) == bare + 10 + 1 + 8


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [NewMessage(payload=b"")],
        [NewMessage(payload=b"x"), NewMessage(payload=b"")],
        [NewMessage(payload=b"x", id=-1)],
        [NewMessage(payload=b"x", id=2**128)],
        with_header("", "v"),
        with_header("k" * 256, "v"),
        with_header("k", ""),
        with_header("k", b""),
        with_header("k", "v" * 256),
        with_header("k", b"v" * 256),
        with_header("k", "ü" * 128),
        with_header("k", 2**64),
        with_header("k", -(2**63) - 1),
        with_header("k", float("nan")),
        with_header("k", float("inf")),
        with_header("k", "\ud800"),
        with_header("\ud800", "v"),
    ],
)
def test_what_is_out_of_bounds_is_a_bad_request(messages: list[NewMessage]) -> None:
    with pytest.raises(BadRequest):
        check_append(messages)


def test_the_first_message_that_is_out_of_bounds_is_named() -> None:
    for count in (1, 9):
        good = [NewMessage(payload=b"x", id=1)] * count
        for bad, told in (
            (NewMessage(payload=b"", id=1), BadRequest),
            (NewMessage(payload=b"x", id=2**128), BadRequest),
            (NewMessage(payload=bytes(limits.MESSAGE_PAYLOAD_BYTES_MAX + 1), id=1), PayloadTooLarge),
            (NewMessage(payload=b"x", id=1, headers={"": "v"}), BadRequest),
        ):
            with pytest.raises(told, match=f"{count}" if not bad.headers else "header key"):
                check_append([*good, bad, *good])


@pytest.mark.parametrize(
    "messages",
    [
        [NewMessage(payload=b"x", id=2**128 - 1)],
        with_header("k" * 255, "v" * 255),
        with_header("k", b"\x00" * 255),
        with_header("k", 2**64 - 1),
        with_header("k", -(2**63)),
        with_header("k", True),
    ],
)
def test_what_lies_on_the_bound_is_let_through(messages: list[NewMessage]) -> None:
    assert check_append(messages) > 0


def test_a_detail_names_the_message_and_never_shows_what_was_sent() -> None:
    with pytest.raises(BadRequest) as caught:
        check_append([NewMessage(payload=b"x"), NewMessage(payload=b"x", headers={"s3cret" * 50: "v"})])
    assert "message 1" in caught.value.detail
    assert "s3cret" not in caught.value.detail
    assert caught.value.limit == limits.HEADER_KEY_BYTES_MAX


def test_the_headers_of_a_message_have_a_bound_together() -> None:
    entry_bytes = 10 + 4 + 255
    fitting = limits.HEADERS_BYTES_MAX // entry_bytes
    headers: dict[str, HeaderValue] = {f"{number:04}": "v" * 255 for number in range(fitting)}
    assert check_append([NewMessage(payload=b"x", headers=headers)]) > 0
    with pytest.raises(BadRequest) as caught:
        check_append([NewMessage(payload=b"x", headers=headers | {"last": "v" * 255})])
    assert caught.value.limit == limits.HEADERS_BYTES_MAX


def test_one_byte_over_the_largest_message_is_too_large() -> None:
    check_append([NewMessage(payload=bytes(limits.MESSAGE_PAYLOAD_BYTES_MAX))])
    with pytest.raises(PayloadTooLarge) as caught:
        check_append([NewMessage(payload=bytes(limits.MESSAGE_PAYLOAD_BYTES_MAX + 1))])
    assert caught.value.limit == limits.MESSAGE_PAYLOAD_BYTES_MAX


def test_one_byte_over_the_largest_append_is_too_large() -> None:
    half_bytes = limits.APPEND_BYTES_MAX // 2 - limits.APPEND_MESSAGE_OVERHEAD_BYTES
    half = NewMessage(payload=bytes(half_bytes))
    assert check_append([half, half]) == limits.APPEND_BYTES_MAX
    with pytest.raises(PayloadTooLarge) as caught:
        check_append([half, NewMessage(payload=bytes(half_bytes + 1))])
    assert caught.value.limit == limits.APPEND_BYTES_MAX


@pytest.mark.parametrize("key", [b"", b"k" * 256])
def test_a_key_outside_its_bounds_is_refused(key: bytes) -> None:
    with pytest.raises(BadRequest):
        check_placement(ByKey(key))


@pytest.mark.parametrize("placement", [ByKey(b"k"), ByKey(b"k" * 255), Balanced(), ToPartition(99_999)])
def test_other_placements_are_left_to_the_log(placement: ByKey | Balanced | ToPartition) -> None:
    check_placement(placement)
