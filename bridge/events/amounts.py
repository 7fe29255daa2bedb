"""Amounts of money (pure): decimals taken from the digits as they were written, never through a float."""

import re
from decimal import Context, Decimal
from typing import Final

from bridge.limits import AMOUNT_DIGITS_MAX

__all__ = ("amount_of",)

_AMOUNT: Final = re.compile(
    rb'(?P<quote>"?)(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)(?P=quote)'
)
_EXACT: Final = Context(prec=AMOUNT_DIGITS_MAX + 1)


def amount_of(written: bytes | memoryview, *, name: str = "amount") -> Decimal:
    """
    The exact value of an amount.

    Args:
        written: a JSON number, or a JSON string that holds one; spelled out it has at most `AMOUNT_DIGITS_MAX` digits.
        name: of the field, for the fault.

    Raises:
        ValueError: if it is anything else; the text names the field and the limit, not the value.
    """
    match = _AMOUNT.fullmatch(written)
    if match is None:
        raise ValueError(f"'{name}' must be a decimal number, or a string that holds one")
    number = match["number"].decode()
    if len(number) > AMOUNT_DIGITS_MAX * 2 or _digits(amount := Decimal(number, _EXACT)) > AMOUNT_DIGITS_MAX:
        raise ValueError(f"'{name}' has more than {AMOUNT_DIGITS_MAX} digits when it is spelled out")
    return amount


def _digits(amount: Decimal) -> int:
    _, digits, exponent = amount.as_tuple()
    places = int(exponent)
    return len(digits) + places if places >= 0 else max(len(digits), 1 - places)
