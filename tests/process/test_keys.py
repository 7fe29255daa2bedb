"""A file of keys from outside: what stops a bridge from beginning, and what is read again while it serves."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, connected, get, run_bridge
from tests.support.keys import OwnedKey, owned_key, write_keys

PEPPER = "pepper of a test 0123456789"
ONE, OTHER = owned_key(1), owned_key(2, pepper=PEPPER, expires_at=datetime(2099, 1, 1, tzinfo=UTC))


def status(port: int, key: OwnedKey) -> int:
    return get(port, "/messages", {"X-API-Key": key.text})[0]


def test_every_fault_of_a_broken_file_is_told_with_its_place_and_the_exit_is_78(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{"id": "x"}, 7]}))
    ended = run_bridge("serve", environ={"KEYS_FILE": str(file), "DATA_DIR": str(tmp_path / "data")})
    assert ended.returncode == 78
    assert "KEYS_FILE (environment): keys[0]: Object missing required field `name`" in ended.stderr
    assert "KEYS_FILE (environment): keys[1]: Expected `object`, got `int`" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_missing_or_needs_a_pepper_is_told_and_the_exit_is_78(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ended = run_bridge("serve", environ={"KEYS_FILE": str(file)})
    assert (ended.returncode, "KEYS_FILE (environment): the file cannot be read" in ended.stderr) == (
        78,
        True,
    )
    os.mkfifo(tmp_path / "pipe")
    ended = run_bridge("serve", environ={"KEYS_FILE": str(tmp_path / "pipe")})
    assert (ended.returncode, "it is no regular file" in ended.stderr) == (78, True)
    write_keys(file, [OTHER])
    ended = run_bridge("serve", environ={"KEYS_FILE": str(file)})
    assert ended.returncode == 78
    assert "keys[0].hmac_sha256: needs KEYS_PEPPER or KEYS_PEPPER_FILE" in ended.stderr


def test_a_file_without_a_key_opens_no_address_to_others(tmp_path: Path) -> None:
    file = write_keys(tmp_path / "keys.json", [])
    ended = run_bridge("serve", environ={"KEYS_FILE": str(file), "HOST": "0.0.0.0"})
    assert ended.returncode == 78
    assert "HOST / KEYS_FILE" in ended.stderr


def test_keys_are_read_again_on_sighup_and_no_request_is_lost(tmp_path: Path) -> None:
    file = write_keys(tmp_path / "keys.json", [ONE])
    file.chmod(0o644)
    environ = {"KEYS_FILE": str(file), "KEYS_PEPPER": PEPPER}
    with BridgeProcess(tmp_path / "data", environ) as bridge:
        listening = bridge.until("listening")
        port = listening["port"]
        bridge.until("ready")
        assert "keys_file_open_to_others" in bridge.events()
        assert (listening["authenticated"], listening["keys"]) == (True, 1)
        assert (status(port, ONE), status(port, OTHER), get(port, "/messages")[0]) == (200, 401, 401)
        with connected(port) as begun:
            begun.putrequest("POST", "/streams")
            for name, value in (("X-API-Key", ONE.text), ("Content-Length", "16")):
                begun.putheader(name, value)
            begun.putheader("Content-Type", "application/json")
            begun.endheaders()
            begun.send(b'{"name":')
            write_keys(file, [owned_key(1, revoked_at=datetime(2026, 1, 1, tzinfo=UTC)), OTHER])
            bridge.signal(signal.SIGHUP)
            assert bridge.until("keys_in_force")["keys"] == 1
            bridge.until("reloaded")
            begun.send(b'"begun"}')
            # What was let in goes to its end.
            assert begun.getresponse().status == 201
        assert (status(port, ONE), status(port, OTHER)) == (401, 200)
        file.write_text("{")
        bridge.signal(signal.SIGHUP)
        assert bridge.until("keys_file_fault")["detail"] == "KEYS_FILE: no JSON"
        bridge.until("reload_failed")
        assert (status(port, ONE), status(port, OTHER)) == (401, 200)
        scraped = get(port, "/metrics", {"X-API-Key": OTHER.text})[1].decode()
        assert 'bridge_reload_stale{what="keys"} 1.0' in scraped
        assert "bridge_keys_in_force 1.0" in scraped
        assert "bridge_keys_not_after_seconds 4.0709088e+09" in scraped
        assert f'bridge_key_requests_total{{key="{OTHER.stored.id}"}}' in scraped
        assert 'bridge_auth_failures_total{reason="revoked"}' in scraped
        assert ONE.stored.id in json.dumps(bridge.lines)
        bridge.signal()
        assert bridge.ended() == 0
        assert not any(key.text[13:] in json.dumps(bridge.lines) for key in (ONE, OTHER))


def test_what_a_key_may_is_read_again_and_holds_from_the_next_request(tmp_path: Path) -> None:
    file = write_keys(tmp_path / "keys.json", [owned_key(1, "consume:sample-stream/*")])
    with BridgeProcess(tmp_path / "data", {"KEYS_FILE": str(file)}) as bridge:
        port = bridge.started()
        seen = [get(port, path, {"X-API-Key": ONE.text})[0] for path in ("/messages", "/metrics")]
        assert seen == [200, 403]
        write_keys(file, [owned_key(1, "produce:sample-stream/*", "metrics")])
        bridge.signal(signal.SIGHUP)
        bridge.until("reloaded")
        seen = [get(port, path, {"X-API-Key": ONE.text})[0] for path in ("/messages", "/metrics")]
        assert seen == [403, 200]
        write_keys(file, [owned_key(1, "consume:elsewhere/*")])
        bridge.signal(signal.SIGHUP)
        bridge.until("reloaded")
        assert status(port, ONE) == 404
