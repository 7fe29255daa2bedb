import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge import limits
from bridge.config import LogConfig
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.iggy_server import IggyServer, running_server


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nothing is printed: for a traceback the default printer reads files, which blocks the event loop."""
    with capture_logs():
        yield


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server here is silent but for want of a processor, or because its topic gets a thousand partitions."""
    monkeypatch.setattr(limits, "IGGY_PROBE_S", 60.0)


@pytest.fixture(scope="session")
def iggy_server() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["local", pytest.param("iggy", marks=pytest.mark.iggy)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Of each log, as `bridge_app` takes it."""
    if request.param == "local":
        return tmp_path
    server: IggyServer = request.getfixturevalue("iggy_server")
    return server.connection_string


@pytest.fixture
async def bridge(where: Path | str) -> AsyncIterator[BridgeApp]:
    """The application over each log; the stream of the test is its own, on Iggy others may be there."""
    defaults = LogConfig(stream=f"s-{uuid.uuid4()}", topic="events")
    async with bridge_app(where, defaults=defaults) as app:
        yield app
