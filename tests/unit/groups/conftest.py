from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.group_scene import LEDGER, Scene
from tests.support.groups import groups_over
from tests.support.local_logs import FAST, open_topic


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = FakeClock()
    log = await open_topic(tmp_path, tuning=FAST, clock=clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(log.close)
        replicas = await stack.enter_async_context(groups_over(log, LEDGER.stream))
        yield Scene(log, clock, replicas)
