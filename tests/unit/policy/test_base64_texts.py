"""Bytes as texts that may stand in a URL: one spelling each."""

from base64 import urlsafe_b64encode
from itertools import product

import pytest

from bridge.policy.base64_texts import bytes_of

_LENGTHS = [range(length) for length in range(1, 40)]


def test_every_last_character_and_length_is_read_from_its_spelling() -> None:
    for data in (
        *product(range(256)),
        *product((0,), range(256)),
        *product((0,), (0,), range(256)),
        *_LENGTHS,
    ):
        assert bytes_of(urlsafe_b64encode(bytes(data)).rstrip(b"=").decode()) == bytes(data)


@pytest.mark.parametrize(
    "text", ["AB", "AA==", "A", "A+", "A/", "AA\n", " AA", "AAB", "é", "AA=", "=", "A A"]
)
def test_no_second_spelling_is_read(text: str) -> None:
    assert bytes_of(text) is None
