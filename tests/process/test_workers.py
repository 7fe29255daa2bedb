"""What several workers behind one port promise; real processes over a real Iggy."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.support.bridge_process import SIGNALLED_AT_EXIT, BridgeProcess, get, run_bridge
from tests.support.checker import Account, Stored
from tests.support.events import generic_event
from tests.support.iggy_server import IggyServer, running_server
from tests.support.ports import held_port

pytestmark = pytest.mark.iggy

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def iggy() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


def bridge_of(directory: Path, iggy: IggyServer, *, code: str | None = None, **environ: str) -> BridgeProcess:
    settings = {
        "WORKERS": "2",
        "IGGY_CONNECTION_STRING": iggy.connection_string,
        "RATE_LIMIT_RPS": "0",
        **environ,
    }
    return BridgeProcess(directory, settings, code=code)


def pids(bridge: BridgeProcess) -> dict[int, int]:
    """By worker, the process that serves as it now."""
    return {line["started"]: line["pid"] for line in bridge.lines if line["event"] == "worker_started"}


def all_ready(bridge: BridgeProcess, count: int = 2) -> int:
    """Wait until so many workers are ready; the port."""
    port = int(bridge.until("listening")["port"])
    for _ in range(count):
        bridge.until("ready")
    return port


def figure(port: int, name: str) -> float:
    text = get(port, "/metrics")[1].decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def post(connection: HTTPConnection, number: int, account: Account) -> None:
    """Send one message; a connection that breaks leaves its outcome unknown."""
    source = f"n{number}"
    account.send(source, source.encode())
    try:
        event = generic_event(number, source=source)
        connection.request("POST", "/messages", json.dumps({"event": event}), JSON)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException):
        connection.close()
        account.doubt(source)
        return
    if answer.status == HTTPStatus.CREATED:
        told = json.loads(body)
        account.acknowledge(source, told["partition_id"], told["offset"])


def stored(port: int) -> dict[int, list[Stored]]:
    """All messages there are, by partition; the source of each is its id and its payload."""
    found: dict[int, list[Stored]] = {}
    for partition in range(3):
        found[partition] = []
        while True:
            query = f"partition_id={partition}&offset={len(found[partition])}&count=100"
            status, body = get(port, f"/messages?{query}")
            assert status == HTTPStatus.OK
            messages = json.loads(body)["messages"]
            if not messages:
                break
            for each in messages:
                source = each["event"]["source"]
                found[partition].append(Stored(each["offset"], source, source.encode()))
    return found


def test_both_workers_answer_on_one_port_and_every_line_of_the_log_names_one(
    tmp_path: Path, iggy: IggyServer
) -> None:
    with bridge_of(tmp_path, iggy) as bridge:
        port = all_ready(bridge)
        for _ in range(64):
            assert get(port, "/streams")[0] == 200
        # A worker that is not asked for them tells its figures once a second.
        name = 'bridge_http_requests_total{method="GET",route="/streams",status="200"}'
        while (told := figure(port, name)) < 64:
            pass
        assert told == 64
        bridge.signal()
        assert bridge.ended() == 0
    assert {line["worker"] for line in bridge.lines if line["event"] == "request"} == {1, 2}
    assert {line["worker"] for line in bridge.lines} == {0, 1, 2}
    assert bridge.events().count("stopped") == 3


def test_when_the_terminal_goes_all_workers_drain_and_the_bridge_ends_with_0(
    tmp_path: Path, iggy: IggyServer
) -> None:
    with bridge_of(tmp_path, iggy) as bridge:
        all_ready(bridge)
        bridge.signal(signal.SIGHUP)
        assert bridge.ended() == 0
    assert bridge.events().count("draining") == 3
    assert bridge.events().count("stopped") == 3


def test_a_worker_that_is_killed_is_followed_by_another_and_no_acknowledged_message_is_lost(
    tmp_path: Path, iggy: IggyServer
) -> None:
    stream = f"killed-{os.getpid()}"
    with bridge_of(tmp_path, iggy, IGGY_STREAM=stream) as bridge:
        port = all_ready(bridge)
        connections = [HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(16)]
        account, name = (
            Account("none"),
            'bridge_http_requests_total{method="POST",route="/messages",status="201"}',
        )
        before = after = 0.0
        for number in range(400):
            if number == 150:
                before = figure(port, name)
                os.kill(pids(bridge)[1], signal.SIGKILL)
            post(connections[number % 16], number, account)
        ended = bridge.until("worker_ended")
        assert (ended["ended"], ended["exit_code"]) == (1, -signal.SIGKILL)
        bridge.until("ready")
        after = figure(port, name)
        assert after >= before > 0
        assert figure(port, 'bridge_worker_starts_total{worker="1"}') == 2
        account.check(stored(port))
        # All but those that were on their way to the one that was killed.
        assert account.acknowledged_count >= 400 - 16
        for connection in connections:
            connection.close()
        bridge.signal()
        assert bridge.ended() == 0


def test_callers_who_come_while_a_worker_is_away_are_answered_and_not_reset(
    tmp_path: Path, iggy: IggyServer
) -> None:
    with bridge_of(tmp_path, iggy) as bridge:
        port = all_ready(bridge)
        os.kill(pids(bridge)[2], signal.SIGKILL)
        bridge.until("worker_ended")
        assert [get(port, "/streams")[0] for _ in range(16)] == [200] * 16
        bridge.signal()
        assert bridge.ended() == 0


def test_a_drain_reaches_every_worker_and_finishes_what_they_serve(tmp_path: Path, iggy: IggyServer) -> None:
    body = b'{"name":"drained-%d"}'
    with bridge_of(tmp_path, iggy) as bridge:
        port = all_ready(bridge)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
        for number, client in enumerate(clients):
            text = body % number
            head = f"POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            client.sendall(head.encode() + text[:4])
        while figure(port, "bridge_http_requests_in_flight") < 13:
            pass
        bridge.signal()
        assert sum(bridge.until("draining").get("requests", 0) for _ in range(3)) == 12
        for number, client in enumerate(clients):
            client.sendall((body % number)[4:])
        for client in clients:
            assert client.makefile("rb").readline() == b"HTTP/1.1 201 Created\r\n"
            client.close()
        assert bridge.ended() == 0


def test_a_signal_when_all_workers_have_ended_changes_no_exit_code(tmp_path: Path, iggy: IggyServer) -> None:
    with bridge_of(tmp_path, iggy, code=SIGNALLED_AT_EXIT) as bridge:
        all_ready(bridge)
        bridge.signal()
        assert bridge.ended() == 0


def test_a_burst_over_both_workers_is_one_burst(tmp_path: Path, iggy: IggyServer) -> None:
    with bridge_of(tmp_path, iggy, RATE_LIMIT_RPS="1", RATE_LIMIT_BURST="20") as bridge:
        port = all_ready(bridge)
        statuses = [get(port, "/streams")[0] for _ in range(60)]
        bridge.signal()
        assert bridge.ended() == 0
    requests = [line for line in bridge.lines if line["event"] == "request" and line["route"] == "/streams"]
    assert {line["worker"] for line in requests} == {1, 2}
    # One token comes back each second.
    seconds = sum(line["duration_ms"] for line in requests) / 1000 + 10
    assert 20 <= statuses.count(200) <= 20 + seconds
    assert statuses.count(429) >= 25


def test_wrong_keys_at_both_workers_count_together(tmp_path: Path, iggy: IggyServer) -> None:
    with bridge_of(tmp_path, iggy, API_KEY="a-key-that-nobody-guesses") as bridge:
        port = all_ready(bridge)
        statuses = [get(port, "/streams", {"X-API-Key": f"wrong{n}"})[0] for n in range(8)]
        assert statuses == [401] * 5 + [429] * 3
        bridge.signal()
        assert bridge.ended() == 0


def test_the_port_of_the_metrics_tells_of_all_workers(tmp_path: Path, iggy: IggyServer) -> None:
    with (
        held_port() as metrics_port,
        bridge_of(tmp_path, iggy, METRICS_PORT=str(metrics_port)) as bridge,
    ):
        port = all_ready(bridge)
        for _ in range(32):
            assert get(port, "/streams")[0] == 200
        assert get(port, "/metrics")[0] == 404
        name = 'bridge_http_requests_total{method="GET",route="/streams",status="200"}'
        # A worker that is asked nothing tells its figures once a second.
        while figure(metrics_port, name) < 32:
            pass
        bridge.signal()
        assert bridge.ended() == 0


def test_workers_of_a_parent_that_was_killed_end(tmp_path: Path, iggy: IggyServer) -> None:
    with bridge_of(tmp_path, iggy) as bridge:
        all_ready(bridge)
        bridge.signal(signal.SIGKILL)
        # The pipe of the log ends only when the last of them has.
        assert bridge.ended() == -signal.SIGKILL
    assert bridge.events().count("parent_gone") == 2
    assert bridge.events().count("stopped") == 2


def test_workers_that_never_live_long_end_all_with_70(tmp_path: Path, iggy: IggyServer) -> None:
    code = """
