"""`bridge doctor` on what is well and on what is sick."""

import itertools
import json
import os
import resource
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.cli.client.failures import CommandFailed
from bridge.cli.client.target import Target
from bridge.cli.doctor import machine
from bridge.cli.doctor.findings import Finding, Level
from bridge.cli.doctor.serving_bridge import serving
from bridge.config import Inputs, parse
from bridge.config.sections import Config
from tests.support.bridge_cli import Cli
from tests.support.bridge_process import BridgeProcess
from tests.support.keys import owned_key, write_keys


def config_of(**environ: str) -> Config:
    return parse(
        Inputs(
            flags={},
            environ=environ,
            toml_text=None,
            read_secret=lambda _: pytest.fail("no secret is in a file"),
        )
    ).config


def findings(cli: Cli, *arguments: str, **environ: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = cli("doctor", *arguments, "-o", "ndjson", environ={"BRIDGE_URL": "", **environ})
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {each["check"]: each for each in found}


@pytest.fixture
def good_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync takes a millisecond, however busy the disk under the test is."""
    times = itertools.count(0, 1 / 1000)
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))


@pytest.mark.usefixtures("good_disk")
def test_all_is_well_where_a_bridge_could_serve(cli: Cli, tmp_path: Path) -> None:
    code, found = findings(cli, PORT="0", DATA_DIR=str(tmp_path / "data"))
    assert (code, [each for each in found.values() if each["level"] == "FAIL"]) == (0, [])
    assert list(found) == ["configuration", "port", "disk", "sync speed", "clock", "durability", "open files"]
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("good_disk")
def test_a_bridge_that_serves_is_asked_how_it_is(cli: Cli, port: int, tmp_path: Path) -> None:
    done = cli("doctor", environ={"PORT": str(port), "DATA_DIR": str(tmp_path)})
    assert (done.returncode, "FAIL" in done.stdout) == (0, False)
    assert f"OK    bridge        Version 0.1.0 answers at http://127.0.0.1:{port}." in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "none failed" in done.stderr
    shown = json.loads(cli("doctor", "--url", cli.url, "-o", "json").stdout)
    assert [each["check"] for each in shown] == ["bridge", "key", "ready", "log", "durability", "clock"]
    assert {each["level"] for each in shown} == {"OK"}


def test_a_port_that_somebody_else_has_is_told_with_the_cure(cli: Cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # It answers nothing, like a port of another protocol.
        code, found = findings(cli, "--config", str(toml(tmp_path)), PORT=str(taken.getsockname()[1] or 0))
    assert code == 1
    assert found["port"]["level"] == "FAIL"
    assert "set PORT" in found["port"]["cure"]


def toml(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n')
    return path


def test_faults_of_the_configuration_are_told_one_by_one(cli: Cli) -> None:
    done = cli("doctor", environ={"BRIDGE_URL": "", "PORT": "70000", "RATE_LIMIT_RPS": "fast"})
    assert done.returncode == 1
    assert done.stdout.count("FAIL  configuration") == 2
    assert done.stderr == "bridge: 2 of 2 checks failed.\n"


def test_an_iggy_that_is_not_there_and_a_weaker_durability_are_told(cli: Cli) -> None:
    code, found = findings(
        cli, PORT="0", IGGY_CONNECTION_STRING="iggy://iggy:iggy@127.0.0.1:1", DURABILITY="replicated"
    )
    assert code == 1
    assert found["iggy"]["found"] == "127.0.0.1:1 cannot be reached: Connection refused."
    assert (found["durability"]["level"], "in memory" in found["durability"]["found"]) == ("WARN", True)
    assert "disk" not in found


def test_an_iggy_that_can_be_reached_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert [each.level for each in machine.iggy((address,))] == [Level.OK]


def test_a_bridge_with_a_key_says_whether_ours_is_right_and_one_that_is_away_fails(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "data", {"API_KEY": "right-key"}) as bridge:
        cli = Cli(f"http://127.0.0.1:{bridge.started()}", tmp_path)
        code, found = findings(cli, "--url", cli.url)
        assert (code, found["key"]["level"]) == (1, "FAIL")
        code, found = findings(cli, "--url", cli.url, BRIDGE_API_KEY="right-key")
        assert (code, found["key"]["found"]) == (0, "The key is taken.")
    code, found = findings(cli, "--url", cli.url)
    assert (code, found["bridge"]["level"]) == (1, "FAIL")


def test_a_directory_that_cannot_be_written_and_a_full_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("")
    config = config_of(DATA_DIR=str(path))
    assert machine.disk(config).found == "DATA_DIR cannot be written."
    assert machine.sync_speed(config).level is Level.FAIL
    config = config_of(DATA_DIR=str(tmp_path))
    for free, level in ((2**20, Level.FAIL), (2**29, Level.WARN), (2**40, Level.OK)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: type("Usage", (), {"free": free}))
        assert machine.disk(config).level is level


@pytest.mark.parametrize(
    "ms,level", [(0.0, Level.WARN), (1.0, Level.OK), (20.0, Level.WARN), (200.0, Level.FAIL)]
)
def test_a_slow_disk_is_told_and_one_that_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ms: float, level: Level
) -> None:
    times = itertools.count(0, ms / 1000)
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    assert machine.sync_speed(config_of(DATA_DIR=str(tmp_path))).level is level


def test_a_clock_behind_the_files_of_the_log_is_told(tmp_path: Path) -> None:
    config = config_of(DATA_DIR=str(tmp_path))
    assert machine.clock(config).level is Level.OK
    path = tmp_path / "log"
    path.write_text("")
    os.utime(path, (time.time() + 60, time.time() + 60))
    assert machine.clock(config).level is Level.FAIL


@pytest.mark.parametrize(
    "soft,hard,level,cure",
    [
        (65_536, 65_536, Level.OK, ""),
        (1_024, resource.RLIM_INFINITY, Level.WARN, "ulimit -n"),
        (1_024, 4_096, Level.WARN, "LimitNOFILE"),
    ],
)
def test_too_few_open_files_are_told_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, level: Level, cure: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    found = machine.open_files()
    assert (found.level, cure in found.cure) == (level, True)


class SickClient:
    """Answers as a bridge would on which something is wrong."""

    target = Target("http://x", None)

    async def ask_once(self, _: object) -> None:
        raise CommandFailed("not now")


async def test_what_a_bridge_says_of_itself_is_told() -> None:
    health = {
        "version": "0.0.9",
        "timestamp": (datetime.now(UTC) - timedelta(seconds=40)).isoformat(),
        "log": {
            "kind": "iggy",
            "state": "reconnecting",
            "durability": "replicated",
            "server_version": "0.9.0",
            "detail": "It went away.",
            "warnings": ["The topic is in memory."],
        },
    }
    found: list[Finding] = [each async for each in serving(SickClient(), health)]  # type: ignore[arg-type]
    assert [(each.check, each.level) for each in found] == [
        ("bridge", Level.WARN),
        ("key", Level.WARN),
        ("ready", Level.FAIL),
        ("log", Level.FAIL),
        ("durability", Level.WARN),
        ("clock", Level.FAIL),
        ("log", Level.WARN),
    ]
    assert found[3].found == "iggy 0.9.0 is reconnecting. It went away."
    assert all(each.cure for each in found)


def test_keys_that_are_in_force_and_those_that_end_soon_are_told(cli: Cli, tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(days=2)
    file = write_keys(
        tmp_path / "keys.json",
        [
            owned_key(1),
            owned_key(2, expires_at=soon),
            owned_key(3, name="key-1", expires_at=soon),
            owned_key(4, revoked_at=soon),
        ],
    )
    settings = {"PORT": "0", "DATA_DIR": str(tmp_path), "KEYS_FILE": str(file)}
    told = list(machine.keys(config_of(**settings), datetime.now(UTC)))
    assert [(each.level, each.found) for each in told] == [
        (Level.OK, "3 of 4 keys are in force."),
        (Level.WARN, "The last key of key-2 ends within a week."),
    ]
    write_keys(file, [])
    assert findings(cli, **settings)[1]["keys"]["found"] == "No key of KEYS_FILE is in force."
    assert list(machine.keys(config_of(), datetime.now(UTC))) == []
