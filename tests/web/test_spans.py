"""The spans of requests and of what they wait for, as a collector would get them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bridge.config import ObserveConfig
from bridge.errors import SendError
from bridge.tracing import Spans
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.events import user_event
from tests.support.turns import until
from tests.support.ws_client import open_socket

TRACE, CALLER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{CALLER_SPAN}-01", "tracestate": "congo=t61rcWkgMzE"}


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def bridge(
    tmp_path: Path, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[BridgeApp]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    spans = Spans(provider.get_tracer("tests"), system="local")

    async def ended() -> None:
        provider.shutdown()

    monkeypatch.setattr("bridge.tracing.open_export", lambda **_: (spans, ended))
    async with bridge_app(tmp_path, observe=ObserveConfig(tracing="otlp")) as app:
        yield app
        assert spans.sealed_ns == {}, "nothing is kept of an append that has ended"


def _named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (span,) = [span for span in spans if span.name.split(" ")[0] == name or span.name == name]
    return span


def _is_within(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert span.parent is not None
    assert span.parent.span_id == parent.context.span_id
    assert None not in {span.start_time, span.end_time, parent.start_time, parent.end_time}
    return parent.start_time <= span.start_time <= span.end_time <= parent.end_time  # type: ignore[operator]


async def test_a_post_has_a_span_below_the_callers_and_its_append_below_that(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    answer = await bridge.call(
        "POST", "/messages", {"event": user_event(), "partition_key": "k"}, headers=CALLER
    )
    assert answer.status == 201
    spans = exported.get_finished_spans()
    request, append = _named(spans, "POST"), _named(spans, "send")
    gather, write = _named(spans, "gather"), _named(spans, "write")
    assert request.name == "POST /messages"
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, CALLER_SPAN)
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/messages",
        "http.response.status_code": 201,
    }
    assert append.kind is SpanKind.PRODUCER
    assert dict(append.attributes or {}) == {
        "messaging.system": "local",
        "messaging.destination.name": f"{bridge.topic.stream}/{bridge.topic.topic}",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 1,
        "messaging.destination.partition.id": str(answer.json["partition_id"]),
        "messaging.message.offset": 0,
    }
    assert _is_within(append, request)
    assert _is_within(gather, append)
    assert _is_within(write, append)
    assert gather.end_time == write.start_time


async def test_a_message_carries_the_span_of_its_request(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    sent = await bridge.call(
        "POST", "/messages", {"event": user_event(), "partition_key": "k"}, headers=CALLER
    )
    page = await bridge.call("GET", f"/messages?partition_id={sent.json['partition_id']}&from=first")
    (message,) = page.json["messages"]
    span = _named(exported.get_finished_spans(), "POST")
    assert message["headers"] == CALLER | {"traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01"}


async def test_a_poll_has_a_span_of_its_read(bridge: BridgeApp, exported: InMemorySpanExporter) -> None:
    assert (await bridge.call("GET", "/messages?partition_id=0&from=first")).status == 200
    spans = exported.get_finished_spans()
    read = _named(spans, "poll")
    assert read.kind is SpanKind.CLIENT
    assert (read.attributes or {})["messaging.batch.message_count"] == 0
    assert _is_within(read, _named(spans, "GET"))


async def test_what_the_caller_does_not_sample_is_not_exported_and_is_handed_on(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    unsampled = {"traceparent": f"00-{TRACE}-{CALLER_SPAN}-00"}
    sent = await bridge.call(
        "POST", "/messages", {"event": user_event(), "partition_key": "k"}, headers=unsampled
    )
    exported_then = exported.get_finished_spans()
    page = await bridge.call("GET", f"/messages?partition_id={sent.json['partition_id']}&from=first")
    (message,) = page.json["messages"]
    assert exported_then == ()
    assert message["headers"]["traceparent"].startswith(f"00-{TRACE}-")
    assert message["headers"]["traceparent"].endswith("-00")


async def test_a_request_without_a_trace_begins_one_that_its_log_line_and_problem_name(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    answer = await bridge.call("GET", "/streams/none-of-that-name")
    (span,) = exported.get_finished_spans()
    assert span.parent is None
    assert answer.json["trace_id"] == f"{span.context.trace_id:032x}"
    assert (span.attributes or {})["error.type"] == "not_found"
    assert span.status.status_code is StatusCode.UNSET, "a fault of the caller is none of the server"


async def test_a_path_that_is_none_is_no_name_of_a_span(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    assert (await bridge.call("PROPFIND", "/secret/path")).status in {404, 405}
    for span in exported.get_finished_spans():
        assert "secret" not in f"{span.name} {span.attributes}"


async def test_a_failed_append_and_its_request_say_so(
    bridge: BridgeApp, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise SendError

    monkeypatch.setattr(bridge.bare_log, "append", fails)
    answer = await bridge.call("POST", "/messages", {"event": user_event(), "partition_key": "k"})
    assert answer.status == 500
    spans = exported.get_finished_spans()
    append, request = _named(spans, "send"), _named(spans, "POST")
    assert (append.attributes or {})["error.type"] == "send_error"
    assert append.status.status_code is StatusCode.ERROR
    assert request.status.status_code is StatusCode.ERROR


async def test_each_batch_of_lines_has_its_append(bridge: BridgeApp, exported: InMemorySpanExporter) -> None:
    ndjson = {"Content-Type": "application/x-ndjson"}
    lines = b"".join(b"%d\n" % number for number in range(2500))
    answer = await bridge.call("POST", "/messages?partition_id=0", lines, headers=ndjson)
    assert answer.status == 201
    spans = exported.get_finished_spans()
    appends = [span for span in spans if span.name.startswith("send")]
    assert sum((span.attributes or {})["messaging.batch.message_count"] for span in appends) == 2500  # type: ignore[misc]
    request = _named(spans, "POST")
    assert all(_is_within(span, request) for span in appends)


async def test_a_publication_has_a_span_below_the_one_that_it_names_and_its_append_below_that(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    async with open_socket(bridge.session, bridge.base) as client:
        await client.ask("publish", "receipt", id="1", event=user_event(), partition_id=0, **CALLER)
    page = await bridge.call("GET", "/messages?partition_id=0&from=first")
    spans = exported.get_finished_spans()
    publication, append = _named(spans, "publish"), _named(spans, "send")
    assert publication.kind is SpanKind.SERVER
    assert publication.parent is not None
    assert (f"{publication.parent.trace_id:032x}", f"{publication.parent.span_id:016x}") == (
        TRACE,
        CALLER_SPAN,
    )
    assert _is_within(append, publication)
    assert _is_within(_named(spans, "gather"), append)
    assert _is_within(_named(spans, "write"), append)
    carried = CALLER | {"traceparent": f"00-{TRACE}-{publication.context.span_id:016x}-01"}
    assert page.json["messages"][0]["headers"] == carried


async def test_a_publication_without_a_trace_begins_one_that_is_linked_with_its_socket(
    bridge: BridgeApp, exported: InMemorySpanExporter
) -> None:
    async with open_socket(bridge.session, bridge.base) as client:
        for number in "12":
            await client.ask("publish", "receipt", id=number, text="t", partition_id=0)
        await client.ws.close()
    await until(lambda: any(span.name == "GET /ws" for span in exported.get_finished_spans()))
    spans = exported.get_finished_spans()
    (socket,) = (span for span in spans if span.name == "GET /ws")
    one, two = (span for span in spans if span.name == "publish /ws")
    assert one.parent is two.parent is None
    assert len({each.context.trace_id for each in (socket, one, two)}) == 3
    assert [link.context.span_id for link in (*one.links, *two.links)] == [socket.context.span_id] * 2


async def test_a_publication_that_is_refused_or_fails_says_so_in_its_span(
    bridge: BridgeApp, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise SendError

    async with open_socket(bridge.session, bridge.base) as client:
        await client.refused(op="publish", id="1", payload_base64="", **CALLER)
        monkeypatch.setattr(bridge.bare_log, "append", fails)
        await client.refused(op="publish", id="2", payload=1, partition_id=0, **CALLER)
    refused, failed = (span for span in exported.get_finished_spans() if span.name == "publish /ws")
    assert (refused.attributes or {})["error.type"] == "bad_request"
    assert refused.status.status_code is StatusCode.UNSET, "a fault of the caller is none of the server"
    assert (failed.attributes or {})["error.type"] == "send_error"
    assert failed.status.status_code is StatusCode.ERROR


async def test_where_tracing_is_off_no_trace_is_read(tmp_path: Path) -> None:
    async with bridge_app(tmp_path, observe=ObserveConfig(tracing="off")) as app:
        sent = await app.call(
            "POST", "/messages", {"event": user_event(), "partition_key": "k"}, headers=CALLER
        )
        page = await app.call("GET", f"/messages?partition_id={sent.json['partition_id']}&from=first")
        async with open_socket(app.session, app.base) as client:
            await client.ask("publish", "receipt", id="1", text="t", partition_id=0, **CALLER)
        published = await app.call("GET", "/messages?partition_id=0&from=first")
        assert not any(each.json["messages"][-1].get("headers") for each in (page, published))
        assert "trace_id" not in (await app.call("GET", "/streams/none", headers=CALLER)).json
