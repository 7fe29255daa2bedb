"""What happened to users and orders (pure): payloads as tagged unions, `type` outside and `action` inside."""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.events.amounts import amount_of

__all__ = (
    "GenericPayload",
    "OrderCancelled",
    "OrderCreated",
    "OrderData",
    "OrderItem",
    "OrderPayload",
    "OrderShipped",
    "OrderStatus",
    "OrderUpdated",
    "Payload",
    "UserCreated",
    "UserData",
    "UserDeleted",
    "UserLoggedIn",
    "UserPayload",
    "UserUpdated",
)

_QUANTITY_MAX: Final = 2**32 - 1

Quantity: TypeAlias = Annotated[int, Meta(ge=0, le=_QUANTITY_MAX)]
Text: TypeAlias = str | UnsetType | None


class UserCreated(msgspec.Struct, frozen=True, tag_field="action", tag="Created"):
    user_id: UUID
    email: str
    name: str


class UserUpdated(msgspec.Struct, frozen=True, tag_field="action", tag="Updated"):
    user_id: UUID
    email: Text = UNSET
    name: Text = UNSET


class UserDeleted(msgspec.Struct, frozen=True, tag_field="action", tag="Deleted"):
    user_id: UUID


class UserLoggedIn(msgspec.Struct, frozen=True, tag_field="action", tag="LoggedIn"):
    user_id: UUID
    ip_address: str


class OrderStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class OrderItem(msgspec.Struct, frozen=True):
    """One line of an order; *unit_price* as it was written, its value is `amount_of(unit_price)`."""

    product_id: UUID
    quantity: Quantity
    unit_price: msgspec.Raw

    def __post_init__(self) -> None:
        amount_of(self.unit_price, name="unit_price")


class OrderCreated(msgspec.Struct, frozen=True, tag_field="action", tag="Created"):
    """A new order; *total_amount* as it was written, its value is `amount_of(total_amount)`."""

    order_id: UUID
    user_id: UUID
    items: list[OrderItem]
    total_amount: msgspec.Raw

    def __post_init__(self) -> None:
        amount_of(self.total_amount, name="total_amount")


class OrderUpdated(msgspec.Struct, frozen=True, tag_field="action", tag="Updated"):
    order_id: UUID
    status: OrderStatus


class OrderCancelled(msgspec.Struct, frozen=True, tag_field="action", tag="Cancelled"):
    order_id: UUID
    reason: str


class OrderShipped(msgspec.Struct, frozen=True, tag_field="action", tag="Shipped"):
    order_id: UUID
    tracking_number: str
    carrier: str


UserData: TypeAlias = UserCreated | UserUpdated | UserDeleted | UserLoggedIn
OrderData: TypeAlias = OrderCreated | OrderUpdated | OrderCancelled | OrderShipped


class UserPayload(msgspec.Struct, frozen=True, tag_field="type", tag="User"):
    data: UserData


class OrderPayload(msgspec.Struct, frozen=True, tag_field="type", tag="Order"):
    data: OrderData


class GenericPayload(msgspec.Struct, frozen=True, tag_field="type", tag="Generic"):
    """Any JSON, left as the bytes it came in."""

    data: msgspec.Raw


Payload: TypeAlias = UserPayload | OrderPayload | GenericPayload
