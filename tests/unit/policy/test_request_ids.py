"""Which request id a request gets."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.request_ids import is_request_id, request_id

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)


def no_randomness(count: int) -> bytes:
    raise AssertionError(f"asked for {count} random bytes")


@given(VISIBLE)
def test_one_to_128_visible_ascii_characters_are_kept(offered: str) -> None:
    assert request_id(offered, no_randomness) == offered


@given(st.text().filter(lambda text: not all("!" <= c <= "~" for c in text) or not 1 <= len(text) <= 128))
def test_anything_else_is_replaced(offered: str) -> None:
    assert not is_request_id(offered)
    assert request_id(offered, bytes) != offered


@pytest.mark.parametrize("offered", ["a" * 129, "", "a b", "a\r\nX: y", "\x7f", "é", None])
def test_what_could_forge_a_line_is_replaced(offered: str | None) -> None:
    assert request_id(offered, bytes) == "00000000-0000-4000-8000-000000000000"


@given(st.binary(min_size=16, max_size=16))
def test_a_made_id_is_a_uuid_of_version_4_with_the_given_randomness(random: bytes) -> None:
    made = request_id(None, lambda _: random)
    assert made == str(uuid.UUID(bytes=random, version=4))
