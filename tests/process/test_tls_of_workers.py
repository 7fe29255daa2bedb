"""Several workers that speak TLS, over a real Iggy: all of them reload, and a broken file ends none that serves."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.process.test_tls import AUTHORITY, settings, shown_to_a_new_one
from tests.process.test_workers import all_ready, bridge_of, pids
from tests.support.iggy_server import IggyServer, running_server

pytestmark = pytest.mark.iggy

_SHOWN: Final = 16


@pytest.fixture(scope="module")
def iggy() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


def test_a_hangup_of_the_parent_reloads_every_worker(tmp_path: Path, iggy: IggyServer) -> None:
    with bridge_of(tmp_path / "data", iggy, **settings(tmp_path, AUTHORITY.issue("first"))) as bridge:
        port = all_ready(bridge)
        AUTHORITY.issue("second").write(tmp_path)
        bridge.signal(signal.SIGHUP)
        workers = {bridge.until("reloaded")["worker"] for _ in range(2)}
        assert workers == {1, 2}
        assert {shown_to_a_new_one(port) for _ in range(_SHOWN)} == {"second"}
        bridge.signal()
        assert bridge.ended() == 0


def test_a_worker_that_cannot_begin_by_a_broken_file_leaves_the_others_to_serve_until_it_can(
    tmp_path: Path, iggy: IggyServer
) -> None:
    with bridge_of(tmp_path / "data", iggy, **settings(tmp_path, AUTHORITY.issue("first"))) as bridge:
        all_ready(bridge)
        (tmp_path / "tls.key").write_text("broken")
        os.kill(pids(bridge)[1], signal.SIGKILL)
        while bridge.until("worker_ended")["exit_code"] != 78:
            pass
        AUTHORITY.issue("mended").write(tmp_path)
        bridge.until("ready")
        bridge.signal()
        assert bridge.ended() == 0
