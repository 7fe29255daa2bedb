"""A node that refuses to make what it says is not there lags behind its cluster, and is left."""

from collections.abc import Awaitable
from typing import Any

import pytest

from bridge.errors import AlreadyExists
from bridge.iggy.pool import Slot
from tests.support.figures import WatchedLog, total
from tests.support.iggy_log import IggyLogs, soon
from tests.support.iggy_server import IggyServer

pytestmark = pytest.mark.iggy


async def test_who_contradicts_itself_is_dialled_anew(
    server: IggyServer, logs: IggyLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = WatchedLog()
    log = await logs.open(server.connection_string, observer=observer)
    topic = await logs.topic(log)
    with pytest.raises(AlreadyExists):
        await log.create_stream(topic.stream, deadline=soon())
    with pytest.raises(AlreadyExists):
        await log.create_topic(topic, partitions_count=1, deadline=soon())
    assert total(observer.reconnects) == 0
    generation = log._connection.generation
    answer = log._connection.calls.answer

    async def forgetful(call: Awaitable[Any], slot: Slot | None = None) -> Any:
        found: Any = await answer(call, slot)
        # What a node answers that has not caught up: no such stream.
        return None if type(found).__name__ == "StreamDetails" else found

    with monkeypatch.context() as patched:
        patched.setattr(log._connection.calls.__class__, "answer", lambda _, *rest: forgetful(*rest))
        with pytest.raises(AlreadyExists):
            await log.create_topic(topic, partitions_count=1, deadline=soon())
    assert log._connection.generation > generation
    assert (await log.topic(topic, deadline=soon())).partitions_count == 1
