"""What docs/cli.md says is so: each command in it runs, and its list of commands is that of the code."""

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from bridge.cli.client.failures import ExitCode
from tests.readme.generated_cli import DOCUMENT, with_commands
from tests.support.bridge_cli import Cli, Ended

EVENT: Final = {
    "id": "7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11",
    "event_type": "order.paid",
    "timestamp": "2026-01-02T03:04:05Z",
    "payload": {"type": "Generic", "data": 1},
}
#: What would go on for good ends after a message that is there.
ENDS: Final = {
    ("tail", "-f"): ["-c", "1"],
    ("sub", "--where"): ["-c", "1", "--from", "first"],
    ("sub", "--group"): ["-c", "1"],
}


def shown_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def run(cli: Cli, line: str) -> Ended:
    before, _, command = line.rpartition("bridge ")
    arguments = [each.replace("http://127.0.0.1:8000", cli.url) for each in shlex.split(command)]
    for (name, flag), more in ENDS.items():
        if arguments[0] == name and flag in arguments:
            arguments += more
    given = "".join(f"{n}\n" for n in range(1, 4)) if before == "seq 3 | " else None
    assert given is not None or not before
    return cli(*arguments, given=given)


def test_every_command_that_is_shown_runs(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.ndjson").write_text('{"n":1}\n{"n":2}\n')
    cli.json("pub", json.dumps(EVENT), "--partition", "0")
    commands = shown_commands()
    assert len(commands) > 10
    assert {line: done.stderr for line in commands if (done := run(cli, line)).returncode} == {}


def test_the_list_of_commands_is_that_of_the_code() -> None:
    document = DOCUMENT.read_text()
    assert document == with_commands(document), "python -m tests.generated"


def test_every_exit_code_is_told() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)}
    assert told == set(ExitCode)
