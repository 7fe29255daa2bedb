"""Claims of `telemetry.metrics`: what a scrape shows is what happened."""

from prometheus_client.parser import text_string_to_metric_families

from bridge.limits import METRICS_TOPIC_IDLE_ROUNDS
from bridge.telemetry.metrics import HttpMetrics, LogMetrics, Metrics
from tests.support.figures import by_label, figure, figures, total


def test_requests_are_counted_by_method_route_and_status() -> None:
    metrics = HttpMetrics()
    for status in (201, 201, 404):
        metrics.request_started()
        metrics.request_finished("POST", "/messages", status, 0.003)
    assert figure(metrics, "bridge_http_requests_total", method="POST", route="/messages", status="201") == 2
    assert figure(metrics, "bridge_http_requests_total", method="POST", route="/messages", status="404") == 1
    labels = {"method": "POST", "route": "/messages"}
    assert figure(metrics, "bridge_http_request_duration_seconds_count", **labels) == 3
    assert figure(metrics, "bridge_http_request_duration_seconds_bucket", le="0.0025", **labels) == 0
    assert figure(metrics, "bridge_http_request_duration_seconds_bucket", le="0.005", **labels) == 3
    assert figure(metrics, "bridge_http_request_duration_seconds_bucket", le="+Inf", **labels) == 3


def test_an_observation_on_a_bound_belongs_to_its_bucket_and_one_beyond_all_to_infinity() -> None:
    metrics = HttpMetrics()
    for seconds in (0.005, 31.0):
        metrics.request_started()
        metrics.request_finished("GET", "/x", 200, seconds)
    labels = {"method": "GET", "route": "/x"}
    name = "bridge_http_request_duration_seconds"
    assert figure(metrics, f"{name}_bucket", le="0.005", **labels) == 1
    assert figure(metrics, f"{name}_bucket", le="30.0", **labels) == 1
    assert figure(metrics, f"{name}_bucket", le="+Inf", **labels) == 2
    assert figure(metrics, f"{name}_sum", **labels) == 31.005


def test_a_made_up_method_gets_no_label_of_its_own() -> None:
    metrics = HttpMetrics()
    for number in range(100):
        metrics.request_started()
        metrics.request_finished(f"M{number}", "unmatched", 405, 0.001)
    assert (
        figure(metrics, "bridge_http_requests_total", method="other", route="unmatched", status="405") == 100
    )
    assert not any(("method", "M1") in labels for _, labels in figures(metrics))


def test_requests_in_flight_are_those_started_and_not_finished() -> None:
    metrics = HttpMetrics()
    metrics.request_started()
    metrics.request_started()
    metrics.request_finished("GET", "/x", 200, 0.1)
    assert metrics.requests_in_flight == 1
    assert figure(metrics, "bridge_http_requests_in_flight") == 1


def test_refusals_are_counted_by_reason() -> None:
    metrics = HttpMetrics()
    metrics.rate_limited.add()
    for reason in ("missing", "wrong", "wrong"):
        metrics.auth_failures.add(reason)
    assert figure(metrics, "bridge_rate_limited_total") == 1
    assert figure(metrics, "bridge_auth_failures_total", reason="missing") == 1
    assert figure(metrics, "bridge_auth_failures_total", reason="wrong") == 2


def test_messages_and_bytes_are_counted_by_topic_in_both_directions() -> None:
    metrics = LogMetrics()
    metrics.appended("s", "t", messages=3, payload_bytes=30, seconds=0.001)
    metrics.read("s", "t", messages=2, payload_bytes=20, seconds=0.002)
    metrics.read("s", "t", messages=0, payload_bytes=0, seconds=0.002)
    assert figure(metrics, "bridge_messages_in_total", stream="s", topic="t") == 3
    assert figure(metrics, "bridge_payload_bytes_in_total", stream="s", topic="t") == 30
    assert figure(metrics, "bridge_messages_out_total", stream="s", topic="t") == 2
    assert figure(metrics, "bridge_payload_bytes_out_total", stream="s", topic="t") == 20
    assert figure(metrics, "bridge_append_batch_messages_sum") == 3
    assert figure(metrics, "bridge_append_duration_seconds_count") == 1
    assert figure(metrics, "bridge_read_duration_seconds_count") == 2
    assert (total(metrics.sent), total(metrics.received)) == (3, 2)


def test_topics_beyond_the_bound_share_one_label() -> None:
    metrics = LogMetrics(topics_max=2)
    for topic in ("a", "b", "c", "d", "a"):
        metrics.appended("s", topic, messages=1, payload_bytes=1, seconds=0.001)
    assert figure(metrics, "bridge_messages_in_total", stream="s", topic="a") == 2
    assert figure(metrics, "bridge_messages_in_total", stream="s", topic="c") is None
    assert figure(metrics, "bridge_messages_in_total", stream="other", topic="other") == 2


