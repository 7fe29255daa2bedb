"""The first minute with the client that openapi-python-client makes of the document: `first_minute.py URL KEY`."""

import datetime as dt
import sys
import uuid

from bridge_client import AuthenticatedClient
from bridge_client.api.messages import poll_topic, publish_to_topic
from bridge_client.api.stored_offsets import put_offset
from bridge_client.api.streams import create_stream
from bridge_client.api.topics import create_topic
from bridge_client.models import (
    ConsumerOffset,
    Event,
    EventReceipt,
    GenericPayload,
    GenericPayloadType,
    MessageBody,
    OffsetBody,
    PageAnswer,
    Problem,
    StreamAnswer,
    StreamBody,
    TopicAnswer,
    TopicBody,
)

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, prefix="", auth_header_name="X-API-Key")

stream = create_stream.sync(client=client, body=StreamBody(name="shop"))
assert isinstance(stream, StreamAnswer), stream
topic = create_topic.sync("shop", client=client, body=TopicBody(name="orders", partitions=1))
assert isinstance(topic, TopicAnswer), topic
assert topic.partitions_count == 1

event = Event(
    id=uuid.uuid4(),
    event_type="order.paid",
    timestamp=dt.datetime.now(dt.UTC),
    payload=GenericPayload(type_=GenericPayloadType.GENERIC, data={"order": 1}),
)
receipt = publish_to_topic.sync("shop", "orders", client=client, body=MessageBody(event=event))
assert isinstance(receipt, EventReceipt), receipt
assert (receipt.event_id, receipt.offset) == (event.id, 0)

page = poll_topic.sync("shop", "orders", client=client, offset=0)
assert isinstance(page, PageAnswer), page
(message,) = page.messages
assert isinstance(message.event, Event)
assert message.event.id == event.id

stored = put_offset.sync("shop", "orders", "mailer", 0, client=client, body=OffsetBody(offset=message.offset))
assert isinstance(stored, ConsumerOffset), stored
assert (stored.offset, stored.lag) == (0, 0)

again = create_stream.sync(client=client, body=StreamBody(name="shop"))
assert isinstance(again, Problem), again
assert again.error == "already_exists"
