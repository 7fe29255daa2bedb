"""A bridge that runs out of descriptors, memory or time: it says so, acknowledges nothing false, and goes on or is started anew."""

import contextlib
import json
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, get
from tests.support.senders import Senders, sending, stored_texts

PATH = "/streams/sample-stream/topics/events/messages"
PARTITIONS = 3
ENVIRON = {"RATE_LIMIT_RPS": "0"}
WARM = 100
#: So many refusals and broken connections for want of memory are enough.
HARMED = 20
LARGE = 900_000
MIB = 1024 * 1024

_BLOCKED = """
import asyncio, signal, time
def block():
    time.sleep(2)
from bridge.process.shutdown import Stop
listen = Stop.listen
def listen_and_block(self, **more):
    listen(self, **more)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, block)
Stop.listen = listen_and_block
from bridge.__main__ import main
main()
"""


def figure(port: int, name: str) -> float:
    _, body = get(port, "/metrics")
    found = [line for line in body.decode().splitlines() if line.startswith(name)]
    return float(found[0].split()[-1]) if found else 0.0


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.01)


def check_after_restart(data_dir: Path, senders: Senders) -> None:
    with BridgeProcess(data_dir, ENVIRON) as bridge:
        port = bridge.started()
        senders.account.check(stored_texts(port, PATH, PARTITIONS))
        bridge.signal()
        assert bridge.ended() == 0


def test_without_descriptors_callers_wait_and_nothing_ends_or_is_lost(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
        port = bridge.started()
        pid = bridge.process.pid
        with sending(port, PATH, senders=4) as senders, contextlib.ExitStack() as idle:
            senders.acknowledged(WARM)
            spare = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 5
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (spare, spare))
            for _ in range(50):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            # Those who are connected are served, though nobody else is.
            senders.acknowledged(senders.account.acknowledged_count + WARM)
            idle.close()
            until(lambda: figure(port, 'bridge_accept_failures_total{error="EMFILE"}') > 0)
            assert get(port, "/ready")[0] == 200
        assert senders.answers == {}
        senders.account.check(stored_texts(port, PATH, PARTITIONS))
        bridge.signal()
        assert bridge.ended() == 0


def test_without_memory_nothing_false_is_acknowledged(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with BridgeProcess(data_dir, ENVIRON) as bridge:
        port = bridge.started()
        pid = bridge.process.pid
        with sending(port, PATH, senders=16, filler_bytes=LARGE) as senders:
            senders.acknowledged(8)
            size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * 4096
            resource.prlimit(pid, resource.RLIMIT_AS, (size // 2, size // 2))
            # Some goes on in what it has, perhaps for good; who comes on top is refused or cut off, or it ends.
            with sending(
                port, PATH, account=senders.account, senders=48, prefix="more ", filler_bytes=LARGE
            ) as others:
                until(
                    lambda: (
                        sum(each.answers.total() + each.broken for each in (senders, others)) >= HARMED
                        or bridge.process.poll() is not None
                    )
                )
        assert {status for status, *_ in senders.answers | others.answers} <= {500, 503}
        bridge.process.kill()
        bridge.ended()
    check_after_restart(data_dir, senders)


def test_a_loop_that_is_blocked_is_told_and_serves_on(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", ENVIRON, code=_BLOCKED) as bridge:
        port = bridge.started()
        with sending(port, PATH, senders=4) as senders:
            senders.acknowledged(WARM)
            bridge.signal(signal.SIGUSR1)
            # A busy machine may have held the loop up as well.
            while "<string>:4 block" not in (line := bridge.until("event_loop_lagged"))["blocked_at"]:
                pass
            assert line["lag_ms"] > 1_500
            assert line["blocked_at"][0] == "<string>:4 block"
            senders.acknowledged(senders.account.acknowledged_count + WARM)
        assert senders.answers == {}
        assert figure(port, 'bridge_event_loop_lag_seconds_bucket{le="+Inf"}') > 0
        senders.account.check(stored_texts(port, PATH, PARTITIONS))
        assert json.loads(get(port, "/ready")[1])["status"] == "ready"
        bridge.signal()
        assert bridge.ended() == 0
