"""A bridge started on a directory of an older bridge takes it over, also after it was killed at it; one of a newer bridge is 69."""

import json
import signal
from pathlib import Path

import apsw

from bridge.locallog import schema
from tests.support.bridge_process import BridgeProcess, get
from tests.support.copies import changed
from tests.support.old_logs import make_version_1

OLD: list[tuple[int, bytes, dict[str, str]]] = [(number + 1, b"old %d" % number, {}) for number in range(5)]
_KILLED_IN_THE_MIDDLE = """
import os, signal
import apsw
from bridge.locallog import schema
schema.UPGRADES = {**schema.UPGRADES, 1: schema.UPGRADES[1] + "select die();"}
def die():
    os.kill(os.getpid(), signal.SIGKILL)
apsw.connection_hooks.append(lambda connection: connection.create_scalar_function("die", die, 0))
from bridge.__main__ import main
main()
"""


def version_of(data_dir: Path) -> int:
    connection = apsw.Connection(str(data_dir / "messages.db"))
    try:
        version: int = connection.pragma("user_version")
        return version
    finally:
        connection.close()


def test_an_older_directory_is_taken_over_whole_after_the_bridge_was_killed_in_the_middle(
    tmp_path: Path,
) -> None:
    make_version_1(tmp_path, OLD)
    with BridgeProcess(tmp_path, code=_KILLED_IN_THE_MIDDLE) as bridge:
        assert bridge.ended() == -signal.SIGKILL
    assert version_of(tmp_path) == 1
    with BridgeProcess(tmp_path) as bridge:
        port = bridge.started()
        status, body = get(port, "/streams/stream/topics/topic/messages?partition_id=1&offset=0")
        assert status == 200
        assert [message["text"].encode() for message in json.loads(body)["messages"]] == [
            payload for _, payload, _ in OLD
        ]
        bridge.signal()
        assert bridge.ended() == 0
        assert "embedded_log_upgraded" in bridge.events()
    assert version_of(tmp_path) == schema.SCHEMA_VERSION


def test_a_directory_of_a_newer_bridge_is_69_with_advice(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path) as bridge:
        bridge.started()
        bridge.signal()
        assert bridge.ended() == 0
    changed(tmp_path / "messages.db", f"pragma user_version = {schema.SCHEMA_VERSION + 1}")
    with BridgeProcess(tmp_path) as bridge:
        told = bridge.until("unavailable")["detail"]
        assert bridge.ended() == 69
    assert (
        "written by a newer bridge; start that version, or restore a backup from before the upgrade" in told
    )
