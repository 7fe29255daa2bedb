"""A small load, and what goes on in a bridge."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.cli.remote.figures import between, look
from tests.support.bridge_cli import Cli
from tests.support.bridge_process import BridgeProcess


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a bridge with its rate limit, which a load meets."""
    with BridgeProcess(tmp_path_factory.mktemp("data")) as bridge:
        yield bridge.started()


def test_a_load_tells_how_much_it_stored_and_how_long_it_took(cli: Cli, topic: str) -> None:
    told = cli.json("bench", topic, "-d", "1s", "-c", "2", "-s", "100", "-b", "10")
    assert told["messages"] == 10 * told["requests"] > 0
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
    assert set(told["refused"]) <= {"429"}
    assert cli.json("topics", "info", topic)["messages_count"] == told["messages"]
    assert {each["size"] for each in cli.lines("tail", "-t", topic)} == {100}
    shown = cli("bench", topic, "-d", "1s")
    assert "P99  " in shown.stdout
    # The other rows are numbers, any of which may have these digits.
    refused = re.search(r"^REFUSED +(.*)$", shown.stdout, re.MULTILINE)
    assert ("429" in refused[1] if refused else False) == ("RATE_LIMIT_RPS" in shown.stderr)


def test_a_load_that_makes_no_sense_is_refused(cli: Cli, topic: str) -> None:
    assert cli("bench", topic, "-d", "0s").returncode == 2
    assert cli("bench", topic, "-c", "0").returncode == 2
    assert cli("bench", topic.replace("events", "evnts")).returncode == 4
    assert cli("bench", topic, "--curl").stdout.startswith("curl -sS ")


async def test_what_goes_on_is_shown_as_it_goes_on(cli: Cli, topic: str) -> None:
    showing = await cli.started("top", "-i", "0.2", "-o", "ndjson")
    assert showing.stdout is not None
    await showing.stdout.readline()
    await asyncio.to_thread(cli, "pub", "-t", topic, given="1\n2\n3\n")
    while True:
        told = json.loads(await asyncio.wait_for(showing.stdout.readline(), 60))
        busy = {each["topic"]: each for each in told["topics"]}
        if busy.get(topic, {}).get("in_per_s"):
            break
    showing.terminate()
    await showing.wait()


def test_the_screen_has_topics_and_groups(cli: Cli, topic: str) -> None:
    assert cli("pub", "-t", topic, given="1\n2\n3\n").returncode == 0
    assert cli("sub", "-t", topic, "--group", "workers", "-c", "1").returncode == 0
    shown = cli("top", "-c", "1", "-i", "0.2")
    assert shown.returncode == 0
    assert "requests/s" in shown.stdout
    assert topic in shown.stdout
    assert cli("top", "-c", "1", "--url", f"{cli.url}/elsewhere").returncode == 4


FIGURES = """
# TYPE bridge_messages_in_total counter
bridge_messages_in_total{{stream="s",topic="t"}} {sent}
# TYPE bridge_http_requests_total counter
bridge_http_requests_total{{method="GET",route="/x",status="200"}} {good}
bridge_http_requests_total{{method="GET",route="/x",status="503"}} {bad}
# TYPE bridge_http_requests_in_flight gauge
bridge_http_requests_in_flight 3
# TYPE bridge_group_lag gauge
bridge_group_lag{{stream="s",topic="t",group="g"}} 7
"""


@pytest.mark.parametrize("sent,rate", [(30, 10.0), (5, 0.0)])
def test_rates_are_of_what_came_between_two_looks_and_never_below_zero(sent: int, rate: float) -> None:
    stats: dict[str, Any] = {"total_messages": 9, "total_size_bytes": 90, "uptime_seconds": 5}

    def looked(at_s: float, **figures: int) -> Any:
        return look(at_s, text_string_to_metric_families(FIGURES.format(**figures)), stats)

    seen = between(looked(1.0, sent=10, good=0, bad=0), looked(3.0, sent=sent, good=4, bad=2))
    assert seen["topics"] == [{"topic": "s/t", "in_per_s": rate}]
    assert (seen["requests_per_s"], seen["failed_per_s"], seen["in_flight"]) == (3.0, 1.0, 3)
    assert seen["groups"] == [{"group": "s/t/g", "lag": 7}]
