"""`bridge keys`: a file that a bridge takes, and never a key in it."""

import fcntl
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.keys import store
from bridge.policy.keys_file import decode_keys, keys_of
from tests.support.bridge_cli import Cli, Ended
from tests.support.bridge_process import ROOT

PEPPER = "pepper of a test 0123456789"
KEY = re.compile(r"brk_([a-z0-9]{8})_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\n")


class Keys:
    """`bridge keys ...` on one file."""

    def __init__(self, tmp_path: Path) -> None:
        self.file = tmp_path / "keys.json"
        self._cli = Cli("http://127.0.0.1:1", tmp_path)

    def __call__(self, *arguments: str, **environ: str) -> Ended:
        return self._cli("keys", *arguments, environ={"KEYS_FILE": str(self.file), **environ})

    def made(self, *arguments: str, **environ: str) -> str:
        """The id of a key that one of the commands shows."""
        done = self(*arguments, **environ)
        assert done.returncode == 0, done.stderr
        match = KEY.fullmatch(done.stdout)
        assert match is not None, done.stdout
        assert done.stdout.strip()[13:] not in self.file.read_text() + done.stderr
        return match[1]

    def listed(self) -> dict[str, dict[str, object]]:
        return {each["id"]: each for each in json.loads(self("list", "-o", "json").stdout)}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def test_a_key_is_made_rotated_and_revoked_and_its_hash_alone_is_kept(keys: Keys) -> None:
    first = keys.made(
        *("add", "orders", "--role", "viewer", "--allow", "produce:orders/*", "--expires", "90d"),
        *(
            "--network",
            "10.0.0.0/8",
            "--requests-per-second",
            "5",
            "--burst",
            "9",
            "--bytes-per-second",
            "1000",
        ),
    )
    assert stat.S_IMODE(keys.file.stat().st_mode) == 0o600
    told = keys.listed()[first]
    assert told["permissions"] == ["consume", "produce:orders/*"]
    assert (told["state"], told["networks"], told["requests_per_s"], told["burst"], told["bytes_per_s"]) == (
        ("in force", ["10.0.0.0/8"], 5, 9, 1000)
    )
    second = keys.made("rotate", "orders", "--grace", "1h")
    rotated = keys.listed()
    assert {each["state"] for each in rotated.values()} == {"in force"}
    assert str(rotated[first]["expires_at"]) < str(rotated[second]["expires_at"])
    assert keys("revoke", first).returncode == 0
    assert {key_id: each["state"] for key_id, each in keys.listed().items()} == {
        first: "revoked",
        second: "in force",
    }
    assert keys("revoke", "orders").returncode == 0
    stored = json.loads(keys.file.read_text())["keys"]
    shown = keys("list").stdout + keys("list", "-o", "json").stdout
    assert not any(each["sha256"] in shown for each in stored)
    keys.made("add", "orders", "--role", "editor")


def test_keys_are_hashed_under_the_pepper_where_one_is_set(keys: Keys, tmp_path: Path) -> None:
    secret = tmp_path / "pepper"
    secret.write_text(PEPPER)
    secret.chmod(0o600)
    keys.made("add", "a", "--role", "admin", KEYS_PEPPER=PEPPER)
    keys.made("rotate", "a", KEYS_PEPPER_FILE=str(secret))
    stored = decode_keys(keys.file.read_bytes())
    assert [each.sha256 for each in stored] == [None, None]
    assert len(keys_of(stored, has_pepper=True)) == 2


@pytest.mark.parametrize(
    "arguments,code,words",
    [
        (("add", "a"), 2, "What may it?"),
        (("add", "a", "--role", "boss"), 2, "--role admin|editor|viewer|auditor"),
        (("add", "a", "--allow", "all"), 2, "a permission is produce, consume, admin or metrics"),
        (("add", "-", "--role", "admin"), 2, "name: must begin with a letter or digit"),
        (("add", "a", "--role", "admin", "--network", "10.0.0.1/8"), 2, "no network"),
        (("add", "a", "--role", "admin", "--expires", "soon"), 2, "A length of time is like"),
        (("add", "a", "--role", "admin", "--expires", "2020-01-01T00:00:00Z"), 2, "would have ended already"),
        (("add", "a", "--role", "admin", "--expires", "2090-01-01T00:00:00"), 2, "A time has a zone"),
        (("add", "a", "--role", "admin", "--expires", "9999999d"), 2, "too long"),
        (("rotate", "there", "--grace", "9999999d"), 2, "too long"),
        (("add", "a", "--role", "admin", "--burst", "7"), 2, "needs requests_per_s"),
        (("add", "there", "--role", "admin"), 1, "There is a key there already"),
        (("rotate", "gone"), 4, "There is no key gone in force."),
        (("revoke", "gone"), 4, "There is no key gone in force."),
    ],
)
def test_what_makes_no_key_is_told_and_the_file_stays(
    keys: Keys, arguments: tuple[str, ...], code: int, words: str
) -> None:
    keys.made("add", "there", "--role", "viewer")
    before = keys.file.read_bytes()
    done = keys(*arguments)
    assert (done.returncode, done.stdout, words in done.stderr) == (code, "", True)
    assert keys.file.read_bytes() == before


def test_a_file_that_is_not_there_or_broken_is_told_with_its_path(keys: Keys) -> None:
    assert (keys("list").returncode, keys("revoke", "a").returncode) == (4, 4)
    keys.file.write_text('{"keys": [7]}')
    done = keys("add", "a", "--role", "admin")
    assert (done.returncode, "keys[0]: Expected" in done.stderr, str(keys.file) in done.stderr) == (
        1,
        True,
        True,
    )
    done = keys("list", KEYS_FILE="")
    assert (done.returncode, "Which file of keys?" in done.stderr) == (2, True)


def test_mode_and_link_of_the_file_stay_as_they_are(keys: Keys, tmp_path: Path) -> None:
    keys.made("add", "a", "--role", "viewer")
    keys.file.rename(tmp_path / "real.json")
    keys.file.symlink_to("real.json")
    (tmp_path / "real.json").chmod(0o640)
    keys.made("add", "b", "--role", "viewer")
    assert keys.file.is_symlink()
    assert stat.S_IMODE((tmp_path / "real.json").stat().st_mode) == 0o640
    assert len(keys.listed()) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys.json", "real.json"]


def test_a_change_waits_for_another_and_gives_up_after_a_while(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "KEYS_FILE_LOCK_WAIT_S", 0.0)
    fd = os.open(keys.file.parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        done = keys("add", "a", "--role", "viewer")
        assert (done.returncode, "Another command is changing" in done.stderr) == (1, True)
    finally:
        os.close(fd)
    keys.made("add", "a", "--role", "viewer")


def test_commands_that_change_the_file_at_once_lose_nothing(keys: Keys) -> None:
    environ = {**os.environ, "KEYS_FILE": str(keys.file)}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "bridge", "keys", "add", f"key-{number}", "--role", "viewer"],
            env=environ,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
        )
        for number in range(3)
    ]
    assert [each.wait(60) for each in running] == [0] * 3
    assert {each["name"] for each in keys.listed().values()} == {"key-0", "key-1", "key-2"}
