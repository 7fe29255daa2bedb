"""A real bridge whose topics are encrypted: what lies in the log, what is given, and what keys do as they come and go."""

import json
import os
import re
import signal
import uuid
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support.bridge_process import BridgeProcess, connected, get
from tests.support.events import user_event
from tests.support.iggy_server import IggyServer, running_server

SECRET = "4929-1111-2222-3333"


def _key(key_id: str) -> str:
    return f"{key_id}:{b64encode(key_id.encode().ljust(32, b'k')).decode()}"


# Not drawn: they are in the names of claims, which must be the same in all processes of a run.
OLD, NEW = _key("2026-10"), _key("2026-11")


@pytest.fixture(scope="module")
def iggy_server() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["local", pytest.param("iggy", marks=pytest.mark.iggy)])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of a bridge that comes back with what it had, and encrypts its default topic."""
    stream = f"s-{uuid.uuid4()}"
    given = {"IGGY_STREAM": stream, "ENCRYPTED_TOPICS": f"{stream}/*", "RATE_LIMIT_RPS": "0"}
    if request.param == "iggy":
        server: IggyServer = request.getfixturevalue("iggy_server")
        given["IGGY_CONNECTION_STRING"] = server.connection_string
    return given


def _post(port: int, path: str, body: Any) -> tuple[int, Any]:
    with connected(port) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")


def _event() -> dict[str, Any]:
    event = user_event()
    event["payload"]["name"] = SECRET
    return event


def _messages(port: int) -> list[dict[str, Any]]:
    status, body = get(port, "/messages?cursor=first&count=100")
    assert status == 200, body
    messages: list[dict[str, Any]] = json.loads(body)["messages"]
    return messages


def test_payloads_are_given_as_they_were_sent_over_restarts_and_rotations(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    events = [_event(), _event()]
    for event, keys in zip(events, (OLD, f"{NEW},{OLD}"), strict=True):
        with BridgeProcess(tmp_path, {**settings, "ENCRYPTION_KEYS": keys}) as bridge:
            port = bridge.started()
            assert _post(port, "/messages", {"event": event, "partition_key": "k"})[0] == 201
            bridge.signal()
            assert bridge.ended() == 0
    with BridgeProcess(tmp_path, {**settings, "ENCRYPTION_KEYS": f"{NEW},{OLD}"}) as bridge:
        messages = _messages(bridge.started())
        assert [message["event"] for message in messages] == events
        assert not any("headers" in message for message in messages)


def test_without_its_key_a_payload_is_ciphertext_that_says_so_and_holds_nobody_up(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with BridgeProcess(tmp_path, {**settings, "ENCRYPTION_KEYS": OLD}) as bridge:
        assert _post(bridge.started(), "/messages", {"event": _event(), "partition_key": "k"})[0] == 201
        bridge.signal()
        assert bridge.ended() == 0
    with BridgeProcess(tmp_path, {**settings, "ENCRYPTION_KEYS": NEW}) as bridge:
        port = bridge.started()
        event = _event()
        assert _post(port, "/messages", {"event": event, "partition_key": "k"})[0] == 201
        lost, found = _messages(port)
        assert lost["headers"]["bridge-encryption"] == "A256GCM 2026-10"
        assert lost["headers"]["bridge-encryption-error"] == "unknown_key"
        assert SECRET.encode() not in b64decode(lost["payload_base64"])
        assert found["event"] == event
        # One message, as often as it was read: a look for the end of a partition may read it too.
        counted = re.search(
            rb'bridge_payloads_not_decrypted_total{reason="unknown_key"} (\S+)', get(port, "/metrics")[1]
        )
        assert counted is not None
        assert float(counted[1]) >= 1
        told = bridge.until("payloads_not_decrypted")
        assert SECRET not in json.dumps(told)


def test_nothing_of_a_payload_is_in_any_file(tmp_path: Path) -> None:
    settings = {"ENCRYPTED_TOPICS": "*", "ENCRYPTION_KEYS": OLD}
    group = "/streams/sample-stream/topics/events/groups/g"
    with BridgeProcess(tmp_path, settings) as bridge:
        port = bridge.started()
        assert _post(port, "/messages", {"event": _event(), "partition_key": "k"})[0] == 201
        assert _post(port, "/messages/batch", {"events": [_event()], "partition_key": "k"})[0] == 201
        with connected(port) as connection:
            connection.request("POST", "/messages", SECRET, {"Content-Type": "text/plain"})
            assert connection.getresponse().status == 201
        status, received = _post(port, f"{group}/receive", {"count": 10, "max_deliveries": 1})
        assert status == 200
        assert (
            _post(port, f"{group}/nack", {"tokens": [each["token"] for each in received["messages"]]})[0]
            == 200
        )
        letters: list[dict[str, Any]] = []
        ends_s = monotonic() + 120
        while len(letters) < 3 and monotonic() < ends_s:
            # What has had its deliveries goes to the dead letters beside the next call.
            assert (
                _post(port, f"{group}/receive", {"count": 10, "max_deliveries": 1, "wait_ms": 100})[0] == 200
            )
            status, body = get(
                port, "/streams/sample-stream/topics/events.g.dlq/messages?cursor=first&count=10"
            )
            letters = json.loads(body)["messages"] if status == 200 else []
        assert json.dumps(letters).count(SECRET) == 3
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in files if SECRET.encode() in path.read_bytes()]
        bridge.signal()
        assert bridge.ended() == 0
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize(
    "keys,topics",
    [
        ("k:short", "*"),
        (OLD, "orders"),
        (OLD, "a/b/c"),
        ("", "orders/*"),
        (f"{OLD},{OLD}", "*"),
    ],
)
def test_keys_and_topics_that_cannot_be_used_are_78_and_not_shown(
    tmp_path: Path, keys: str, topics: str
) -> None:
    with BridgeProcess(tmp_path, {"ENCRYPTION_KEYS": keys, "ENCRYPTED_TOPICS": topics}) as bridge:
        assert bridge.ended() == 78
        said = json.dumps(bridge.lines)
        assert "ENCRYPT" in said
        assert not keys or keys not in said


def _send(port: int) -> dict[str, Any]:
    event = _event()
    assert _post(port, "/messages", {"event": event, "partition_key": "k"})[0] == 201
    return event


def test_a_file_of_keys_is_read_again_on_sighup_and_a_broken_one_leaves_the_old_in_force(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    file = tmp_path / "encryption.keys"
    file.write_text(f"{OLD}\n")
    data_dir = tmp_path / "data"
    with BridgeProcess(data_dir, {**settings, "ENCRYPTION_KEYS_FILE": str(file)}) as bridge:
        port = bridge.started()
        sent = [_send(port)]
        file.write_text(f"{NEW}\n{OLD}\n")
        bridge.signal(signal.SIGHUP)
        assert bridge.until("reloaded")["what"] == "encryption"
        sent.append(_send(port))
        for broken in (f"{NEW}\n{NEW}\n", "", "k:short"):
            file.write_text(broken)
            bridge.signal(signal.SIGHUP)
            assert "ENCRYPTION_KEYS_FILE: " in bridge.until("reload_failed")["detail"]
        file.unlink()
        bridge.signal(signal.SIGHUP)
        assert "No such file" in bridge.until("reload_failed")["detail"]
        os.mkfifo(file)
        bridge.signal(signal.SIGHUP)
        assert "no regular file" in bridge.until("reload_failed")["detail"]
        sent.append(_send(port))
        assert [message["event"] for message in _messages(port)] == sent
        assert b'bridge_reload_stale{what="encryption"} 1.0' in get(port, "/metrics")[1]
        bridge.signal()
        assert bridge.ended() == 0
        assert not any(key.partition(":")[2] in json.dumps(bridge.lines) for key in (OLD, NEW))
    # From the reload on the new key was the one that was written under.
    with BridgeProcess(data_dir, {**settings, "ENCRYPTION_KEYS": NEW}) as bridge:
        messages = _messages(bridge.started())
        assert [message.get("event") for message in messages] == [None, *sent[1:]]
        assert messages[0]["headers"]["bridge-encryption"] == "A256GCM 2026-10"
