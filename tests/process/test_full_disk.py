"""A bridge without space, from outside: it says so once, lets everything be read and deleted, and goes on by itself."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridge_process import BridgeProcess, connected
from tests.support.small_disks import fill, small_disk

MIB = 1024 * 1024
ENVIRON = {"RATE_LIMIT_RPS": "0"}
EVENT = {
    "id": "7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11",
    "event_type": "a.b",
    "timestamp": "2026-01-02T03:04:05Z",
    "payload": {"type": "Generic", "data": {"filler": "x" * 60_000}},
}
_LIMITED = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({8 * MIB}, {8 * MIB}))
from bridge.__main__ import main
main()
"""


class Calls:
    """Requests on one connection; `(status, headers, body)` of each."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        content = response.read()
        return response.status, dict(response.getheaders()), json.loads(content) if content else None

    def fill(self, topic: str) -> tuple[int, dict[str, str], Any]:
        """Store until something is refused; the refusal."""
        for _ in range(2_000):
            answer = self("POST", f"/streams/s/topics/{topic}/messages", {"event": EVENT})
            if answer[0] != 201:
                return answer
        raise AssertionError("never full")

    def ready_again(self) -> None:
        while self("GET", "/ready")[0] != 200:
            pass


@contextmanager
def limited(directory: Path) -> Iterator[tuple[Path, str | None]]:
    """No file may grow beyond 8 MiB: for machines where nothing may be mounted."""
    yield directory, _LIMITED


@contextmanager
def mounted(directory: Path) -> Iterator[tuple[Path, str | None]]:
    with small_disk(directory, 8 * MIB) as disk:
        yield disk / "data", None


@pytest.mark.parametrize("disk", [limited, mounted])
def test_a_full_disk_is_told_once_and_left_by_deleting(tmp_path: Path, disk: Callable[[Path], Any]) -> None:
    with (
        disk(tmp_path / "disk") as (data_dir, code),
        BridgeProcess(data_dir, ENVIRON, code=code) as bridge,
        connected(bridge.started()) as connection,
    ):
        call = Calls(connection)
        call("POST", "/streams", {"name": "s"})
        for topic in ("kept", "deleted", "purged"):
            call("POST", "/streams/s/topics", {"name": topic, "partitions": 1})
        call("POST", "/streams/s/topics/kept/messages", {"event": EVENT})
        for path, method in (("deleted", "DELETE"), ("purged/purge", "POST")):
            status, headers, refusal = call.fill(path.partition("/")[0])
            assert (status, refusal["error"], refusal["outcome"]) == (503, "overloaded", "not_written")
            assert refusal["retryable"] is True
            assert int(headers["Retry-After"]) > 0
            status, _, body = call("GET", "/ready")
            assert (status, body["checks"]["log"]["state"]) == (503, "full")
            assert "Delete topics" in body["checks"]["log"]["detail"]
            assert call("GET", "/health")[0] == 200
            assert len(call("GET", "/streams/s/topics/kept/messages?offset=0&count=1")[2]["messages"]) == 1
            assert call(method, f"/streams/s/topics/{path}")[0] == 204
            call.ready_again()
            assert call("POST", "/streams/s/topics/kept/messages", {"event": EVENT})[0] == 201
        bridge.signal()
        assert bridge.ended() == 0
        told = [event for event in bridge.events() if event not in ("request", "listening", "ready")]
        assert [event for event in told if "full" in event or "space" in event] == [
            "embedded_log_full",
            "embedded_log_has_space_again",
        ] * 2
        assert "task_step_failed" not in told


def test_a_restart_on_a_full_disk_serves_and_leaves_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        with BridgeProcess(disk / "data", ENVIRON) as bridge:
            with connected(bridge.started()) as connection:
                call = Calls(connection)
                call("POST", "/streams", {"name": "s"})
                call("POST", "/streams/s/topics", {"name": "t", "partitions": 1})
                call.fill("t")
            bridge.process.kill()
        fill(disk)
        with BridgeProcess(disk / "data", ENVIRON) as bridge, connected(bridge.started()) as connection:
            call = Calls(connection)
            while call("GET", "/ready")[2]["checks"]["log"]["state"] != "full":
                call("POST", "/streams/s/topics/t/messages", {"event": EVENT})
            assert call("GET", "/streams/s/topics/t/messages?offset=0&count=1")[0] == 200
            assert call("DELETE", "/streams/s/topics/t")[0] == 204
            call.ready_again()
            assert call("POST", "/messages", {"event": EVENT})[0] == 201
