"""Keys as they are written, and the data keys made from them."""

import os
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.encryption.keys import DataKeys, MasterKeys, parse_keys
from bridge.limits import DATA_KEYS_MAX, ENCRYPTION_KEY_ID_CHARS_MAX, ENCRYPTION_KEYS_MAX
from bridge.messagelog import TopicRef

TOPIC = TopicRef("stream", "topic")


def _entry(key_id: str, byte: int) -> str:
    return f"{key_id}:{b64encode(bytes([byte]) * 32).decode()}"


@pytest.mark.parametrize("between", [",", ", ", "\n", " \n\t", ",\n"])
def test_keys_are_apart_by_commas_or_white_space_and_the_first_is_active(between: str) -> None:
    ring = parse_keys(between.join((_entry("2026-11", 1), _entry("2026-10", 2))) + "\n")
    assert ring == MasterKeys("2026-11", {"2026-11": b"\1" * 32, "2026-10": b"\2" * 32})


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "no-colon",
        ":" + b64encode(bytes(32)).decode(),
        "a b:" + b64encode(bytes(32)).decode(),
        "short:" + b64encode(bytes(31)).decode(),
        "long:" + b64encode(bytes(33)).decode(),
        "url:" + "_" * 43 + "=",
        "x" * (ENCRYPTION_KEY_ID_CHARS_MAX + 1) + ":" + b64encode(bytes(32)).decode(),
        _entry("same", 1) + "," + _entry("same", 2),
        ",".join(_entry(f"k{number}", 1) for number in range(ENCRYPTION_KEYS_MAX + 1)),
    ],
)
def test_what_is_no_list_of_keys_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"entry|must list") as caught:
        parse_keys(text)
    assert not any(part in str(caught.value) for part in text.replace(",", " ").split() if len(part) > 8)


def test_the_entry_at_fault_is_named_by_its_place() -> None:
    with pytest.raises(ValueError, match="entry 1 "):
        parse_keys("no-colon " + _entry("a", 1))
    with pytest.raises(ValueError, match="entry 2 "):
        parse_keys(_entry("a", 1) + "," + _entry("a", 2))


@given(st.text(max_size=80))
def test_no_text_does_more_than_parse_or_be_refused(text: str) -> None:
    try:
        ring = parse_keys(text)
    except ValueError:
        return
    assert all(len(key) == 32 for key in ring.keys.values())


def test_a_topic_keeps_its_data_key_and_shares_it_with_none() -> None:
    keys = DataKeys(parse_keys(_entry("a", 1)), os.urandom)
    one, other = keys.to_write(TOPIC), keys.to_write(TopicRef("stream", "other"))
    assert keys.to_write(TOPIC) is one
    assert one.salt != other.salt
    nonce = one.next_nonce()
    again = keys.to_read(TOPIC, "a", one.salt)
    assert again is not None
    assert again.cipher.decrypt(nonce, one.cipher.encrypt(nonce, b"x", None), None) == b"x"
    stranger = keys.to_read(TopicRef("stream", "other"), "a", one.salt)
    assert stranger is not None
    assert stranger.cipher.encrypt(nonce, b"x", None) != one.cipher.encrypt(nonce, b"x", None)


def test_no_nonce_comes_twice() -> None:
    key = DataKeys(parse_keys(_entry("a", 1)), os.urandom).to_write(TOPIC)
    assert len({key.next_nonce() for _ in range(10_000)}) == 10_000


def test_each_process_has_a_salt_of_its_own() -> None:
    ring = parse_keys(_entry("a", 1))
    assert DataKeys(ring, os.urandom).to_write(TOPIC).salt != DataKeys(ring, os.urandom).to_write(TOPIC).salt


def test_an_unknown_key_reads_nothing_until_it_is_there() -> None:
    keys = DataKeys(parse_keys(_entry("new", 1)), os.urandom)
    assert keys.to_read(TOPIC, "old", b"s" * 16) is None
    keys.use(parse_keys(_entry("newer", 3) + "," + _entry("old", 2)))
    assert keys.to_read(TOPIC, "old", b"s" * 16) is not None
    assert keys.to_read(TOPIC, "new", b"s" * 16) is None
    assert keys.to_write(TOPIC).key_id == "newer"


def test_a_hundred_times_as_many_topics_hold_no_more_data_keys() -> None:
    keys = DataKeys(parse_keys(_entry("a", 1)), bytes)
    first = keys.to_write(TOPIC)
    for number in range(3 * DATA_KEYS_MAX):
        keys.to_write(TopicRef("stream", f"t{number}"))
        keys.to_read(TOPIC, "a", number.to_bytes(16, "big"))
    assert keys.to_write.cache_info().currsize == DATA_KEYS_MAX
    assert keys.to_read.cache_info().currsize == DATA_KEYS_MAX
    assert keys.to_write(TOPIC) is not first
