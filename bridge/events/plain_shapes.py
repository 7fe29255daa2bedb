"""The shapes of events without the checks that run in Python for each (pure): `plain.py` makes those for all at once."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.events.payloads import OrderCancelled, OrderShipped, OrderUpdated, Quantity, UserPayload
from bridge.limits import EVENT_TYPE_CHARS_MAX

__all__ = ("PlainEvent", "PlainGenericPayload", "PlainOrderCreated", "PlainOrderPayload")


class PlainOrderItem(msgspec.Struct, gc=False):
    product_id: UUID
    quantity: Quantity
    unit_price: msgspec.Raw


class PlainOrderCreated(msgspec.Struct, tag_field="action", tag="Created", gc=False):
    order_id: UUID
    user_id: UUID
    items: list[PlainOrderItem]
    total_amount: msgspec.Raw


class PlainOrderPayload(msgspec.Struct, tag_field="type", tag="Order", gc=False):
    data: PlainOrderCreated | OrderUpdated | OrderCancelled | OrderShipped


class PlainGenericPayload(msgspec.Struct, tag_field="type", tag="Generic", gc=False):
    data: msgspec.Raw


PlainPayload: TypeAlias = UserPayload | PlainOrderPayload | PlainGenericPayload


class PlainEvent(msgspec.Struct, gc=False):
    """An `event.Event` whose id is left as text and whose amounts and characters nobody has looked at yet."""

    id: str
    event_type: Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
    timestamp: Annotated[datetime, Meta(tz=True)]
    payload: PlainPayload
    correlation_id: UUID | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
