"""Which request id a request gets."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.requests import RequestIds, is_request_id

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)


def no_randomness(count: int) -> bytes:
    raise AssertionError(f"asked for {count} random bytes")


@given(VISIBLE)
def test_one_to_128_visible_ascii_characters_are_kept(offered: str) -> None:
    assert RequestIds(no_randomness).id_of(offered) == offered


@given(st.text().filter(lambda text: not all("!" <= c <= "~" for c in text) or not 1 <= len(text) <= 128))
def test_anything_else_is_replaced(offered: str) -> None:
    assert not is_request_id(offered)
    assert RequestIds(bytes).id_of(offered) != offered


@pytest.mark.parametrize("offered", ["a" * 129, "", "a b", "a\r\nX: y", "\x7f", "é", None])
def test_what_could_forge_a_line_is_replaced(offered: str | None) -> None:
    assert RequestIds(bytes).id_of(offered) == "00000000-0000-4000-8000-000000000000"


@given(st.binary(min_size=16, max_size=16))
def test_a_made_id_is_a_uuid_of_version_4_with_the_given_randomness(random: bytes) -> None:
    made = RequestIds(lambda count: random * (count // 16)).id_of(None)
    assert made == str(uuid.UUID(bytes=random, version=4))


def test_each_random_byte_is_used_once_however_many_ids_are_made() -> None:
    given_bytes: list[bytes] = []

    def random_bytes(count: int) -> bytes:
        first = sum(map(len, given_bytes)) // 16
        given_bytes.append(b"".join(number.to_bytes(16) for number in range(first, first + count // 16)))
        return given_bytes[-1]

    ids = RequestIds(random_bytes)
    made = {ids.id_of(None) for _ in range(1000)}
    assert len(made) == 1000
    assert len(given_bytes) > 1
