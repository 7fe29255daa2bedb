"""The file that records go to."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from bridge.audit import AuditTrail, verify
from bridge.audit.trail import older_files
from bridge.errors import StartupError

ENOUGH_S = 30.0
NOW = "2026-11-29T21:00:00.000000Z"


class Observer:
    """Counts, and tells when there is something new."""

    def __init__(self) -> None:
        self.records = 0
        self.failures = 0
        self.failing = Event()
        self.progress = Event()

    def written(self, records: int) -> None:
        self.records += records
        self.progress.set()

    def failed(self) -> None:
        self.failures += 1
        self.failing.set()


class Scene:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.observer = Observer()

    def open(self, **bounds: int) -> AuditTrail:
        return AuditTrail(self.path, self.observer, lambda: NOW, **bounds)

    def records(self) -> list[dict[str, Any]]:
        """Of all files, verified."""
        lines = [
            line
            for path in (*older_files(self.path), self.path)
            for line in path.read_bytes().splitlines(keepends=True)
        ]
        assert len(list(verify(lines))) == len(lines)
        return [orjson.loads(line) for line in lines]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "audit.jsonl")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, OSError | None], None]]:
    """Makes a system call fail with an error, or work again."""
    real = {name: getattr(os, name) for name in ("write", "fdatasync")}
    faults: dict[str, OSError | None] = {}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(fd: int, *args: Any) -> Any:
            fault = faults.get(name)
            if fault is None:
                return real[name](fd, *args)
            if name == "write" and len(args[0]) > 1:
                # As a full disk does: a part is taken.
                real["write"](fd, args[0][: len(args[0]) // 2])
            raise fault

        return call

    for name in real:
        monkeypatch.setattr(os, name, wrapped(name))
    yield faults.__setitem__
    faults.clear()


def test_records_are_in_the_file_in_their_order_and_for_its_owner_alone(scene: Scene) -> None:
    trail = scene.open()
    for number in range(100):
        trail.write({"action": "test", "number": number})
    trail.close(10)
    records = scene.records()
    assert [each["number"] for each in records] == list(range(100))
    assert {each["time"] for each in records} == {NOW}
    assert scene.path.stat().st_mode & 0o777 == 0o600
    assert scene.observer.records == 100


def test_the_chain_goes_on_over_a_restart(scene: Scene) -> None:
    for number in range(3):
        trail = scene.open()
        trail.write({"number": number})
        trail.close(10)
    assert [each["number"] for each in scene.records()] == [0, 1, 2]


def test_a_file_that_grew_too_long_is_kept_beside_and_the_chain_goes_on(scene: Scene) -> None:
    for number in range(12):
        trail = scene.open(file_bytes_max=600)
        trail.write({"number": number})
        trail.close(10)
    assert len(older_files(scene.path)) >= 2
    assert [each["number"] for each in scene.records()] == list(range(12))


def test_a_file_that_was_not_begun_yet_goes_on_with_the_one_before(scene: Scene) -> None:
    trail = scene.open()
    trail.write({"number": 0})
    trail.close(10)
    scene.path.rename(scene.path.with_name("audit-000000000000000001.jsonl"))
    trail = scene.open()
    trail.write({"number": 1})
    trail.close(10)
    assert [each["number"] for each in scene.records()] == [0, 1]


def test_the_end_of_a_record_that_the_machine_did_not_live_to_write_is_cut_and_told(scene: Scene) -> None:
    trail = scene.open()
    trail.write({"number": 0})
    trail.close(10)
    with scene.path.open("ab") as file:
        file.write(b'{"seq":2,"pre')
    with capture_logs() as lines:
        trail = scene.open()
    trail.write({"number": 1})
    trail.close(10)
    assert ("audit_log_torn", 13) in [(line["event"], line.get("cut_bytes")) for line in lines]
    assert [each["number"] for each in scene.records()] == [0, 1]


@pytest.mark.parametrize(
    "torn", [b'{"s', b'{"seq":2,"prev":"', bytes(4096)], ids=["begun", "longer", "zeros"]
)
def test_a_first_record_that_was_not_written_to_its_end_is_cut_and_the_chain_goes_on_with_the_file_before(
    scene: Scene, torn: bytes
) -> None:
    trail = scene.open()
    trail.write({"number": 0})
    trail.close(10)
    scene.path.rename(scene.path.with_name("audit-000000000000000001.jsonl"))
    scene.path.write_bytes(torn)
    trail = scene.open()
    trail.write({"number": 1})
    trail.close(10)
    assert [each["number"] for each in scene.records()] == [0, 1]


@pytest.mark.parametrize(
    "held",
    [
        b"something else\n",
        b"a key",
        b"something else\na key",
        b"SQLite format 3\0" + bytes(100_000),
        bytes(100_000),
    ],
    ids=["line", "no end", "line and no end", "database", "zeros"],
)
def test_a_file_that_is_no_audit_log_is_left_alone(scene: Scene, held: bytes) -> None:
    scene.path.write_bytes(held)
    with pytest.raises(StartupError, match="cannot be continued"):
        scene.open()
    assert scene.path.read_bytes() == held


def test_a_file_has_one_writer(scene: Scene) -> None:
    trail = scene.open()
    with pytest.raises(StartupError, match="another process"):
        scene.open()
    trail.close(10)


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be written"):
        AuditTrail(tmp_path / "missing" / "audit.jsonl", Observer(), lambda: NOW)


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_a_disk_that_fails_is_told_and_nothing_is_lost_or_written_twice_once_it_works(
    scene: Scene, disk: Callable[[str, OSError | None], None], call: str
) -> None:
    trail = scene.open()
    trail.write({"number": 0})
    assert scene.observer.progress.wait(10)
    disk(call, OSError(errno.ENOSPC, "No space left on device"))
    scene.observer.progress.clear()
    with capture_logs() as lines:
        trail.write({"number": 1})
        assert scene.observer.failing.wait(10)
        assert trail.is_failing
        disk(call, None)
        assert scene.observer.progress.wait(10)
    assert not trail.is_failing
    trail.close(10)
    assert [each["number"] for each in scene.records()] == [0, 1]
    assert [line["event"] for line in lines] == ["audit_log_fails", "audit_log_goes_on"]


def test_a_disk_that_fails_to_the_end_does_not_keep_the_process(
    scene: Scene, disk: Callable[[str, OSError | None], None]
) -> None:
    trail = scene.open()
    disk("write", OSError(errno.EIO, "Input/output error"))
    trail.write({"number": 0})
    assert scene.observer.failing.wait(10)
    with capture_logs() as lines:
        trail.close(10)
    assert [line["not_written"] for line in lines if line["event"] == "audit_log_closed"] == [1]
    assert scene.path.read_bytes() == b""


def test_what_does_not_fit_is_counted_in_the_chain(
    scene: Scene, disk: Callable[[str, OSError | None], None]
) -> None:
    trail = scene.open(waiting_max=10)
    disk("write", OSError(errno.EIO, "Input/output error"))
    trail.write({"number": 0})
    assert scene.observer.failing.wait(10)
    for number in range(1, 1000):
        trail.write({"number": number})
    assert trail.is_failing
    disk("write", None)
    trail.close(10)
    records = scene.records()
    assert [each.get("number") for each in records] == [*range(10), None]
    assert records[-1]["action"] == "records lost"
    assert records[-1]["records"] == 990


@pytest.mark.parametrize("text", ["\ud800", "x" * 10_000, "\x00\x1b[31m\n", '"},{"'])
def test_no_text_breaks_a_line_or_the_chain(scene: Scene, text: str) -> None:
    trail = scene.open()
    trail.write({"name": text, "status": 200, "key": None})
    trail.close(10)
    (record,) = scene.records()
    assert len(record["name"]) <= 6 * 256
    assert (record["status"], record["key"]) == (200, None)


def test_one_that_has_nothing_to_write_lets_go_of_its_file_when_it_is_closed(scene: Scene) -> None:
    for _ in range(2):
        scene.open().close(ENOUGH_S)


def test_a_start_that_is_refused_lets_go_of_the_file(scene: Scene) -> None:
    scene.path.write_bytes(b"no record\n")
    for _ in range(2):
        with pytest.raises(StartupError, match="no record"):
            scene.open()


def test_a_file_that_was_begun_is_in_its_directory_after_a_power_cut(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("bridge.audit.trail.sync_directory", synced.append)
    trail = scene.open(file_bytes_max=1)
    for number in (1, 2):
        scene.observer.progress.clear()
        trail.write({"n": number})
        assert scene.observer.progress.wait(ENOUGH_S)
    trail.close(ENOUGH_S)
    assert synced == [scene.path.parent]