import sys
import bridge.workers.supervisor as supervisor
supervisor.WORKER_RESTART_BASE_DELAY_S = 0.001
real = supervisor.asyncio.create_subprocess_exec
async def broken(program, *arguments, **options):
    return await real(program, "-c", "raise SystemExit(3)", **options)
supervisor.asyncio.create_subprocess_exec = broken
from bridge.__main__ import main
main()
"""
    settings = {"WORKERS": "2", "IGGY_CONNECTION_STRING": iggy.connection_string}
    with BridgeProcess(tmp_path, settings, code=code) as bridge:
        assert bridge.ended() == 70
    last = [line for line in bridge.lines if line["event"] == "worker_ended"][-1]
    assert last["exit_code"] == 3
    assert last["again_in_s"] is None


def test_a_worker_whose_attempts_to_reach_iggy_run_out_ends_all_with_69(tmp_path: Path) -> None:
    with held_port() as closed:
        settings = {
            "WORKERS": "2",
            "IGGY_CONNECTION_STRING": f"iggy://iggy:iggy@127.0.0.1:{closed}",
            "MAX_RECONNECT_ATTEMPTS": "2",
            "RECONNECT_BASE_DELAY_MS": "1",
            "RECONNECT_MAX_DELAY_MS": "5",
        }
        with BridgeProcess(tmp_path, settings) as bridge:
            bridge.until("worker_ended")
            assert bridge.ended() == 69
    assert bridge.events().count("worker_started") == 2


def test_a_taken_port_is_told_once_and_no_worker_is_started(tmp_path: Path, iggy: IggyServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with bridge_of(tmp_path, iggy, PORT=str(port)) as bridge:
            assert f"port {port} of 127.0.0.1 is taken" in bridge.until("unavailable")["detail"]
            assert bridge.ended() == 69
    assert bridge.events() == ["unavailable"]


def test_a_second_signal_cuts_what_the_workers_wait_for(tmp_path: Path, iggy: IggyServer) -> None:
    with bridge_of(tmp_path, iggy, SHUTDOWN_GRACE_SECS="600") as bridge:
        port = all_ready(bridge)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
            )
            while figure(port, "bridge_http_requests_in_flight") < 2:
                pass
            bridge.signal()
            for _ in range(3):
                bridge.until("draining")
            bridge.signal()
            assert bridge.ended() == 0
    assert "shutdown_step_cut" in bridge.events()


def test_a_worker_that_hangs_is_killed_when_the_grace_is_over_and_the_exit_is_70(
    tmp_path: Path, iggy: IggyServer
) -> None:
    with bridge_of(tmp_path, iggy, SHUTDOWN_GRACE_SECS="0.5") as bridge:
        all_ready(bridge)
        stopped = pids(bridge)[1]
        os.kill(stopped, signal.SIGSTOP)
        bridge.signal()
        killed = bridge.until("worker_killed")
        assert killed["pid"] == stopped
        assert bridge.ended() == 70


def test_the_embedded_log_with_more_than_one_worker_is_refused_with_the_reason(tmp_path: Path) -> None:
    ended = run_bridge("serve", environ={"WORKERS": "2", "DATA_DIR": str(tmp_path / "data")})
    assert ended.returncode == 78
    assert "the embedded log has one writing process" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_auto_on_the_embedded_log_is_one_process(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"WORKERS": "auto"}) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 0
    assert "worker_started" not in bridge.events()


def test_a_worker_started_by_hand_ends_with_70() -> None:
    assert run_bridge("worker").returncode == 70
