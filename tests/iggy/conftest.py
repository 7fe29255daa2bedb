from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.iggy_log import IggyLogs, iggy_logs
from tests.support.iggy_server import IggyServer, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[IggyServer]:
    """One server for all tests that leave it alone."""
    with running_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[IggyServer]:
    """A server of the test's own, to be killed and paused."""
    with running_server(restartable=True) as server:
        yield server


@pytest.fixture
async def logs() -> AsyncIterator[IggyLogs]:
    async with iggy_logs() as logs:
        yield logs
