"""What happened to users and orders (pure): payloads as tagged unions, `type` outside and `action` inside."""

import re
from decimal import Context, Decimal
from enum import StrEnum
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.limits import AMOUNT_DIGITS_MAX

_QUANTITY_MAX: Final = 2**32 - 1

Quantity: TypeAlias = Annotated[int, Meta(ge=0, le=_QUANTITY_MAX)]
Text: TypeAlias = str | UnsetType | None


# Of JSON that is left as it was written: `amount_of` checks it, the schema is for the document alone.
_Amount: TypeAlias = Annotated[
    msgspec.Raw,
    Meta(
        description=f"An exact decimal, as a number or a string; {AMOUNT_DIGITS_MAX} digits at most, spelled out",
        extra_json_schema={
            "type": ["number", "string"],
            "exclusiveMinimum": -(10.0**AMOUNT_DIGITS_MAX),
            "exclusiveMaximum": 10.0**AMOUNT_DIGITS_MAX,
            "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$",
        },
    ),
]


class UserCreated(msgspec.Struct, gc=False, tag_field="action", tag="Created"):
    user_id: UUID
    email: str
    name: str


class UserUpdated(msgspec.Struct, gc=False, tag_field="action", tag="Updated"):
    user_id: UUID
    email: Text = UNSET
    name: Text = UNSET


class UserDeleted(msgspec.Struct, gc=False, tag_field="action", tag="Deleted"):
    user_id: UUID


class UserLoggedIn(msgspec.Struct, gc=False, tag_field="action", tag="LoggedIn"):
    user_id: UUID
    ip_address: str


class OrderStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class OrderItem(msgspec.Struct, gc=False):
    """One line of an order.

    Attributes:
        unit_price: as it was written; its value is `amount_of(unit_price)`.
    """

    product_id: UUID
    quantity: Quantity
    unit_price: _Amount


class OrderCreated(msgspec.Struct, gc=False, tag_field="action", tag="Created"):
    """A new order.

    Attributes:
        items: as they were written, since there may be very many.
        total_amount: as `OrderItem.unit_price`.
    """

    order_id: UUID
    user_id: UUID
    items: list[Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/OrderItem"})]]
    total_amount: _Amount


class OrderUpdated(msgspec.Struct, gc=False, tag_field="action", tag="Updated"):
    order_id: UUID
    status: OrderStatus


class OrderCancelled(msgspec.Struct, gc=False, tag_field="action", tag="Cancelled"):
    order_id: UUID
    reason: str


class OrderShipped(msgspec.Struct, gc=False, tag_field="action", tag="Shipped"):
    order_id: UUID
    tracking_number: str
    carrier: str


class UserPayload(msgspec.Struct, gc=False, tag_field="type", tag="User"):
    data: UserCreated | UserUpdated | UserDeleted | UserLoggedIn


class OrderPayload(msgspec.Struct, gc=False, tag_field="type", tag="Order"):
    data: OrderCreated | OrderUpdated | OrderCancelled | OrderShipped


class GenericPayload(msgspec.Struct, gc=False, tag_field="type", tag="Generic"):
    """Any JSON, left as the bytes it came in."""

    data: msgspec.Raw


Payload: TypeAlias = UserPayload | OrderPayload | GenericPayload

_AMOUNT: Final = re.compile(
    rb'(?P<quote>"?)(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)(?P=quote)'
)
_SHORT: Final = rb"-?(?:0|[1-9][0-9]{0,17}+)(?:\.[0-9]{1,18}+)?+"
_SHORT_AMOUNTS: Final = re.compile(rb'(?:%b|"%b")(?:,(?:%b|"%b"))*+' % ((_SHORT,) * 4))
_EXACT: Final = Context(prec=AMOUNT_DIGITS_MAX + 1)


def amount_of(written: bytes | msgspec.Raw, *, name: str = "amount") -> Decimal:
    """The exact value of an amount, taken from its digits, never through a float.

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


def are_short_amounts(written: list[msgspec.Raw]) -> bool:
    """Whether `amount_of` surely takes each of *written*, all known in one pass; False says nothing."""
    return not written or _SHORT_AMOUNTS.fullmatch(b",".join(written)) is not None
