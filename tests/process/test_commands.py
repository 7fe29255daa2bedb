"""The commands beside `serve`, and what a served bridge tells of itself."""

import json
import stat
from pathlib import Path

import bridge
from bridge.config import SETTINGS
from tests.support.bridge_process import BridgeProcess, get, run_bridge
from tests.support.ports import held_port


def test_the_version_is_the_package_s() -> None:
    ended = run_bridge("--version")
    assert (ended.returncode, ended.stdout) == (0, f"bridge {bridge.__version__}\n")


def test_help_lists_every_flag_with_its_variable() -> None:
    ended = run_bridge("serve", "--help", environ={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert ended.returncode == 0
    for setting in SETTINGS:
        assert setting.flag in ended.stdout, setting.env
        assert (setting.file_env if setting.spec.secret else setting.env) in ended.stdout


def test_an_unknown_flag_is_a_usage_error_that_names_it() -> None:
    ended = run_bridge("serve", "--prot", "1")
    assert ended.returncode == 2
    assert "--prot" in ended.stderr


def test_the_shown_configuration_has_sources_and_no_secret(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("hunter2-hunter2-hunter2\n")
    key.chmod(stat.S_IRUSR)
    toml = tmp_path / "bridge.toml"
    toml.write_text("rate_limit_rps = 7\n")
    arguments = ("config", "--config", str(toml), "--port", "81", "--api-key-file", str(key))
    environ = {"IGGY_CONNECTION_STRING": "iggy://iggy:swordfish@127.0.0.1:8090", "BATCH_MAX_SIZE": "5"}
    shown = run_bridge(*arguments, "--json", environ=environ)
    settings = json.loads(shown.stdout)["settings"]
    assert settings["PORT"] == {"value": 81, "source": "flag"}
    assert settings["BATCH_MAX_SIZE"] == {"value": 5, "source": "environment"}
    assert settings["RATE_LIMIT_RPS"] == {"value": 7, "source": "file"}
    assert settings["API_KEY"] == {"value": "***", "source": "flag, API_KEY_FILE"}
    assert settings["IGGY_CONNECTION_STRING"] == {"value": "***", "source": "environment"}
    table = run_bridge(*arguments, environ=environ)
    for ended in (shown, table):
        assert ended.returncode == 0
        assert "hunter2" not in ended.stdout + ended.stderr
        assert "swordfish" not in ended.stdout + ended.stderr
    assert "BATCH_MAX_SIZE" in table.stdout


def test_a_secret_file_open_to_everybody_is_warned_of(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 32)
    key.chmod(0o644)
    shown = run_bridge("config", "--json", environ={"API_KEY_FILE": str(key)})
    assert "API_KEY_FILE: every user" in json.loads(shown.stdout)["warnings"][0]


def test_health_is_0_while_a_bridge_serves_and_1_when_none_does(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"DRAIN_DELAY_SECS": "60", "SHUTDOWN_GRACE_SECS": "100"}) as served:
        port = served.started()
        assert run_bridge("health", environ={"PORT": str(port), "HOST": "0.0.0.0"}).returncode == 0
        assert run_bridge("health", "--ready", environ={"PORT": str(port)}).returncode == 0
        assert run_bridge("health", "--url", f"http://127.0.0.1:{port}").returncode == 0
        served.signal()
        served.until("draining")
        assert run_bridge("health", environ={"PORT": str(port)}).returncode == 0
        assert run_bridge("health", "--ready", environ={"PORT": str(port)}).returncode == 1
        served.signal()
        assert served.ended() == 0
    assert run_bridge("health", environ={"PORT": str(port)}).returncode == 1
    assert run_bridge("health", "--url", "nonsense").returncode == 1


def test_the_lines_of_a_request_carry_its_id_and_client(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path) as served:
        port = served.started()
        get(port, "/streams?api_key=hunter2", {"X-Request-Id": "trace-me"})
        line = served.until("request")
        served.signal()
        assert served.ended() == 0
    assert (line["request_id"], line["client"], line["route"]) == ("trace-me", "127.0.0.1", "/streams")
    assert "hunter2" not in json.dumps(served.lines)


def test_metrics_move_to_their_own_port_without_a_key(tmp_path: Path) -> None:
    with (
        held_port() as port,
        BridgeProcess(tmp_path, {"METRICS_PORT": str(port), "API_KEY": "k" * 32}) as served,
    ):
        listening = served.until("listening")
        served.until("ready")
        status, body = get(listening["metrics_port"], "/metrics")
        assert status == 200
        assert b"bridge_http_requests_in_flight" in body
        assert get(listening["metrics_port"], "/streams")[0] == 404
        assert get(listening["port"], "/metrics", {"X-API-Key": "k" * 32})[0] == 404
        served.signal()
        assert served.ended() == 0


def test_a_metrics_port_of_0_switches_them_off(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, {"METRICS_PORT": "0"}) as served:
        assert get(served.started(), "/metrics")[0] == 404
        served.signal()
        assert served.ended() == 0


def test_any_number_of_starts_find_the_default_topic_there(tmp_path: Path) -> None:
    for _ in range(2):
        with BridgeProcess(tmp_path, {"IGGY_PARTITIONS": "2"}) as served:
            status, body = get(served.started(), "/streams/sample-stream/topics/events")
            assert (status, json.loads(body)["partitions_count"]) == (200, 2)
            served.signal()
            assert served.ended() == 0
