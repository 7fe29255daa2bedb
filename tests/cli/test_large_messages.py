"""Messages as large as a bridge takes, from the command line: none is too large for what another command gave."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridge_cli import Cli
from tests.support.bridge_process import connected

LARGEST = 10_485_760
#: As text it takes six characters for each byte in a line, as bytes one and a third, as JSON one.
MESSAGES = {
    "text/plain": bytes(LARGEST),
    "application/octet-stream": b"\xff" * LARGEST,
    "text/plain; charset=utf-8": b'"' + b"a" * (LARGEST - 2) + b'"',
}


@pytest.fixture
def filled(topic: str, port: int) -> str:
    """The topic with the largest messages there can be, and a small one behind them."""
    stream, name = topic.split("/")
    for kind, payload in (*MESSAGES.items(), ("text/plain", b"small")):
        with connected(port) as connection:
            path = f"/streams/{stream}/topics/{name}/messages"
            connection.request("POST", path, payload, {"Content-Type": kind})
            assert connection.getresponse().status == 201
    return topic


def digests(cli: Cli, topic: str, port: int) -> list[tuple[str, str]]:
    """Id and hash of each message, by pages of one."""
    stream, name = topic.split("/")
    found = []
    for offset in range(len(MESSAGES) + 1):
        with connected(port) as connection:
            path = f"/streams/{stream}/topics/{name}/messages?partition_id=0&offset={offset}&count=1"
            connection.request("GET", path)
            (message,) = json.loads(connection.getresponse().read())["messages"]
            shown: Any = {key: message.get(key) for key in ("text", "payload", "payload_base64")}
            found.append((message["id"], hashlib.sha256(json.dumps(shown).encode()).hexdigest()))
    return found


@pytest.mark.timeout(600)
def test_the_largest_messages_are_copied_exported_imported_and_read(
    cli: Cli, filled: str, port: int, tmp_path: Path
) -> None:
    expected = digests(cli, filled, port)
    copied = cli("copy", filled, f"{filled}-copy", "--add")
    assert (copied.returncode, copied.stderr) == (0, "")
    assert digests(cli, f"{filled}-copy", port) == expected
    path = tmp_path / "lines"
    exported = cli("export", filled, str(path))
    assert (exported.returncode, exported.stderr) == (0, "")
    assert cli("topics", "add", f"{filled}-import").returncode == 0
    imported = cli("import", str(path), f"{filled}-import")
    assert (imported.returncode, imported.stderr) == (0, "")
    assert digests(cli, f"{filled}-import", port) == expected
    read = cli.lines("sub", "-t", filled, "--from", "first", "-c", "4")
    assert [each["id"] for each in read] == [id_ for id_, _ in expected]
    shared = cli.lines("sub", "-t", filled, "--group", "g", "-c", "4")
    assert [each["id"] for each in shared] == [id_ for id_, _ in expected]
    assert [each["size"] for each in cli.lines("tail", "-t", filled)] == [LARGEST] * 3 + [5]


def test_a_line_as_long_as_a_message_may_be_is_sent_and_a_longer_one_is_named(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"first\n" + b"\x01" * LARGEST + b"\n" + b"x" * 3 * LARGEST + b"\nlast\n")
    done = cli("pub", "-t", topic, "--file", str(path))
    assert done.returncode == 1
    assert "The line is longer than" in done.stderr
    assert "That is line 3 of what was given; all before it are stored." in done.stderr
    assert [each["size"] for each in cli.lines("tail", "-t", topic)] == [5, LARGEST]
