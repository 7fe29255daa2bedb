import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge import limits
from bridge.config import LogConfig
from bridge.telemetry.metrics import Metrics
from tests.support.bridge_app import AnyLog, BridgeApp, bridge_app, iggy_log, local_log
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
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BridgeApp]:
    """The application over each log; the stream of the test is its own, on Iggy others may be there."""
    metrics = Metrics()
    defaults = LogConfig(stream=f"s-{uuid.uuid4()}", topic="events")
    opened: AbstractAsyncContextManager[AnyLog]
    if request.param == "local":
        opened = local_log(tmp_path, metrics)
    else:
        server: IggyServer = request.getfixturevalue("iggy_server")
        opened = iggy_log(server.connection_string, metrics)
    async with opened as log, bridge_app(log, metrics, defaults=defaults) as app:
        yield app
