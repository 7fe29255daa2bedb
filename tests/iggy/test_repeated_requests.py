"""
Acknowledged means stored, on a server that remembers requests.

Released servers answer a write whose (client, request) they know by an empty success, and store nothing; the proxy here
does so for whatever server the tests have. Source: SDK 0.9.0 `vsr.rs` ("partition dedup needs each new write to carry a
distinct id") and `send_messages.rs`.
"""

import asyncio

import pytest

from bridge.errors import LogError, Outcome
from bridge.flow.appending.batching import BatchingAppender
from bridge.messagelog import FromOffset, NewMessage, ToPartition
from tests.support.iggy_log import IggyLogs, soon
from tests.support.iggy_server import IggyServer
from tests.support.repeating_proxy import repeating_proxy

pytestmark = pytest.mark.iggy

FIRST = ToPartition(0)
CALLERS, EACH = 6, 10


async def test_what_is_acknowledged_is_stored_where_the_server_drops_repeated_requests(
    server: IggyServer, logs: IggyLogs
) -> None:
    direct = await logs.open(server.connection_string)
    topic = await logs.topic(direct)
    async with repeating_proxy(server.address) as proxy:
        behind = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        appender = BatchingAppender(behind, probe=behind)
        acknowledged: dict[int | None, bytes] = {}

        async def caller(name: int) -> None:
            for number in range(EACH):
                payload = b"%d-%d" % (name, number)
                receipt = await appender.append(topic, FIRST, [NewMessage(payload)], deadline=soon())
                acknowledged[receipt.offset] = payload

        await asyncio.gather(*(caller(name) for name in range(CALLERS)))
        await appender.close()
        for offset in range(5):
            await behind.store_offset(topic, 0, "reader", offset, deadline=soon())
        page = await direct.read(topic, 0, FromOffset(0), count=1000, deadline=soon())
        assert {message.offset: message.payload for message in page.messages} == acknowledged
        assert len(acknowledged) == CALLERS * EACH
        stored = await direct.stored_offset(topic, 0, "reader", deadline=soon())
        assert stored is not None
        assert stored.offset == 4
        assert proxy.writes >= EACH
        assert proxy.repeated == 0
        await logs.close()


async def test_a_success_that_confirms_nothing_is_no_acknowledgement(
    server: IggyServer, logs: IggyLogs
) -> None:
    direct = await logs.open(server.connection_string)
    topic = await logs.topic(direct)
    async with repeating_proxy(server.address) as proxy:
        behind = await logs.open(f"iggy://iggy:iggy@{proxy.address}")
        await behind.append(topic, FIRST, [NewMessage(b"first")], deadline=soon())
        proxy.take_for_repeated = True
        with pytest.raises(LogError) as caught:
            await behind.append(topic, FIRST, [NewMessage(b"second")], deadline=soon())
        assert caught.value.outcome is Outcome.UNKNOWN
        assert proxy.repeated == 1
        page = await direct.read(topic, 0, FromOffset(0), count=10, deadline=soon())
        assert [message.payload for message in page.messages] == [b"first"]
        await logs.close()
