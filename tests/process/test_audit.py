"""The audit log of a real bridge: what is in it, what is not, and what happens where it cannot be written."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.audit import verify
from bridge.audit.chain import Chain
from tests.support.bridge_process import BridgeProcess, connected, get, run_bridge
from tests.support.events import user_event
from tests.support.raw_ws import Dial

KEY = "a key of sixteen"
SECRET = "4929-1111-2222-3333"


def _call(port: int, method: str, path: str, body: Any = None, **headers: str) -> int:
    with connected(port) as connection:
        given = {"X-API-Key": KEY, "Content-Type": "application/json", **headers}
        connection.request(method, path, None if body is None else json.dumps(body), given)
        response = connection.getresponse()
        response.read()
        return response.status


def _records(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(list(verify(lines))) == len(lines)
    return [json.loads(line) for line in lines]


def _settings(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"API_KEY": KEY, "AUDIT_FILE": str(tmp_path / "audit.jsonl"), "RATE_LIMIT_RPS": "0", **more}


def _do(port: int) -> None:
    event = user_event()
    event["payload"]["name"] = SECRET
    topic = "/streams/orders/topics/new"
    assert _call(port, "POST", "/streams", {"name": "orders"}) == 201
    assert _call(port, "POST", "/streams/orders/topics", {"name": "new", "partitions": 1}) == 201
    assert _call(port, "POST", f"{topic}/messages", {"event": event}, **{"X-Request-Id": "r-1"}) == 201
    assert _call(port, "PUT", f"{topic}/consumers/c/offsets/0", {"offset": 0}) in {200, 204}
    assert _call(port, "GET", f"{topic}/messages?partition_id=0&offset=0") == 200
    assert _call(port, "GET", topic, **{"X-API-Key": f"wrong {SECRET}"}) == 401
    assert _call(port, "DELETE", "/streams/orders/topics/none") == 404
    assert _call(port, "DELETE", f"/streams/orders/topics/%3Cscript%3E{SECRET}") == 400
    assert _call(port, "DELETE", topic) == 204


def test_changes_and_refusals_are_written_with_who_and_what_and_outcome(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", _settings(tmp_path)) as bridge:
        _do(bridge.started())
        bridge.signal()
        assert bridge.ended() == 0
        closed = next(line for line in bridge.lines if line["event"] == "audit_log_closed")
    records = _records(tmp_path / "audit.jsonl")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", each["time"]) for each in records)
    topic = "/streams/{stream}/topics/{topic}"
    assert [(each["action"], each.get("stream"), each.get("topic"), each["status"]) for each in records] == [
        ("POST /streams", None, None, 201),
        ("POST /streams/{stream}/topics", "orders", None, 201),
        (f"PUT {topic}/consumers/{{consumer}}/offsets/{{partition}}", "orders", "new", records[2]["status"]),
        (f"GET {topic}", "orders", "new", 401),
        (f"DELETE {topic}", "orders", "none", 404),
        (f"DELETE {topic}", "orders", None, 400),
        (f"DELETE {topic}", "orders", "new", 204),
    ]
    assert [each["principal"] for each in records] == ["api-key"] * 3 + [None] + ["api-key"] * 3
    assert records[0]["made"] == "/streams/orders"
    assert records[3]["error"] == "unauthorized"
    assert {each["client"] for each in records} == {"127.0.0.1"}
    assert SECRET not in (tmp_path / "audit.jsonl").read_text()
    assert (closed["seq"], closed["head"]) == (records[-1]["seq"], records[-1]["hash"])


def test_all_requests_are_written_where_that_is_asked_for(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", _settings(tmp_path, AUDIT_REQUESTS="all")) as bridge:
        _do(bridge.started())
        bridge.signal()
        assert bridge.ended() == 0
    records = _records(tmp_path / "audit.jsonl")
    (sent,) = [each for each in records if each["request_id"] == "r-1"]
    assert (sent["action"], sent["status"]) == ("POST /streams/{stream}/topics/{topic}/messages", 201)
    assert len(records) == 9
    assert SECRET not in (tmp_path / "audit.jsonl").read_text()


async def _talk(port: int, narrow: str) -> None:
    """What the holder of the key, and then one who may only read, asks over a socket."""
    group = {"subscription": "g"}
    async with Dial(port) as dial:
        socket = await dial.open(f"X-API-Key: {KEY}", "X-Request-Id: s-1")
        await socket.say("publish", id="p", event={"event": SECRET})
        assert (await socket.frame()).told["op"] == "error"
        await socket.say("publish", id="p-2", text=SECRET)
        assert (await socket.frame()).told["op"] == "receipt"
        await socket.say("subscribe", id="g", permits=1, group="mailer")
        assert (await socket.frame()).told["op"] == "subscribed"
        token = (await socket.frame()).told["message"]["token"]
        await socket.say("ack", id="a", tokens=[token], **group)
        assert (await socket.frame()).told["op"] == "settled"
        await socket.say("ping", id="x")
        assert (await socket.frame()).told["op"] == "pong"
        await socket.say("unsubscribe", **group)
        assert (await socket.frame()).told["op"] == "ended"
        reader = await dial.open(f"X-API-Key: {narrow}", "X-Request-Id: s-2")
        await reader.say("publish", id="p", text=SECRET)
        assert (await reader.frame()).told["problem"]["error"] == "insufficient_scope"


@pytest.mark.parametrize("requests", ["changes", "all"])
async def test_operations_of_a_socket_are_written_as_requests_are(tmp_path: Path, requests: str) -> None:
    keys = str(tmp_path / "keys.json")
    made = run_bridge("keys", "add", "reader", "--allow", "consume", "--file", keys)
    settings = _settings(tmp_path, KEYS_FILE=keys, AUDIT_REQUESTS=requests)
    with BridgeProcess(tmp_path / "data", settings) as bridge:
        await _talk(await asyncio.to_thread(bridge.started), made.stdout.strip())
        bridge.signal()
        assert await asyncio.to_thread(bridge.ended) == 0
    records = [each for each in _records(tmp_path / "audit.jsonl") if "operation_id" in each]
    names = ("request_id", "principal", "action", "operation_id", "group", "status", "error")
    told = [tuple(each.get(name) for name in names) for each in records]
    refused = ("s-2", "reader", "publish /ws", "p", None, 403, "insufficient_scope")
    if requests == "changes":
        assert told == [refused]
        return
    assert told == [
        ("s-1", "api-key", "publish /ws", "p", None, 400, "serialization_error"),
        ("s-1", "api-key", "publish /ws", "p-2", None, 201, None),
        ("s-1", "api-key", "ack /ws", "a", "mailer", 200, None),
        ("s-1", "api-key", "subscribe /ws", "g", "mailer", 200, None),
        refused,
    ]
    assert {(each["stream"], each["topic"]) for each in records} == {("sample-stream", "events")}
    assert SECRET not in (tmp_path / "audit.jsonl").read_text()


async def test_who_asks_for_what_they_may_not_see_is_written_down_though_the_answer_is_404(
    tmp_path: Path,
) -> None:
    keys = str(tmp_path / "keys.json")
    elsewhere = run_bridge("keys", "add", "guest", "--allow", "consume:else/*", "--file", keys).stdout.strip()
    with BridgeProcess(tmp_path / "data", _settings(tmp_path, KEYS_FILE=keys)) as bridge:
        port = await asyncio.to_thread(bridge.started)
        seen = "/streams/else"
        for path in ("/streams/sample-stream", f"{seen}/topics/none", "/streams/sample-stream/topics/events"):
            assert await asyncio.to_thread(_call, port, "GET", path, **{"X-API-Key": elsewhere}) == 404
        async with Dial(port) as dial:
            socket = await dial.open(f"X-API-Key: {elsewhere}")
            await socket.say("subscribe", id="s", permits=1, stream="sample-stream", topic="events")
            assert (await socket.frame()).told["problem"]["error"] == "not_found"
        bridge.signal()
        assert await asyncio.to_thread(bridge.ended) == 0
    told = [
        (each["principal"], each["action"], each["status"]) for each in _records(tmp_path / "audit.jsonl")
    ]
    assert told == [
        ("guest", "GET /streams/{stream}", 404),
        ("guest", "GET /streams/{stream}/topics/{topic}", 404),
        ("guest", "subscribe /ws", 404),
    ]


def test_while_it_cannot_be_written_nothing_is_changed_and_messages_go_on(tmp_path: Path) -> None:
    # A device that is always full stands for the disk.
    settings = {**_settings(tmp_path), "AUDIT_FILE": "/dev/full"}
    code = (
        "from bridge.audit import trail; from bridge.audit.chain import Chain; "
        "trail._opened = lambda path: (trail._open_locked(path), 0, Chain()); "
        "from bridge.__main__ import main; main()"
    )
    with BridgeProcess(tmp_path / "data", settings, code=code) as bridge:
        port = bridge.started()
        assert _call(port, "POST", "/streams", {"name": "first"}) == 201
        bridge.until("audit_log_fails")
        assert _call(port, "POST", "/streams", {"name": "second"}) == 503
        assert _call(port, "GET", "/streams/second") == 404
        assert _call(port, "POST", "/messages", {"event": user_event(), "partition_key": "k"}) == 201
        assert b"bridge_audit_failures_total 0.0" not in get(port, "/metrics", {"X-API-Key": KEY})[1]
        bridge.signal()
        assert bridge.ended() == 0


def test_a_file_that_cannot_be_written_is_69_before_anything_is_served(tmp_path: Path) -> None:
    with BridgeProcess(
        tmp_path / "data", _settings(tmp_path, AUDIT_FILE=str(tmp_path / "no" / "f"))
    ) as bridge:
        assert bridge.ended() == 69
        assert "listening" not in bridge.events()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with BridgeProcess(tmp_path / "data", _settings(tmp_path)) as bridge:
        _do(bridge.started())
        bridge.signal()
        assert bridge.ended() == 0
    return tmp_path / "audit.jsonl"


def test_the_command_finds_what_was_done_to_the_chain(written: Path) -> None:
    whole = run_bridge("audit", "verify", str(written), "-o", "json")
    assert whole.returncode == 0, whole.stderr
    told = json.loads(whole.stdout)
    assert (told["records"], told["first"], told["last"]) == (7, 1, 7)
    lines = written.read_bytes().splitlines(keepends=True)
    first, second = written.with_name("first.jsonl"), written.with_name("second.jsonl")
    first.write_bytes(b"".join(lines[:3]))
    second.write_bytes(b"".join(lines[3:]))
    assert run_bridge("audit", "verify", str(second), str(first)).returncode == 0
    assert run_bridge("audit", "verify", str(second)).returncode == 0
    cut = run_bridge("audit", "verify", str(first), "--head", told["head"])
    assert cut.returncode == 1
    assert "cut off" in cut.stderr
    second.write_bytes(b"".join(lines[4:]))
    gone = run_bridge("audit", "verify", str(second), str(first))
    assert gone.returncode == 1
    assert f"{second} line 1: record 4 should stand here" in gone.stderr.replace("\n", " ")
    written.write_bytes(written.read_bytes().replace(b'"status":204', b'"status":404'))
    changed = run_bridge("audit", "verify", str(written))
    assert changed.returncode == 1
    assert "record 7 was changed" in changed.stderr
    assert run_bridge("audit", "verify", str(written.with_name("none"))).returncode == 1
    assert run_bridge("audit", "verify").returncode == 2


def test_what_has_no_end_is_no_audit_log_and_stdin_may_be_one(tmp_path: Path) -> None:
    chain = Chain()
    log = b"".join(chain.record({"time": "now", "action": number}) for number in range(3))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in ("/dev/zero", str(pipe)):
        refused = run_bridge("audit", "verify", path)
        assert refused.returncode == 1
        assert "it is no regular file" in " ".join(refused.stderr.split())
    with Path("/dev/zero").open("rb") as zeros:
        broken = run_bridge("audit", "verify", "-", stdin=zeros)
    assert (broken.returncode, "stdin line 1: it is no whole record" in broken.stderr) == (1, True)
    lines = log.splitlines(keepends=True)
    first, rest = tmp_path / "first", tmp_path / "rest"
    first.write_bytes(lines[0])
    rest.write_bytes(b"".join(lines[1:]))
    for file, given in ((rest, first), (first, rest)):
        with given.open("rb") as stdin:
            whole = run_bridge("audit", "verify", str(file), "-", "-o", "json", stdin=stdin)
        assert (whole.returncode, json.loads(whole.stdout)["records"]) == (0, 3)
