from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.outage.traffic import Caller, calling
from tests.outage.watched import PASSWORD, USERNAME, WatchedBridge
from tests.support.iggy_server import IggyServer, running_server

Start = Callable[..., WatchedBridge]
Call = Callable[[int], AbstractAsyncContextManager[Caller]]


@pytest.fixture
def server() -> Iterator[IggyServer]:
    """An empty server of the test's own, to be killed and paused; its password is found nowhere else."""
    with running_server(
        restartable=True, extra_env={"IGGY_ROOT_USERNAME": USERNAME, "IGGY_ROOT_PASSWORD": PASSWORD}
    ) as server:
        yield server


@pytest.fixture
def texts() -> list[str]:
    """Every answer that a caller got."""
    return []


@pytest.fixture
def start(tmp_path: Path, texts: list[str]) -> Iterator[Start]:
    """Starts bridges; none of them may have told a secret in its log or in an answer, or met what nobody expected."""
    bridges: list[WatchedBridge] = []
    with ExitStack() as stack:

        def start(address: str, environ: dict[str, str] | None = None, **more: Any) -> WatchedBridge:
            bridge = WatchedBridge(tmp_path / str(len(bridges)), address, environ, **more)
            bridges.append(bridge)
            return stack.enter_context(bridge)

        yield start
    for bridge in bridges:
        assert bridge.output
        assert bridge.leaks(texts) == []
        assert [line for line in bridge.lines if "exception" in line] == []


@pytest.fixture
def call(texts: list[str]) -> Call:
    """A client of the bridge on a port, for the length of a block."""
    return lambda port: calling(port, texts)
