"""One suite, two logs: each test runs over the embedded log and over a real Iggy server."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge import limits
from bridge.messagelog import TopicRef
from tests.support.groups import Replicas, groups_over
from tests.support.iggy_server import IggyServer, running_server
from tests.support.log_backends import AnyLog, Backend, IggyBackend, LocalBackend, soon


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server here is silent but for want of a processor, or because its topic gets a thousand partitions."""
    monkeypatch.setattr(limits, "IGGY_PROBE_S", 60.0)


@pytest.fixture(scope="session")
def iggy_server() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["local", pytest.param("iggy", marks=pytest.mark.iggy)])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend: Backend
    if request.param == "local":
        backend = LocalBackend(tmp_path / "data")
    else:
        backend = IggyBackend(request.getfixturevalue("iggy_server"))
    yield backend
    await backend.close()


@pytest.fixture
async def log(backend: Backend) -> AnyLog:
    return await backend.open()


@pytest.fixture
def name() -> str:
    """A name that no other test uses: one server serves them all."""
    return f"n{uuid.uuid4().hex}"


@pytest.fixture
async def stream(log: AnyLog, name: str) -> str:
    await log.create_stream(name, deadline=soon())
    return name


@pytest.fixture
async def topic(log: AnyLog, stream: str) -> TopicRef:
    """A topic of three partitions."""
    ref = TopicRef(stream, "topic")
    await log.create_topic(ref, partitions_count=3, deadline=soon())
    return ref


@pytest.fixture
async def replicas(log: AnyLog, name: str) -> AsyncIterator[Replicas]:
    """Makes processes that serve groups, with a ledger of their own."""
    async with groups_over(log, f"{name}-groups") as replicas:
        yield replicas
