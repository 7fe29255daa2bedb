"""`bridge backup` and `bridge restore` as processes: beside a bridge that writes, killed, and with copies that are none."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.locallog import schema
from tests.support.bridge_process import ROOT, BridgeProcess, connected, environment, get, run_bridge
from tests.support.copies import changed, spoil
from tests.support.senders import sending

ENVIRON = {"RATE_LIMIT_RPS": "0"}
FILE = "messages.db"
LOAD = "/streams/s/topics/load/messages"
WORK = "/streams/s/topics/work"
TIMEOUT_S = 60.0


def call(port: int, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """One request, answered well."""
    with connected(port) as connection:
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        kind = {"Content-Type": "text/plain" if isinstance(body, str) else "application/json"}
        connection.request(method, path, content, {**kind, **headers})
        response = connection.getresponse()
        answer = response.read()
        assert response.status < 300, answer
        return json.loads(answer) if answer else None


def lines(port: int, path: str) -> list[dict[str, Any]]:
    status, body = get(port, path, {"Accept": "application/x-ndjson"})
    assert status == 200
    return [json.loads(line) for line in body.splitlines()]


def backup(data_dir: Path, target: Path, *, code: str | None = None) -> subprocess.CompletedProcess[str]:
    if code is None:
        return run_bridge("backup", str(target), "--data-dir", str(data_dir))
    return subprocess.run(
        [sys.executable, "-c", code, "backup", str(target), "--data-dir", str(data_dir)],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )


def restore(copy: Path, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return run_bridge("restore", str(copy), "--data-dir", str(data_dir))


def stop(bridge: BridgeProcess) -> None:
    bridge.signal()
    assert bridge.ended() == 0


def group_state(port: int) -> list[tuple[int, int | None, int, int]]:
    group = call(port, "GET", f"{WORK}/groups/g")
    return [
        (part["partition_id"], part["committed_offset"], part["lag"], part["in_flight"])
        for part in group["partitions"]
    ]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A log that a bridge made and closed: three messages."""
    with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
        port = bridge.started()
        for number in range(3):
            call(port, "POST", "/messages?partition_id=0", f"message {number}")
        stop(bridge)
    return tmp_path / "data"


