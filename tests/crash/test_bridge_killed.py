"""A bridge on the embedded log that is killed under load, again and again, has all that its callers were told."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.checker import Account
from tests.support.senders import sending, stored_texts

PATH = "/streams/sample-stream/topics/events/messages"
PARTITIONS = 3
ROUNDS = int(os.environ.get("KILL_ROUNDS", "6"))
SEED = int(os.environ.get("CRASH_SEED", str(time.time_ns() % 1_000_000)))
ENVIRON = {"RATE_LIMIT_RPS": "0"}


@pytest.mark.crash
@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_a_bridge_killed_under_load_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    rng, account = random.Random(SEED), Account(SEED)
    for number in range(ROUNDS):
        with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
            port = bridge.started()
            account.check(stored_texts(port, PATH, PARTITIONS))
            size = rng.choice((0, 500, 20_000))
            with sending(port, PATH, account=account, prefix=f"{number}-", filler_bytes=size) as senders:
                senders.acknowledged(account.acknowledged_count + rng.randint(1, 300))
                bridge.process.kill()
            assert senders.answers == {}
    with BridgeProcess(tmp_path / "data", ENVIRON) as bridge:
        account.check(stored_texts(bridge.started(), PATH, PARTITIONS))
        bridge.signal()
        assert bridge.ended() == 0
