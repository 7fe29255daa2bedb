"""What every test starts from: none of our variables in the environment, and a loop that nothing may block."""

import asyncio
import os
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import uvloop
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from bridge import limits
from bridge.config import SETTINGS

# The same examples at every run, so that neither a test nor the coverage it gives hangs on luck; new ones are looked for
# with `pytest --hypothesis-profile=search`. No deadline: a machine that stalls must not fail an example.
settings.register_profile("search", deadline=None)
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

# Production runs on uvloop, whose transports are no subclass of asyncio's and close, pause and tell of an end at other
# moments: what was proved on asyncio's loop held on asyncio's loop only. So what a client can reach is tried on uvloop,
# and a rule that touches transports on both loops, by `tests.support.loops.BOTH_LOOPS`. What is left has no sockets, and
# tests of it patch loops, which uvloop's does not allow.
_ON_UVLOOP = frozenset({"hardening", "process", "web"})
_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}

_READS = (
    "io.BufferedReader.read",
    "io.TextIOWrapper.read",
    "os.listdir",
    "os.stat",
    "os.path.abspath",
    "os.getcwd",
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that a test may name (`loops.BOTH_LOOPS`), or the one for its folder."""
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return _LOOPS
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    name = "uvloop" if folder in _ON_UVLOOP else "asyncio"
    return {name: _LOOPS[name]}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own API_KEY or IGGY_CONNECTION_STRING must not change what is tested."""
    for setting in SETTINGS:
        for name in (setting.env, setting.file_env):
            if name in os.environ:
                monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of logs are made in a run: what each keeps back on the disk must not fill it."""
    monkeypatch.setattr(limits, "LOCAL_RESERVE_BYTES", 1024 * 1024)


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """A call that blocks the event loop fails the test that makes it; only calls out of `bridge` count."""
    function = getattr(request, "function", None)
    if not iscoroutinefunction(function):
        yield None
        return
    with blockbuster_ctx("bridge") as detector:
        for function_name in _READS:
            # /proc answers from memory; source lines for a traceback are worth the wait.
            detector.functions[function_name].can_block_in(
                "prometheus_client/process_collector.py", "collect"
            )
            detector.functions[function_name].can_block_in("linecache.py", ("checkcache", "updatecache"))
        for function_name in (*_READS, "io.TextIOWrapper.write", "io.BufferedWriter.write"):
            # Until `telemetry.logs.configure` structlog prints, in colours; pytest catches that.
            detector.functions[function_name].can_block_in("structlog/_output.py", "msg")
            detector.functions[function_name].can_block_in("structlog/dev.py", "__call__")
        # Coverage's own, held for a moment by another thread that meets a file for the first time.
        detector.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield detector
