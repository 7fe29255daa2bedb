from datetime import datetime

import pytest

import bridge as package
from bridge.background.stats_refresh import StatsCache
from bridge.errors import PollError
from tests.support.bridge_app import BridgeApp
from tests.support.events import user_event


async def test_health_is_200_and_says_what_the_original_said(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/health?anything=1")
    assert answer.status == 200
    assert {key: answer.json[key] for key in ("status", "iggy_connected", "version")} == {
        "status": "healthy",
        "iggy_connected": True,
        "version": package.__version__,
    }
    assert datetime.fromisoformat(answer.json["timestamp"]).tzinfo is not None
    assert answer.json["log"]["kind"] in ("local", "iggy")
    assert answer.json["log"]["durability"] == "persisted"
    assert answer.headers["X-Request-Id"]


async def test_health_stays_200_and_ready_turns_503_when_the_log_is_gone(bridge: BridgeApp) -> None:
    await bridge.log.close()
    health = await bridge.call("GET", "/health")
    assert (health.status, health.json["status"], health.json["iggy_connected"]) == (200, "degraded", False)
    assert health.json["log"]["detail"]
    ready = await bridge.call("GET", "/ready")
    assert (ready.status, ready.json["checks"]["log"]["ok"]) == (503, False)


async def test_ready_shows_each_check(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/ready")
    assert answer.status == 200
    assert answer.json["status"] == "ready"
    assert {name: check["ok"] for name, check in answer.json["checks"].items()} == {
        "started": True,
        "default_topic": True,
        "not_draining": True,
        "log": True,
    }


async def test_a_bridge_that_starts_or_drains_is_not_ready(bridge: BridgeApp) -> None:
    bridge.services.lifecycle.started = False
    starting = await bridge.call("GET", "/ready")
    bridge.services.lifecycle.started = True
    bridge.services.lifecycle.draining = True
    draining = await bridge.call("GET", "/ready")
    assert (starting.status, starting.json["checks"]["started"]["ok"]) == (503, False)
    assert (draining.status, draining.json["checks"]["not_draining"]["ok"]) == (503, False)
    assert starting.json["status"] == draining.json["status"] == "not_ready"
    assert int(draining.headers["Retry-After"]) >= 1


async def test_a_bridge_whose_default_topic_is_missing_is_not_ready(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise PollError

    monkeypatch.setattr(bridge.bare_log, "topic", fails)
    assert (await bridge.call("GET", "/ready")).status == 200
    bridge.services.kept_topic.missed()
    answer = await bridge.call("GET", "/ready")
    assert (answer.status, answer.json["checks"]["default_topic"]["ok"]) == (503, False)
    assert "default topic" in answer.json["checks"]["default_topic"]["detail"]


async def test_probes_may_come_as_head(bridge: BridgeApp) -> None:
    for path in ("/health", "/ready"):
        answer = await bridge.call("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")


async def test_stats_are_zero_and_stale_before_the_first_count(bridge: BridgeApp) -> None:
    object.__setattr__(bridge.services, "stats", StatsCache(bridge.services.clock, ttl_s=5))
    answer = await bridge.call("GET", "/stats")
    assert answer.status == 200
    assert answer.json["cache_stale"] is True
    assert answer.json["total_messages"] == answer.json["streams_count"] == 0


async def test_stats_have_every_figure_of_the_original(bridge: BridgeApp) -> None:
    await bridge.refresh_stats()
    stats = (await bridge.call("GET", "/stats")).json
    assert stats["streams_count"] >= 1
    assert stats["topics_count"] >= 1
    assert stats["cache_stale"] is False
    assert all(
        type(stats[name]) is int
        for name in (
            "total_messages", "total_size_bytes", "uptime_seconds", "cache_age_seconds", "messages_sent",
            "messages_received",
        )
    )  # fmt: skip


async def test_metrics_are_prometheus_text(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b"bridge_http_requests_total" in answer.body


async def test_a_deep_probe_stores_a_message_and_reads_it_back(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/ready?deep=1")
    assert answer.status == 200, answer.json
    check = answer.json["checks"]["round_trip"]
    assert (check["ok"], check["detail"]) == (True, "")
    assert 0 <= check["seconds"] < 10
    assert "round_trip" not in (await bridge.call("GET", "/ready")).json["checks"]


async def test_a_deep_probe_that_fails_is_not_ready(
    bridge: BridgeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise PollError

    monkeypatch.setattr(bridge.bare_log, "read", fails)
    answer = await bridge.call("GET", "/ready?deep=1")
    assert answer.status == 503
    assert not answer.json["checks"]["round_trip"]["ok"]
    assert answer.json["checks"]["log"]["ok"]


async def test_a_depth_that_is_none_is_refused(bridge: BridgeApp) -> None:
    for query in ("deep=2", "deep=", "deep=1&deep=1"):
        answer = await bridge.call("GET", f"/ready?{query}")
        assert (answer.status, answer.json["path"]) == (400, "deep")


async def test_whoever_accepts_openmetrics_gets_figures_with_the_traces_of_requests(
    bridge: BridgeApp,
) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    for flags in ("01", "00"):
        traced = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-{flags}"}
        await bridge.call("POST", "/messages", {"event": user_event()}, headers=traced)
        trace_id = "a" * 32
    accepts = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    answer = await bridge.call("GET", "/metrics", headers=accepts)
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    assert answer.body.endswith(b"\n# EOF\n")
    traced_lines = [line for line in answer.body.decode().splitlines() if " # {" in line]
    assert {line.partition("_bucket{")[0] for line in traced_lines} == {
        "bridge_http_request_duration_seconds",
        "bridge_append_duration_seconds",
    }
    assert all('# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} ' in line for line in traced_lines)
    head = await bridge.call("HEAD", "/metrics", headers=accepts)
    assert (head.status, head.headers["Content-Type"]) == (200, answer.headers["Content-Type"])
    assert int(head.headers["Content-Length"]) >= len(answer.body)
