"""Tickets on a real bridge: what a page does that cannot set headers."""

import json
from http.client import HTTPConnection
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, run_bridge

KEY = "a key of sixteen"


def _ask(port: int, method: str, path: str, key: str | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={} if key is None else {"X-API-Key": key})
        response = connection.getresponse()
        # Of a stream its head is enough.
        return response.status, b"" if "stream?" in path and response.status == 200 else response.read()
    finally:
        connection.close()


def _ticket(port: int, key: str) -> str:
    status, body = _ask(port, "POST", "/tickets", key)
    assert status == 201, body
    ticket: str = json.loads(body)["ticket"]
    return ticket


def test_a_ticket_opens_one_stream_and_nothing_else(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    made = run_bridge("keys", "add", "page", "--allow", "consume:other/*", "--file", str(keys))
    narrow = made.stdout.strip()
    with BridgeProcess(tmp_path / "data", {"API_KEY": KEY, "KEYS_FILE": str(keys)}) as bridge:
        port = bridge.started()
        assert _ask(port, "POST", "/tickets")[0] == 401
        ticket = _ticket(port, KEY)
        assert _ask(port, "GET", f"/messages?cursor=first&ticket={ticket}")[0] == 401
        assert _ask(port, "GET", f"/messages/stream?from=first&ticket={ticket}")[0] == 200
        assert _ask(port, "GET", f"/messages/stream?from=first&ticket={ticket}")[0] == 401
        twice = _ticket(port, KEY)
        assert _ask(port, "GET", f"/messages/stream?ticket={twice}&ticket={twice}")[0] == 401
        assert _ask(port, "GET", f"/ws?ticket={_ticket(port, KEY)}")[0] == 426
        assert _ask(port, "GET", f"/messages/stream?ticket={_ticket(port, narrow)}")[0] == 404
        assert _ask(port, "GET", "/messages/stream?ticket=made-up")[0] == 401
        revoked = _ticket(port, narrow)
        assert run_bridge("keys", "revoke", "page", "--file", str(keys)).returncode == 0
        bridge.until("reloaded")
        assert _ask(port, "GET", f"/messages/stream?ticket={revoked}")[0] == 401
        bridge.signal()
        assert bridge.ended() == 0
        assert ticket not in json.dumps(bridge.lines)
