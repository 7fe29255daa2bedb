"""The file of keys at a start."""

import asyncio
import os
from pathlib import Path

import pytest

from bridge.clock import SystemClock
from bridge.config import parse
from bridge.config.parse import Inputs, SecretFile
from bridge.policy.access import Principal
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.key_ring import KeyRing
from bridge.policy.keys_file import StoredKey, decode_keys
from bridge.process import keys
from bridge.process.reloads import Reloads, reloadable_files
from bridge.telemetry.process_metrics import KeyMetrics, ReloadMetrics
from tests.support.figures import figure
from tests.support.keys import MADE, owned_key, write_keys


async def test_a_file_of_keys_is_decoded_once_at_a_start_and_again_where_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> list[StoredKey]:
        decoded.append(data)
        return decode_keys(data)

    monkeypatch.setattr(keys, "decode_keys", decode)
    file = write_keys(tmp_path / "keys.json", [owned_key(1)])
    inputs = Inputs(flags={}, environ={"KEYS_FILE": str(file)})
    reloads = Reloads({"keys": (str(file),)}, ReloadMetrics())
    await reloads.begin()
    effective = await asyncio.to_thread(parse, inputs, rules=[keys.keys_can_be_used])
    ring = await keys.key_ring(effective.config, SystemClock(), reloads, KeyMetrics())
    assert ring is not None
    assert (len(ring), len(decoded)) == (1, 1)
    write_keys(file, [owned_key(1), owned_key(2)])
    await reloads.reload()
    assert (len(ring), len(decoded)) == (2, 2)


PEPPER = "pepper of a test 0123456789"


async def peppered(tmp_path: Path, pepper: Path) -> tuple[KeyRing, Path, Reloads, ReloadMetrics]:
    """A ring with one key under what the file *pepper* holds, its file, and what reloads both."""
    file = write_keys(tmp_path / "keys.json", [owned_key(1, pepper=PEPPER)])
    inputs = Inputs(
        flags={},
        environ={"KEYS_FILE": str(file), "KEYS_PEPPER_FILE": str(pepper)},
        read_secret=lambda _: SecretFile(PEPPER + "\n"),
    )
    config = parse(inputs).config
    metrics = ReloadMetrics()
    reloads = Reloads(reloadable_files(config), metrics)
    await reloads.begin()
    ring = await keys.key_ring(config, SystemClock(), reloads, KeyMetrics())
    assert ring is not None
    return ring, file, reloads, metrics


async def test_another_pepper_is_told_and_not_used_and_changes_of_keys_go_on_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pepper = tmp_path / "pepper"
    pepper.write_text(PEPPER + "\n")
    ring, file, reloads, metrics = await peppered(tmp_path, pepper)
    await reloads.reload()
    assert figure(metrics, "bridge_reload_stale", what="pepper") == 0
    pepper.write_text("another pepper of a test 0123\n")
    for _ in range(2):
        await reloads.look()
    assert figure(metrics, "bridge_reload_stale", what="pepper") == 1
    told = capsys.readouterr().out
    assert "KEYS_PEPPER_FILE: holds another pepper than the one in force" in told
    assert "another pepper of" not in told
    kept, revoked = owned_key(1, pepper=PEPPER), owned_key(2, pepper=PEPPER, revoked_at=MADE)
    write_keys(file, [kept, revoked])
    await reloads.reload()
    assert isinstance(ring.judge(kept.text, "127.0.0.1", 0), Principal)
    assert ring.judge(revoked.text, "127.0.0.1", 0) is KeyVerdict.REVOKED
    assert figure(metrics, "bridge_reload_stale", what="keys") == 0
    pepper.write_text(PEPPER)
    await reloads.reload()
    assert figure(metrics, "bridge_reload_stale", what="pepper") == 0


@pytest.mark.parametrize("data", [None, b"\xff"])
async def test_a_pepper_that_cannot_be_read_any_more_is_told(tmp_path: Path, data: bytes | None) -> None:
    pepper = tmp_path / "pepper"
    pepper.write_text(PEPPER)
    _, _, reloads, metrics = await peppered(tmp_path, pepper)
    pepper.unlink()
    if data is not None:
        pepper.write_bytes(data)
    await reloads.reload()
    assert figure(metrics, "bridge_reload_stale", what="pepper") == 1


async def test_a_pepper_that_came_through_a_pipe_is_asked_for_once(tmp_path: Path) -> None:
    pepper = tmp_path / "pepper"
    os.mkfifo(pepper)
    _, _, reloads, metrics = await peppered(tmp_path, pepper)
    await reloads.reload()
    assert figure(metrics, "bridge_reload_stale", what="keys") == 0
    assert figure(metrics, "bridge_reload_stale", what="pepper") == 0
