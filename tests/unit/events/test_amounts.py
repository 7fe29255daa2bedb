import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import amount_of


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6))
def test_an_amount_keeps_every_digit_as_number_and_as_string(amount: Decimal) -> None:
    text = f"{amount:f}"
    assert amount_of(text.encode()) == amount
    assert str(amount_of(f'"{text}"'.encode())) == text


@pytest.mark.parametrize(
    "written, value",
    [
        (b"0.1", "0.1"),
        (b"-0.00", "-0.00"),
        (b"1e2", "1E+2"),
        (b'"12345678901234567890123456789012345678"', "12345678901234567890123456789012345678"),
        (b"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)
def test_no_amount_goes_through_a_float(written: bytes, value: str) -> None:
    assert str(amount_of(written)) == value


@pytest.mark.parametrize("written", [b'"NaN"', b'"Infinity"', b'"1_0"', b'" 1"', b'"\xd9\xa1"', b'""', b"true", b"null", b"[1]", b'"1', b'"0x1"', b'"01"', b'"+1"', b'".5"', b'"5."'])  # fmt: skip
def test_no_other_spelling_is_an_amount(written: bytes) -> None:
    with pytest.raises(ValueError, match="'price' must be a decimal"):
        amount_of(written, name="price")


@pytest.mark.parametrize(
    "written", [b"1" * 39, b"1e38", b"1e-38", b"0." + b"0" * 38 + b"1", b"1" * 5000, b"1.0e999"]
)
def test_an_amount_has_at_most_38_digits_spelled_out(written: bytes) -> None:
    with pytest.raises(ValueError, match="38 digits"):
        amount_of(written)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_the_limit_is_on_digits_before_and_after_the_point(text: str) -> None:
    plain = f"{Decimal(text):f}".lstrip("-").replace(".", "")
    try:
        fits = amount_of(text.encode()) == Decimal(json.dumps(text).strip('"'))
    except ValueError:
        fits = False
    if Decimal(text) != 0:
        assert fits == (len(plain) <= 38)
