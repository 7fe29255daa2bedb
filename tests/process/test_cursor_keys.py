"""Who reads whose cursors; real processes."""

import json
import signal
from pathlib import Path
from threading import Thread

import pytest

from bridge.process.files import CURSOR_KEY_FILE
from tests.support.bridge_process import BridgeProcess, connected, get, run_bridge
from tests.support.iggy_server import running_server

KEY = "a key of sixteen characters or more"


def cursor(port: int) -> str:
    status, body = get(port, "/messages?cursor=last")
    assert status == 200
    found: str = json.loads(body)["next_cursor"]
    return found


def begun(directory: Path, **environ: str) -> tuple[BridgeProcess, int]:
    bridge = BridgeProcess(directory, environ)
    port = int(bridge.until("listening")["port"])
    bridge.until("ready")
    return bridge, port


def test_a_cursor_outlives_a_restart_with_the_same_key_and_no_other(tmp_path: Path) -> None:
    first, port = begun(tmp_path, CURSOR_KEY=KEY)
    with first:
        token = cursor(port)
    again, port = begun(tmp_path, CURSOR_KEY=KEY)
    with again:
        assert get(port, f"/messages?cursor={token}")[0] == 200
        assert not any(line["event"].startswith("cursor_key") for line in again.lines)
    other, port = begun(tmp_path)
    with other:
        assert get(port, f"/messages?cursor={token}")[0] == 400


def test_a_browser_goes_on_after_a_kill_9_of_a_bridge_that_was_given_no_key(tmp_path: Path) -> None:
    first, port = begun(tmp_path)
    with first:
        token = cursor(port)
        first.signal(signal.SIGKILL)
        first.ended()
    again, port = begun(tmp_path)
    with again, connected(port) as connection:
        connection.request("GET", "/messages/stream", headers={"Last-Event-ID": token})
        assert connection.getresponse().status == 200
    told = [line["event"] for each in (first, again) for line in each.lines]
    assert [event for event in told if event.startswith("cursor_key")] == ["cursor_key_kept"]


def test_a_key_that_is_kept_and_spoilt_ends_the_start_with_a_word_that_does_not_show_it(
    tmp_path: Path,
) -> None:
    (tmp_path / CURSOR_KEY_FILE).write_text("spoilt\n")
    with BridgeProcess(tmp_path) as bridge:
        assert bridge.ended() == 69
    assert CURSOR_KEY_FILE in bridge.lines[-1]["detail"]
    assert "spoilt" not in json.dumps(bridge.lines)


def test_a_key_that_can_be_guessed_is_refused() -> None:
    ended = run_bridge("serve", environ={"CURSOR_KEY": "short"})
    assert ended.returncode == 78
    assert "CURSOR_KEY" in ended.stdout + ended.stderr
    assert "short" not in (ended.stdout + ended.stderr).replace("CURSOR_KEY", "")


def test_a_drain_answers_a_long_poll_with_what_there_is(tmp_path: Path) -> None:
    bridge, port = begun(tmp_path)
    answers: list[tuple[int, bytes]] = []
    with bridge:
        waiting = Thread(target=lambda: answers.append(get(port, "/messages?wait_ms=25000")))
        waiting.start()
        while b"bridge_http_requests_in_flight 2.0" not in get(port, "/metrics")[1]:
            pass
        bridge.process.terminate()
        bridge.until("stopped")
        waiting.join()
    assert answers[0][0] == 200
    assert json.loads(answers[0][1])["messages"] == []


@pytest.mark.iggy
def test_workers_read_each_other_s_cursors_though_no_key_was_given(tmp_path: Path) -> None:
    with running_server() as server:
        environ = {"WORKERS": "2", "IGGY_CONNECTION_STRING": server.connection_string, "RATE_LIMIT_RPS": "0"}
        with BridgeProcess(tmp_path, environ) as bridge:
            port = int(bridge.until("listening")["port"])
            for _ in range(2):
                bridge.until("ready")
            told = [line for line in bridge.lines if line["event"] == "cursor_key_made"]
            assert len(told) == 1
            # Each on a connection of its own, which either worker may take.
            token = cursor(port)
            for _ in range(30):
                status, body = get(port, f"/messages?cursor={token}")
                assert status == 200, body
                token = json.loads(body)["next_cursor"]
