"""Bridges by name, and what a shell is told that completes a command line."""

import json
import stat
from pathlib import Path

import pytest

from tests.support.bridge_cli import Cli

NO_URL = {"BRIDGE_URL": ""}


def test_the_current_context_says_where_commands_go_and_where_the_key_is(cli: Cli, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("a-key\n")
    key_file.chmod(0o600)
    assert cli("context", "add", "here", cli.url + "/", "--key-file", str(key_file)).returncode == 0
    assert cli("context", "add", "away", "http://127.0.0.1:1").returncode == 0
    listed = json.loads(cli("context", "ls", "-o", "json").stdout)
    assert [(each["current"], each["name"]) for each in listed] == [(False, "away"), (True, "here")]
    path = tmp_path / "config" / "bridge" / "contexts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "a-key" not in path.read_text()
    assert cli("streams", "ls", environ=NO_URL).returncode == 0
    shown = cli("streams", "ls", "--curl", environ=NO_URL).stdout
    assert shown == f'curl -sS {cli.url}/streams -H "X-API-Key: $BRIDGE_API_KEY"\n'
    # The key of a context is for its own bridge.
    assert "X-API-Key" not in cli("streams", "ls", "--curl").stdout
    assert cli("context", "use", "away").returncode == 0
    assert cli("streams", "ls", environ=NO_URL).returncode == 5
    assert cli("context", "rm", "away").returncode == 0
    assert "http://127.0.0.1:8000/streams" in cli("streams", "ls", "--curl", environ=NO_URL).stdout


@pytest.mark.parametrize(
    "arguments,code,words",
    [
        (("context", "use", "her"), 4, "Did you mean here?"),
        (("context", "rm", "zzz"), 4, "`bridge context ls` lists all contexts."),
        (("context", "add", "x", "localhost:8000"), 2, "The address of a bridge is"),
        (("context", "add", "x", "http://x", "--key-file", "/nowhere"), 2, "The key file cannot be read"),
        *(
            (("context", "add", name, "http://x"), 2, "The name of a context is 1 to 64 letters,")
            for name in ("", "a" * 65, "a b", "a/b", "\u00e9", "a\n")
        ),
    ],
)
def test_what_is_no_context_is_told(cli: Cli, arguments: tuple[str, ...], code: int, words: str) -> None:
    assert cli("context", "add", "here", cli.url).returncode == 0
    done = cli(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True)


def test_a_file_of_contexts_that_is_spoilt_is_told_with_its_path(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "config" / "bridge" / "contexts.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    done = cli("streams", "ls", environ=NO_URL)
    assert (done.returncode, str(path) in done.stderr) == (2, True)


def test_a_key_file_must_hold_a_key(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(" \n")
    assert "holds no key" in cli("streams", "ls", "--key-file", str(path)).stderr


def test_a_key_file_that_others_can_read_is_told_once_and_used(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("a-key\n")
    for mode, told in ((0o600, ""), (0o640, "x"), (0o604, "x")):
        path.chmod(mode)
        done = cli("streams", "ls", "--key-file", str(path))
        assert done.returncode == 0
        assert done.stderr == (f"bridge: Others can read the key file: chmod 600 {path}\n" if told else "")


def test_a_shell_is_told_which_commands_there_are(cli: Cli) -> None:
    script = cli.process("completion", "bash")
    assert (script.returncode, "complete -o default -F _bridge_completion bridge" in script.stdout) == (
        0,
        True,
    )
    asked = {"_BRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "bridge topi", "COMP_CWORD": "1"}
    assert cli.process(environ=asked).stdout.split() == ["topics"]
