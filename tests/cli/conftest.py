"""A bridge to talk to, in a process of its own, and the command line."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge_cli import Cli
from tests.support.bridge_process import BridgeProcess


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """A command has its loop for itself: reading a file keeps nobody waiting."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a bridge that refuses nobody for coming often: a helper that asks until something is so would be refused in between."""
    with BridgeProcess(tmp_path_factory.mktemp("data"), {"RATE_LIMIT_RPS": "0"}) as bridge:
        yield bridge.started()


@pytest.fixture
def cli(port: int, tmp_path: Path) -> Cli:
    return Cli(f"http://127.0.0.1:{port}", tmp_path)


@pytest.fixture
def topic(cli: Cli) -> str:
    """A topic of one partition for one test alone."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    assert cli("streams", "add", name).returncode == 0
    assert cli("topics", "add", f"{name}/events").returncode == 0
    return f"{name}/events"