def test_a_topic_named_as_the_shared_label_does_not_break_the_scrape() -> None:
    metrics = LogMetrics(topics_max=1)
    for topic in ("other", "a", "b"):
        metrics.appended("other", topic, messages=1, payload_bytes=1, seconds=0.001)
    assert figure(metrics, "bridge_messages_in_total", stream="other", topic="other") == 2


def write(metrics: LogMetrics, topic: str) -> None:
    metrics.appended("s", topic, messages=1, payload_bytes=1, seconds=0.001)


def stored(metrics: LogMetrics, topic: str) -> float | None:
    return figure(metrics, "bridge_messages_in_total", stream="s", topic=topic)


def test_series_end_with_their_topic_and_make_room_for_new_ones() -> None:
    metrics = LogMetrics(topics_max=10)
    for number in range(100):
        write(metrics, f"t{number}")
        # All but the newest were deleted.
        assert metrics.begin_round() == ("s",)
        write(metrics, "late")
        metrics.keep_topics("s", {f"t{number}"})
        assert stored(metrics, f"t{number}") == 1
        assert stored(metrics, f"t{number - 1}") is None
        # It is not known of yet, and was written to since one began to look.
        assert stored(metrics, "late") == number + 1
    assert figure(metrics, "bridge_messages_in_total", stream="other", topic="other") is None


def test_where_there_is_no_room_topics_that_nobody_uses_give_theirs_up() -> None:
    metrics = LogMetrics(topics_max=2)
    write(metrics, "old")
    for _ in range(METRICS_TOPIC_IDLE_ROUNDS):
        write(metrics, "busy")
        metrics.begin_round()
        write(metrics, "new")
        assert stored(metrics, "new") is None
    metrics.begin_round()
    write(metrics, "new")
    assert (stored(metrics, "new"), stored(metrics, "old")) == (1, None)
    assert stored(metrics, "busy") == METRICS_TOPIC_IDLE_ROUNDS


def test_a_poll_of_an_empty_topic_takes_no_label() -> None:
    metrics = LogMetrics()
    metrics.read("s", "made-up", messages=0, payload_bytes=0, seconds=0.001)
    assert figure(metrics, "bridge_messages_out_total", stream="s", topic="made-up") is None


def test_failed_writes_are_counted_by_code() -> None:
    metrics = LogMetrics()
    metrics.append_failures.add("not_found")
    assert by_label(metrics.append_failures) == {"not_found": 1}


def test_exactly_one_state_is_the_present_one() -> None:
    metrics = LogMetrics()
    for state in ("connecting", "connected", "reconnecting"):
        metrics.connection.set_state(state)
    metrics.breaker.set_state("open")
    metrics.breaker.set_state("closed")
    metrics.reconnects.add()
    shown = {
        state: figure(metrics, "bridge_connection_state", state=state)
        for state in ("connected", "reconnecting")
    }
    assert shown == {"connected": 0, "reconnecting": 1}
    assert figure(metrics, "bridge_breaker_state", state="open") == 0
    assert figure(metrics, "bridge_breaker_state", state="closed") == 1
    assert figure(metrics, "bridge_reconnects_total") == 1


def test_background_failures_loop_lag_and_the_process_itself_are_shown() -> None:
    metrics = Metrics()
    metrics.tasks.failures.add("health-watch", "disconnected")
    metrics.tasks.loop_lag_s.at().observe(0.003)
    labels = {"task": "health-watch", "code": "disconnected"}
    assert figure(metrics, "bridge_task_failures_total", **labels) == 1
    assert figure(metrics, "bridge_event_loop_lag_seconds_count") == 1
    assert b"bridge_build_info{" in metrics.render()[0]
    assert b"process_resident_memory_bytes" in metrics.render()[0]


def test_two_bridges_in_one_process_do_not_share_figures() -> None:
    one, two = Metrics(), Metrics()
    one.http.rate_limited.add()
    assert figure(two, "bridge_rate_limited_total") == 0


def test_the_text_of_a_scrape_shows_the_same_figures() -> None:
    metrics = Metrics()
    metrics.http.request_started()
    metrics.http.request_finished("POST", "/messages", 201, 0.003)
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    read = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert figures(metrics).items() <= read.items()


def test_messages_of_the_bridge_itself_are_not_counted_as_anybody_s() -> None:
    metrics = LogMetrics()
    metrics.own_stream = "own"
    metrics.appended("own", "t", messages=3, payload_bytes=30, seconds=0.001)
    metrics.read("own", "t", messages=3, payload_bytes=30, seconds=0.001)
    assert (total(metrics.sent), total(metrics.received), total(metrics.messages_in)) == (0, 0, 0)
    assert figure(metrics, "bridge_append_batch_messages_sum") == 3