@pytest.mark.timeout(300)
def test_what_was_acknowledged_before_a_backup_under_load_is_served_after_its_restore(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
        port = bridge.started()
        call(port, "POST", "/streams", {"name": "s"})
        for topic in ("load", "work"):
            call(port, "POST", "/streams/s/topics", {"name": topic, "partitions": 2})
        for number in range(6):
            call(port, "POST", f"{WORK}/messages?partition_id={number % 2}", f"task {number}")
        call(port, "PUT", f"{WORK}/consumers/c/offsets/1", {"offset": 2})
        received = call(port, "POST", f"{WORK}/groups/g/receive", {"count": 6, "visibility_ms": 600_000})
        tokens = [message["token"] for message in received["messages"]]
        call(port, "POST", f"{WORK}/groups/g/ack", {"tokens": tokens[:3]})
        state = group_state(port)
        # So that a backup takes several steps.
        for _ in range(100):
            call(port, "POST", f"{WORK}/messages?partition_id=0", "x" * 200_000)

        with sending(port, LOAD, senders=4) as load:
            load.acknowledged(100)
            before = dict(load.account.acknowledged)
            copied = backup(tmp_path / "data", tmp_path / "copy")
            after = load.account.acknowledged_count
            load.acknowledged(after + 100)
        assert (copied.returncode, copied.stderr) == (0, "")
        # The writers went on while it was made.
        assert after > len(before)
        original = [lines(port, f"{LOAD}?partition_id={number}&offset=0") for number in range(2)]
        assert restore(tmp_path / "copy", tmp_path / "data").returncode == 69
        restored = restore(tmp_path / "copy", tmp_path / "again")
        assert restored.returncode == 0, restored.stderr
        stop(bridge)

    with BridgeProcess(tmp_path / "again", ENVIRON) as bridge:
        port = bridge.started()
        served = [lines(port, f"{LOAD}?partition_id={number}&offset=0") for number in range(2)]
        for was, is_now in zip(original, served, strict=True):
            assert is_now == was[: len(is_now)]
            assert {message["headers"]["writer"] for message in is_now} == {"0", "1", "2", "3"}
        for text, (place,) in before.items():
            found = served[place.partition_id][place.offset]
            assert (found["offset"], found["text"]) == (place.offset, text)
        assert call(port, "GET", f"{WORK}/consumers/c/offsets/1")["offset"] == 2
        # A token from before holds too: what signs it is in the log.
        assert [(part, done, in_flight) for part, done, _, in_flight in group_state(port)] == [
            (part, done, in_flight) for part, done, _, in_flight in state
        ]
        outcomes = call(port, "POST", f"{WORK}/groups/g/ack", {"tokens": tokens})
        assert [each["outcome"] for each in outcomes["results"]] == ["settled"] * 3 + ["done"] * 3
        stop(bridge)


_ENDED_IN_THE_MIDDLE = """
import os, signal
from bridge.locallog import backup
copy = backup._copy
def end(*step):
    os.kill(os.getpid(), signal.{name})
backup._copy = lambda source, path, progress, tuning: copy(source, path, end, tuning)
from bridge.__main__ import main
main()
"""


def test_a_backup_that_is_killed_leaves_the_log_whole_and_the_next_one_names_what_it_left(
    tmp_path: Path,
) -> None:
    with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
        port = bridge.started()
        call(port, "POST", "/messages?partition_id=0", "before")
        killed = backup(
            tmp_path / "data", tmp_path / "copy", code=_ENDED_IN_THE_MIDDLE.format(name="SIGKILL")
        )
        assert killed.returncode == -signal.SIGKILL
        assert not (tmp_path / "copy").exists()
        call(port, "POST", "/messages?partition_id=0", "after")
        bridge.signal(signal.SIGKILL)
        assert bridge.ended() == -signal.SIGKILL
    (left,) = tmp_path.glob(".copy.partial-*")
    with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
        port = bridge.started()
        texts = [message["text"] for message in lines(port, "/messages?partition_id=0&offset=0")]
        assert texts == ["before", "after"]
        again = backup(tmp_path / "data", tmp_path / "copy")
        assert again.returncode == 0
        assert str(left) in again.stderr
        stop(bridge)
    assert "messages 2," in again.stdout


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_backup_that_a_signal_ends_leaves_nothing_and_dies_of_it(
    tmp_path: Path, data_dir: Path, name: str
) -> None:
    ended = backup(data_dir, tmp_path / "copy", code=_ENDED_IN_THE_MIDDLE.format(name=name))
    assert ended.returncode == -signal.Signals[name], ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_fault_of_the_program_is_70_with_its_trace(tmp_path: Path, data_dir: Path) -> None:
    code = """
from bridge.locallog import backup
backup._checked = lambda *_: 1 / 0
from bridge.__main__ import main
main()
"""
    ended = backup(data_dir, tmp_path / "copy", code=code)
    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def cut(copy: Path) -> None:
    os.truncate(copy / FILE, (copy / FILE).stat().st_size - 1)


def to_a_newer_version(copy: Path) -> None:
    changed(copy / FILE, f"pragma user_version = {schema.SCHEMA_VERSION + 1}")


HARMS: list[tuple[Callable[[Path], object], str]] = [
    (cut, "the backup is damaged"),
    (lambda copy: spoil(copy / FILE, b"message 1"), "the backup is damaged"),
    (lambda copy: (copy / "manifest.json").unlink(), "there is no backup"),
    (lambda copy: (copy / FILE).write_text("notes\n" * 1_000), "no log of a bridge"),
    (to_a_newer_version, "written by a newer bridge; restore it with that version"),
]


@pytest.mark.timeout(300)
def test_a_copy_that_is_no_whole_backup_is_refused_with_78_and_what_is_wrong(
    tmp_path: Path, data_dir: Path
) -> None:
    assert backup(data_dir, tmp_path / "copy").returncode == 0
    for number, (harm, told) in enumerate(HARMS):
        harmed = tmp_path / f"harmed-{number}"
        shutil.copytree(tmp_path / "copy", harmed)
        harm(harmed)
        refused = restore(harmed, tmp_path / "again")
        assert refused.returncode == 78, told
        assert told in refused.stderr.lower()
        assert not (tmp_path / "again" / FILE).exists()
    assert restore(tmp_path / "copy", tmp_path / "again").returncode == 0


def test_a_restore_that_a_disk_takes_only_in_part_is_none(tmp_path: Path, data_dir: Path) -> None:
    assert backup(data_dir, tmp_path / "copy").returncode == 0
    # A disk takes what it can of the last block, and says so with a number, not with an error.
    bound_bytes = (tmp_path / "copy" / FILE).stat().st_size - 1
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({bound_bytes}, {bound_bytes}))
from bridge.__main__ import main
sys.exit(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, "restore", str(tmp_path / "copy"), "--data-dir", str(tmp_path / "into")],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )
    assert ended.returncode == 69
    assert "There is no space left for the copy." in ended.stderr
    assert {path.name for path in (tmp_path / "into").iterdir()} == {"bridge.lock"}


def test_nothing_is_written_over(tmp_path: Path, data_dir: Path) -> None:
    assert backup(data_dir, tmp_path / "copy").returncode == 0
    again = backup(data_dir, tmp_path / "copy")
    assert (again.returncode, "exists already" in again.stderr) == (78, True)
    again = restore(tmp_path / "copy", data_dir)
    assert (again.returncode, "DATA_DIR is not empty" in again.stderr) == (78, True)
    nowhere = backup(tmp_path / "nowhere", tmp_path / "other")
    assert (nowhere.returncode, "no embedded log in DATA_DIR" in nowhere.stderr) == (78, True)


def test_a_terminal_sees_how_far_it_is(tmp_path: Path, data_dir: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "backup", str(tmp_path / "copy"), "--data-dir", str(data_dir)],
            env=environment({"TERM": "xterm", "COLUMNS": "80"}),
            stdout=subprocess.PIPE,
            stderr=theirs,
            cwd=ROOT,
        )
        os.close(theirs)
        seen = b""
        try:
            while block := screen.read(4_096):
                seen += block
        except OSError:
            # The other end is closed.
            pass
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert b"copying" in seen
    assert b"checking each page and message" in seen
    assert b"?" not in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen)
    assert b"reading back" in seen
    assert b"messages 3," in out
