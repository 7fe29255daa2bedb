"""The file of keys at a start."""

import asyncio
from pathlib import Path

import pytest

from bridge.clock import SystemClock
from bridge.config import parse
from bridge.config.parse import Inputs
from bridge.policy.keys_file import StoredKey, decode_keys
from bridge.process import keys
from bridge.process.reloads import Reloads
from bridge.telemetry.process_metrics import KeyMetrics, ReloadMetrics
from tests.support.keys import owned_key, write_keys


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
