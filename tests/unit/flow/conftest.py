from collections.abc import AsyncIterator

import pytest

from tests.support.tail_bench import Bench, tail_bench


@pytest.fixture(params=[False], ids=["polled"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with tail_bench(pushes=request.param) as bench:
        yield bench
