"""A disk that fails or crawls under a real bridge: nothing false is acknowledged, and everybody is told what is known."""

import json
from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess, get
from tests.support.failing_disks import injected, may_inject
from tests.support.senders import Senders, sending, stored_texts

pytestmark = [pytest.mark.crash, may_inject, pytest.mark.timeout(300)]

PATH = "/streams/sample-stream/topics/events/messages"
PARTITIONS = 3
ENVIRON = {"RATE_LIMIT_RPS": "0"}
FILE, WAL = "messages.db", "messages.db-wal"
WARM = 50


def ready(port: int) -> int:
    """Status of /ready; 0 once nobody answers."""
    try:
        return get(port, "/ready")[0]
    except OSError:
        return 0


def check_after_restart(data_dir: Path, senders: Senders) -> None:
    with BridgeProcess(data_dir, ENVIRON) as bridge:
        port = bridge.started()
        senders.account.check(stored_texts(port, PATH, PARTITIONS))
        bridge.signal()
        assert bridge.ended() == 0


@pytest.mark.parametrize(
    "calls, file",
    [
        pytest.param("fdatasync,fsync", WAL, id="a commit cannot be synced"),
        pytest.param("pwrite64", WAL, id="a commit cannot be written"),
        pytest.param("fdatasync,fsync", FILE, id="a checkpoint cannot be synced"),
        pytest.param("pwrite64", FILE, id="a checkpoint cannot be written"),
    ],
)
def test_an_error_of_the_disk_ends_the_bridge_and_no_message_is_lost(
    tmp_path: Path, calls: str, file: str
) -> None:
    data_dir = tmp_path / "data"
    with BridgeProcess(data_dir, ENVIRON) as bridge:
        port = bridge.started()
        with sending(port, PATH, filler_bytes=2_000) as senders:
            senders.acknowledged(WARM)
            with injected(bridge.process.pid, calls, "error=EIO:when=3+", data_dir / file) as disk:
                assert bridge.ended() == 70
                failed = [call for call in disk.calls() if "EIO" in call]
        assert ready(port) == 0
    # What failed is never tried again: after a failed sync a second one "succeeds".
    assert len(failed) == 1, failed
    assert "embedded_log_failed" in bridge.events()
    assert {status for status, *_ in senders.answers} <= {503}
    check_after_restart(data_dir, senders)


def test_a_disk_without_space_is_told_left_and_loses_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with BridgeProcess(data_dir, ENVIRON) as bridge:
        port = bridge.started()
        with sending(port, PATH, filler_bytes=2_000) as senders:
            senders.acknowledged(WARM)
            with injected(bridge.process.pid, "pwrite64", "error=ENOSPC", data_dir / WAL, data_dir / FILE):
                senders.answered(503, 20)
                assert ready(port) == 503
            enough = senders.account.acknowledged_count + WARM
            senders.acknowledged(enough)
            assert ready(port) == 200
        assert {told[0] for told in senders.answers} == {503}
        assert {told[2] for told in senders.answers} == {"not_written"}
        assert senders.without_wait == 0
        senders.account.check(stored_texts(port, PATH, PARTITIONS))
        bridge.signal()
        assert bridge.ended() == 0
    check_after_restart(data_dir, senders)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_slow_disk_costs_time_and_not_memory_and_what_is_too_much_is_told(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    environ = {**ENVIRON, "MAX_IN_FLIGHT_REQUESTS": "16"}
    with BridgeProcess(data_dir, environ) as bridge:
        port = bridge.started()
        with sending(port, PATH, senders=40, filler_bytes=100_000) as senders:
            senders.acknowledged(WARM)
            before = resident_bytes(bridge.process.pid)
            with injected(bridge.process.pid, "fdatasync,fsync", "delay_enter=500000", data_dir / WAL):
                stored = senders.account.acknowledged_count
                senders.answered(503, 60)
                senders.acknowledged(stored + 16)
                grown = resident_bytes(bridge.process.pid) - before
                # Probes have no part in the waiting.
                assert get(port, "/health")[0] == 200
        assert grown < 64 * 1024 * 1024
        assert {told[0] for told in senders.answers} == {503}
        assert senders.without_wait == 0
        senders.account.check(stored_texts(port, PATH, PARTITIONS))
        assert json.loads(get(port, "/ready")[1])["status"] == "ready"
        bridge.signal()
        assert bridge.ended() == 0
