"""What an operator sees of those who wait and follow."""

import asyncio
from pathlib import Path

from bridge.config import LogConfig
from bridge.telemetry.metrics import Metrics
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.event_reader import EventReader
from tests.support.long_polls import told_long_polls
from tests.support.ws_client import open_socket, store


def _shown(metrics: Metrics) -> dict[str, float]:
    """The gauges of live consumption, by what follows `bridge_`."""
    lines = metrics.render()[0].decode().splitlines()
    names = ("bridge_live_streams", "bridge_long_polls", "bridge_tails", "bridge_feeds")
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(names))
    return {name.removeprefix("bridge_"): float(value) for name, value in pairs}


async def _until_closed(bridge: BridgeApp) -> None:
    while len(bridge.services.live_streams._farewells) or bridge.services.feeds.feeds_count:  # noqa: ASYNC110 (an end has no event)
        await asyncio.sleep(0)


async def test_gauges_tell_who_waits_and_follows_and_nobody_once_they_have_left(tmp_path: Path) -> None:
    async with bridge_app(tmp_path) as bridge:
        metrics = bridge.services.metrics
        assert set(_shown(metrics).values()) == {0}
        polls = told_long_polls(bridge)
        poll = asyncio.create_task(bridge.call("GET", "/messages?offset=0&partition_id=1&wait_ms=20000"))
        await polls.are(1)
        url = f"{bridge.base}/messages/stream"
        async with (
            EventReader(bridge.session, url) as one,
            EventReader(bridge.session, f"{url}?partitions=0"),
            open_socket(bridge.session, bridge.base) as client,
        ):
            await client.ask("subscribe", "subscribed", id="s", permits=1)
            await store(bridge, b"kept for whoever falls behind")
            await one.events(1)
            shown = _shown(metrics)
            assert shown.pop("feeds_held_bytes") > 0
            assert shown == {
                'live_streams{kind="event_stream"}': 2,
                'live_streams{kind="socket"}': 1,
                'live_streams{kind="subscription"}': 1,
                "long_polls": 1,
                "tails": LogConfig().partitions,
                "feeds": 2,
            }
        await store(bridge, b"ends the wait", partition_id=1)
        assert (await poll).status == 200
        await _until_closed(bridge)
        shown = _shown(metrics)
        # A partition is watched a moment longer: whoever comes back at once finds its tail.
        shown.pop("tails")
        assert set(shown.values()) == {0}
