"""What a key looks like."""

import re
import string
from binascii import crc32
from secrets import randbelow

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.key_texts import claimed_id, new_key, peppered_digest, plain_digest
from tests.support.keys import numbered_key

FORM = re.compile(r"(brk_[a-z0-9]{8}_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})", re.ASCII)
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
NUMBERS = st.integers(min_value=0, max_value=2**64)


def is_key(text: str) -> bool:
    """As a scanner of secrets tells it: the last part is the CRC-32 of the rest in base 62."""
    match = FORM.fullmatch(text)
    if match is None:
        return False
    check = 0
    for digit in match[2]:
        check = check * 62 + DIGITS.index(digit)
    return check == crc32(match[1].encode())


@given(NUMBERS)
def test_a_new_key_has_its_form_and_tells_its_id(number: int) -> None:
    made = numbered_key(number)
    assert is_key(made.text)
    assert claimed_id(made.text) == made.id


def test_two_new_keys_differ_in_id_and_secret() -> None:
    one, other = new_key(randbelow), new_key(randbelow)
    assert one.id != other.id
    assert one.text[13:] != other.text[13:]


def test_a_secret_has_256_bits_and_loses_none_of_them() -> None:
    asked: list[int] = []

    def largest(below: int) -> int:
        asked.append(below)
        return below - 1

    made = new_key(largest)
    assert asked == [36**8, 2**256]
    secret = 0
    for digit in made.text[13:56]:
        secret = secret * 62 + DIGITS.index(digit)
    assert (made.id, secret) == ("z" * 8, 2**256 - 1)


@pytest.mark.parametrize(
    "text, claimed",
    [
        ("brk_abcdefgh_", "abcdefgh"),
        ("brk_abcdefgh", None),
        ("brk_abcdefghi", None),
        ("xrk_abcdefgh_", None),
    ],
)
def test_an_id_is_what_stands_between_the_prefix_and_its_mark(text: str, claimed: str | None) -> None:
    assert claimed_id(text) == claimed


@given(NUMBERS, st.integers(min_value=0, max_value=62), st.characters(categories=("Lu", "Ll", "Nd")))
def test_one_wrong_character_is_always_seen(number: int, at: int, other: str) -> None:
    text = numbered_key(number).text
    assert is_key(text[:at] + other + text[at + 1 :]) is (text[at] == other)


@given(st.text())
def test_whatever_comes_has_an_id_only_where_it_has_a_place_for_one(text: str) -> None:
    found = claimed_id(text)
    assert (found is not None) == (text.startswith("brk_") and text[12:13] == "_")


def test_a_digest_depends_on_the_whole_text_and_on_the_pepper() -> None:
    text = numbered_key(1).text
    digests = {
        plain_digest(text),
        plain_digest(text[:-1] + "!"),
        peppered_digest(text, b"one"),
        peppered_digest(text, b"other"),
    }
    assert len(digests) == 4
    assert plain_digest("\udcff")
    assert peppered_digest("\udcff", b"one")
