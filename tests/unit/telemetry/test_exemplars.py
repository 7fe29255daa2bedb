"""Claims of exemplars: which observation stands for its bucket, and how a scrape tells it."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.exemplars import Traced, traced, traced_batch
from bridge.telemetry.figure_slots import FigureSlots, slots_bytes
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.trace_context import TraceContext
from bridge.telemetry.worker_metrics import WorkerMetrics
from tests.support.clock import FakeClock

TRACE, OTHER_TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "a" * 32, "00f067aa0ba902b7"
NOW_S = FakeClock().now_us() / 1_000_000
REQUESTS, APPENDS = "bridge_http_request_duration_seconds", "bridge_append_duration_seconds"


def openmetrics_families(text: str) -> Iterator[Metric]:
    return parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call, no-any-return]


def request(metrics: Metrics, seconds: float, of: Traced | None) -> None:
    metrics.http.request_started()
    metrics.http.request_finished("POST", "/messages", 201, seconds, of)


def exemplars(metrics: Metrics, name: str) -> dict[str, tuple[str, float, float]]:
    """Those of a histogram, by bucket: the trace, the value, when."""
    body, content_type = metrics.render(as_openmetrics=True)
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    (family,) = (each for each in openmetrics_families(body.decode()) if each.name == name)
    found = {sample.labels["le"]: sample.exemplar for sample in family.samples if sample.exemplar}
    return {
        le: (each.labels["trace_id"], each.value, float(each.timestamp or 0)) for le, each in found.items()
    }


def test_the_newest_traced_observation_of_a_bucket_stands_for_it() -> None:
    metrics = Metrics()
    request(metrics, 0.003, Traced(1.5, OTHER_TRACE))
    request(metrics, 0.004, Traced(2.25, TRACE))
    request(metrics, 0.0045, None)
    request(metrics, 31.0, Traced(3.0, OTHER_TRACE))
    assert exemplars(metrics, REQUESTS) == {
        "0.005": (TRACE, 0.004, 2.25),
        "+Inf": (OTHER_TRACE, 31.0, 3.0),
    }


def test_both_texts_of_a_scrape_show_the_same_figures_and_one_says_where_it_ends() -> None:
    metrics = Metrics(of_workers=True)
    request(metrics, 0.003, Traced(1.0, TRACE))
    openmetrics, plain = metrics.render(as_openmetrics=True)[0], metrics.render()[0]
    encode, _ = choose_encoder("application/openmetrics-text")
    registry = CollectorRegistry()
    registry.register(metrics)
    assert openmetrics == encode(registry), "no name had to be escaped"
    assert openmetrics.endswith(b"\n# EOF\n")
    assert b"trace_id" not in plain

    def figures(families: Any) -> set[Any]:
        return {
            (sample.name, frozenset(sample.labels.items()), sample.value)
            for family in families
            for sample in family.samples
        }

    assert figures(openmetrics_families(openmetrics.decode())) == figures(
        text_string_to_metric_families(plain.decode())
    )


@pytest.mark.parametrize("flags,kept", [("01", True), ("03", True), ("00", False), ("02", False)])
def test_a_trace_that_nobody_keeps_stands_for_nothing(flags: str, kept: bool) -> None:
    context = TraceContext(TRACE, SPAN, flags)
    expected = Traced(NOW_S, TRACE) if kept else None
    assert traced(context, FakeClock()) == expected
    assert traced_batch({3: context.headers()}, FakeClock()) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {0: {}},
        {0: {"traceparent": 5}},
        {0: {"traceparent": f'00-{TRACE}"-{SPAN}-01'}},
        {0: {"traceparent": b"00"}},
        {0: {"x": "y"}, 1: {"traceparent": f"00-{TRACE}-{SPAN}-01"}},
    ],
)
def test_what_is_no_trace_of_the_first_message_is_none_of_a_batch(headers: dict[int, dict[str, Any]]) -> None:
    assert traced_batch(headers, FakeClock()) is None


def test_a_write_names_its_trace_unless_traces_are_switched_off() -> None:
    metrics = Metrics()
    written: dict[str, Any] = {"messages": 1, "payload_bytes": 1, "seconds": 0.002}
    metrics.log.is_traced = False
    metrics.log.appended("s", "t", **written, traced=Traced(1.0, TRACE))
    assert exemplars(metrics, APPENDS) == {}
    metrics.log.is_traced = True
    metrics.log.appended("s", "t", **written, traced=Traced(2.0, TRACE))
    assert exemplars(metrics, APPENDS) == {"0.0025": (TRACE, 0.002, 2.0)}


def test_of_several_workers_the_newest_stands_whoever_is_asked() -> None:
    table, clock = FigureSlots(memoryview(bytearray(slots_bytes(2, 100_000))), 2), FakeClock()
    one, two = (WorkerMetrics(table, slot, clock) for slot in range(2))
    request(one, 0.003, Traced(2.0, TRACE))
    request(two, 0.004, Traced(1.0, OTHER_TRACE))
    request(two, 0.3, Traced(1.0, OTHER_TRACE))
    one.publish()
    two.publish()
    expected = {
        "0.005": (TRACE, 0.003, 2.0),
        "0.5": (OTHER_TRACE, 0.3, 1.0),
    }
    assert exemplars(one, REQUESTS) == exemplars(two, REQUESTS) == expected
    assert exemplars(WorkerMetrics(table, 0, clock), REQUESTS) == expected, "a restart keeps them"
