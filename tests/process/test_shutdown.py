"""What a drain promises: nobody new, everybody old, then exit 0."""

import signal
import socket
from pathlib import Path

import pytest

from tests.support.bridge_process import SIGNALLED_AT_EXIT, BridgeProcess, connected, get
from tests.support.keys import owned_key, write_keys


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_bridge_ends_with_0_on_each_signal(tmp_path: Path, number: signal.Signals) -> None:
    with BridgeProcess(tmp_path) as bridge:
        bridge.started()
        bridge.signal(number)
        assert bridge.ended() == 0
        # Between them a busy machine may have held the loop up.
        told = [event for event in bridge.events() if event != "event_loop_lagged"]
        assert told[-2:] == ["draining", "stopped"]


def test_a_request_whose_body_is_still_coming_is_answered_before_the_end(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path) as bridge:
        port = bridge.started()
        with socket.create_connection(("127.0.0.1", port)) as client, connected(port) as other:
            other.request("GET", "/health")
            assert other.getresponse().read()
            body = b'{"name":"made-while-draining"}'
            head = f"POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body[:5])
            # A request on a second connection is answered after the first one was taken up.
            while b"in_flight 2.0" not in get(port, "/metrics")[1]:
                pass
            bridge.signal()
            assert bridge.until("draining")["requests"] == 1
            client.sendall(body[5:])
            answer = b""
            while part := client.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 201 ")
            assert b"connection: close" in answer.lower()
        assert bridge.ended() == 0


def test_during_the_drain_delay_the_bridge_serves_and_says_it_is_not_ready(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"DRAIN_DELAY_SECS": "60", "SHUTDOWN_GRACE_SECS": "100"}) as bridge:
        port = bridge.started()
        assert get(port, "/ready")[0] == 200
        bridge.signal()
        bridge.until("draining")
        assert get(port, "/ready")[0] == 503
        assert get(port, "/health")[0] == 200
        assert get(port, "/streams")[0] == 200
        bridge.signal()
        assert bridge.ended() == 0


def test_a_second_signal_cuts_a_request_that_never_ends(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"SHUTDOWN_GRACE_SECS": "600"}) as bridge:
        port = bridge.started()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
            )
            while b"in_flight 2.0" not in get(port, "/metrics")[1]:
                pass
            bridge.signal()
            bridge.until("draining")
            bridge.signal()
            assert bridge.ended() == 0
    assert "shutdown_step_cut" in bridge.events()


def test_the_grace_bounds_the_drain_and_what_is_cut_is_told(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"SHUTDOWN_GRACE_SECS": "0.5"}) as bridge:
        port = bridge.started()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
            )
            while b"in_flight 2.0" not in get(port, "/metrics")[1]:
                pass
            bridge.signal()
            assert bridge.ended() == 0
    cut = [line for line in bridge.lines if line["event"] == "shutdown_step_cut"]
    assert [line["step"] for line in cut][:1] == ["requests"]


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path) as first:
        port = first.started()
        with connected(port) as connection:
            connection.request("POST", "/streams", b'{"name":"kept"}', {"Content-Type": "application/json"})
            assert connection.getresponse().status == 201
        first.signal()
        assert first.ended() == 0
    with BridgeProcess(tmp_path) as second:
        assert get(second.started(), "/streams/kept")[0] == 200
        second.signal()
        assert second.ended() == 0


EARLY = """
import os, signal
import bridge.cli.serving as serving
as_it_was = serving.effective_of
def effective_of(given):
    os.kill(os.getpid(), signal.{name})
    return as_it_was(given)
serving.effective_of = effective_of
from bridge.__main__ import main
main()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_before_anything_is_begun_ends_it_with_0(tmp_path: Path, name: str) -> None:
    with BridgeProcess(tmp_path / "data", code=EARLY.format(name=name)) as bridge:
        assert bridge.ended() == 0
        assert bridge.lines == []
    assert not (tmp_path / "data").exists()


def test_a_hangup_before_anything_is_begun_ends_it_where_nothing_is_reloaded(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", code=EARLY.format(name="SIGHUP")) as bridge:
        assert bridge.ended() == 0
        assert [line["name"] for line in bridge.lines if line["event"] == "signal"] == ["SIGHUP"]
    keys = {"KEYS_FILE": str(write_keys(tmp_path / "keys.json", [owned_key(1)]))}
    with BridgeProcess(tmp_path / "data", keys, code=EARLY.format(name="SIGHUP")) as bridge:
        bridge.until("ready")
        bridge.signal()
        assert bridge.ended() == 0


def test_a_signal_when_everything_has_ended_changes_no_exit_code(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, code=SIGNALLED_AT_EXIT) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 0
