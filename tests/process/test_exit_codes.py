"""How a bridge ends when it cannot begin or go on: 69, 70 and 78, each with its reason."""

import json
import socket
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, run_bridge
from tests.support.ports import held_port


def test_every_fault_of_the_configuration_is_in_one_message_and_the_exit_is_78(tmp_path: Path) -> None:
    environ = {
        "HOST": "0.0.0.0",
        "PORT": "http",
        "RATE_LIMIT_RPS": "-1",
        "IGGY_STREAM": "no/slash",
        "IGGY_CONNECTION_STRING": "tcp://user:hunter2@host:1",
        "DATA_DIR": str(tmp_path / "data"),
    }
    ended = run_bridge("serve", environ=environ)
    assert ended.returncode == 78
    for name in (
        "HOST / API_KEY",
        "PORT (environment)",
        "RATE_LIMIT_RPS",
        "IGGY_STREAM",
        "IGGY_CONNECTION_STRING",
    ):
        assert name in ended.stderr
    assert "5 faults" in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
    assert not (tmp_path / "data").exists()


def test_a_missing_configuration_file_is_told_and_the_exit_is_78() -> None:
    ended = run_bridge("serve", "--config", "/nowhere.toml")
    assert ended.returncode == 78
    assert "--config: the file cannot be read: No such file or directory" in ended.stderr


def test_a_taken_port_is_69_and_names_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with BridgeProcess(tmp_path, {"PORT": str(port)}) as bridge:
            told = bridge.until("unavailable")
            assert bridge.ended() == 69
    assert f"port {port} of 127.0.0.1 is taken" in told["detail"]


def test_a_host_of_another_machine_is_69(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"HOST": "192.0.2.1", "ALLOW_ANONYMOUS": "true"}) as bridge:
        assert "192.0.2.1 is no address of this machine" in bridge.until("unavailable")["detail"]
        assert bridge.ended() == 69


def test_a_second_process_on_the_same_directory_is_refused_with_69(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path) as first:
        first.started()
        with BridgeProcess(tmp_path) as second:
            second.until("unavailable")
            assert second.ended() == 69
        first.signal()
        assert first.ended() == 0


def test_a_background_task_that_fails_ends_the_process_with_70_and_its_traceback(tmp_path: Path) -> None:
    code = """
import bridge.process.tasks
async def broken(*args, **kwargs):
    raise ZeroDivisionError("broken on purpose")
bridge.process.tasks.watch_health = broken
from bridge.__main__ import main
main()
"""
    with BridgeProcess(tmp_path, code=code) as bridge:
        told = bridge.until("failed")
        assert bridge.ended() == 70
    assert told["exit_code"] == 70
    assert "ZeroDivisionError: broken on purpose" in told["exception"]


def test_a_background_task_that_hits_weather_does_not_end_the_process(tmp_path: Path) -> None:
    code = """
import bridge.process.tasks
from bridge.errors import Disconnected
async def away(*args, **kwargs):
    raise Disconnected
bridge.process.tasks.watch_health = away
from bridge.__main__ import main
main()
"""
    with BridgeProcess(tmp_path, code=code) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 0
        assert "task_step_failed" in bridge.events()


def test_a_task_that_should_never_end_but_does_is_a_fault_of_the_program(tmp_path: Path) -> None:
    code = """
from bridge.locallog import LocalMessageLog
async def ends(self):
    return
LocalMessageLog.run = ends
from bridge.__main__ import main
main()
"""
    with BridgeProcess(tmp_path, code=code) as bridge:
        assert "ended by itself" in bridge.until("failed")["exception"]
        assert bridge.ended() == 70


def test_attempts_to_reach_iggy_that_run_out_are_69(tmp_path: Path) -> None:
    with held_port() as closed:
        environ = {
            "IGGY_CONNECTION_STRING": f"iggy://iggy:iggy@127.0.0.1:{closed}",
            "MAX_RECONNECT_ATTEMPTS": "2",
            "RECONNECT_BASE_DELAY_MS": "1",
            "RECONNECT_MAX_DELAY_MS": "5",
        }
        with BridgeProcess(tmp_path, environ) as bridge:
            bridge.until("unavailable")
            assert bridge.ended() == 69
            assert all("iggy:iggy" not in json.dumps(line) for line in bridge.lines)


def test_a_shutdown_that_blocks_the_event_loop_is_ended_by_the_watchdog_with_70(tmp_path: Path) -> None:
    code = """
import threading
import bridge.process.shutdown
from bridge.locallog import LocalMessageLog
bridge.process.shutdown._WATCHDOG_MARGIN_S = 0.0
async def hangs(self):
    threading.Event().wait()
LocalMessageLog.close = hangs
from bridge.__main__ import main
main()
"""
    with BridgeProcess(tmp_path, {"SHUTDOWN_GRACE_SECS": "0.5"}, code=code) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 70


def test_closing_goes_on_past_a_step_that_fails(tmp_path: Path) -> None:
    code = """
from bridge.process.listeners import Listeners
async def fails(self):
    raise OSError("closing failed on purpose")
Listeners.close = fails
from bridge.__main__ import main
main()
"""
    with BridgeProcess(tmp_path, code=code) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 0
    assert "shutdown_step_failed" in bridge.events()
    with BridgeProcess(tmp_path) as again:
        again.started()
        again.signal()
        assert again.ended() == 0
