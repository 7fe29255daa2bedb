import json
import uuid

import pytest

from bridge.background.stats_refresh import StatsSnapshot
from bridge.messagelog import Durability, LogHealth, LogTotals, Receipt, TopicRef
from bridge.web.wire.answers import batch_json, health_json, ready_json, receipt_json, stats_json

_TOPIC = TopicRef("s", "t")


def _health(*, ready: bool, detail: str = "", warnings: tuple[str, ...] = ()) -> LogHealth:
    return LogHealth(
        kind="iggy",
        state="connected" if ready else "reconnecting",
        ready=ready,
        detail=detail,
        durability=Durability.REPLICATED,
        server_version="0.9.0",
        warnings=warnings,
    )


def test_a_log_that_is_not_well_makes_health_degraded_with_its_reason() -> None:
    shown = json.loads(health_json(_health(ready=False, detail="Gone.", warnings=("Weak.",)), 0))
    assert (shown["status"], shown["iggy_connected"]) == ("degraded", False)
    assert shown["log"] == {
        "kind": "iggy",
        "state": "reconnecting",
        "durability": "replicated",
        "server_version": "0.9.0",
        "detail": "Gone.",
        "warnings": ["Weak."],
    }


@pytest.mark.parametrize(
    "started, topic_there, draining, log_ready, ready",
    [
        (True, True, False, True, True),
        (False, True, False, True, False),
        (True, False, False, True, False),
        (True, True, True, True, False),
        (True, True, False, False, False),
    ],
)
def test_every_check_must_hold_to_be_ready(
    started: bool, topic_there: bool, draining: bool, log_ready: bool, ready: bool
) -> None:
    is_ready, body = ready_json(
        _health(ready=log_ready), started=started, topic_there=topic_there, draining=draining, now_us=0
    )
    assert is_ready is ready
    assert json.loads(body)["status"] == ("ready" if ready else "not_ready")


def test_offsets_that_the_log_did_not_tell_are_null() -> None:
    event_id = str(uuid.uuid4())
    receipt = Receipt(2, None, 2, Durability.REPLICATED)
    assert json.loads(receipt_json(event_id, _TOPIC, receipt, 0))["offset"] is None
    assert [one["offset"] for one in json.loads(batch_json([event_id, event_id], _TOPIC, receipt, 0))] == [
        None,
        None,
    ]


def test_each_event_of_a_batch_has_its_own_id_and_offset() -> None:
    event_ids = [str(uuid.uuid4()) for _ in range(3)]
    answer = json.loads(batch_json(event_ids, _TOPIC, Receipt(2, 40, 3, Durability.PERSISTED), 1))
    assert [(one["event_id"], one["offset"]) for one in answer] == list(
        zip(event_ids, (40, 41, 42), strict=True)
    )
    assert answer[2] == json.loads(
        receipt_json(event_ids[2], _TOPIC, Receipt(2, 42, 1, Durability.PERSISTED), 1)
    )
    assert {key: answer[0][key] for key in answer[0] if key not in ("event_id", "offset")} == {
        "success": True,
        "stream": "s",
        "topic": "t",
        "timestamp": "1970-01-01T00:00:00.000001Z",
        "partition_id": 2,
        "durability": "persisted",
    }


def test_stats_show_the_totals_with_their_age() -> None:
    totals = LogTotals(streams_count=1, topics_count=2, messages_count=3, size_bytes=4)
    assert json.loads(
        stats_json(StatsSnapshot(totals, 7.9, stale=True), uptime_s=61.2, sent=5, received=6)
    ) == {
        "streams_count": 1,
        "topics_count": 2,
        "total_messages": 3,
        "total_size_bytes": 4,
        "uptime_seconds": 61,
        "cache_age_seconds": 7,
        "cache_stale": True,
        "messages_sent": 5,
        "messages_received": 6,
    }
