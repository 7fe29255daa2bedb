"""Figures of several workers, added up by whichever is asked."""

import re

from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import WORKER_FIGURES_INTERVAL_S
from bridge.telemetry.figure_slots import FigureSlots, slots_bytes
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.worker_metrics import WorkerMetrics, decode, encode
from tests.support.clock import FakeClock

PAYLOAD_BYTES_MAX = 100_000


def slots(count: int, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> FigureSlots:
    return FigureSlots(memoryview(bytearray(slots_bytes(count, payload_bytes_max))), count)


def value(metrics: Metrics, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics.render()[0].decode(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def served(metrics: Metrics, count: int) -> None:
    for _ in range(count):
        metrics.http.request_started()
        metrics.http.request_finished("GET", "/x", 200, 0.001)
        metrics.log.appended("s", "t", messages=2, payload_bytes=10, seconds=0.001)
        metrics.log.read("s", "t", messages=1, payload_bytes=5, seconds=0.001)


def busy(metrics: Metrics) -> None:
    """One of everything there is."""
    served(metrics, 1)
    metrics.http.request_started()
    metrics.http.rate_limited.add()
    metrics.http.overloaded.add()
    metrics.http.accept_failures.add("EMFILE")
    metrics.http.auth_failures.add("wrong")
    metrics.log.append_failures.add("timeout")
    metrics.tasks.failures.add("stats", "timeout")
    metrics.tasks.loop_lag_s.at().observe(0.001)
    metrics.log.connection.set_state("connected")
    metrics.log.breaker.set_state("closed")
    metrics.log.reconnects.add()


REQUESTS = 'bridge_http_requests_total{method="GET",route="/x",status="200"}'


def test_any_worker_tells_the_sum_of_all() -> None:
    table, clock = slots(3), FakeClock()
    workers = [WorkerMetrics(table, slot, clock) for slot in range(3)]
    for number, worker in enumerate(workers):
        served(worker, number + 1)
        worker.publish()
    for worker in workers:
        assert value(worker, REQUESTS) == 6
        assert value(worker, 'bridge_messages_in_total{stream="s",topic="t"}') == 12
        assert worker.message_totals() == (12, 6)


def test_what_one_scrape_showed_the_next_one_finds_whoever_is_asked() -> None:
    table, clock = slots(2), FakeClock()
    one, two = (WorkerMetrics(table, slot, clock) for slot in range(2))
    shown = 0.0
    for _ in range(5):
        for worker in (one, two):
            served(worker, 3)
            now = value(worker, REQUESTS)
            assert now >= shown + 3
            shown = now


def test_a_killed_worker_s_counts_stay_and_the_next_one_goes_on_from_them() -> None:
    table, clock = slots(2), FakeClock()
    one, two = (WorkerMetrics(table, slot, clock) for slot in range(2))
    served(one, 5)
    served(two, 1)
    assert value(one, REQUESTS) == 5
    del one
    shown = value(two, REQUESTS)
    assert shown == 6
    again = WorkerMetrics(table, 0, clock)
    assert value(again, REQUESTS) == shown
    served(again, 1)
    assert value(again, REQUESTS) == shown + 1
    assert value(two, REQUESTS) == shown + 1
    assert value(two, 'bridge_worker_starts_total{worker="1"}') == 2


def test_those_who_wait_at_any_worker_are_added_up_and_those_of_one_that_is_gone_are_not() -> None:
    table, clock = slots(2), FakeClock()
    one, two = (WorkerMetrics(table, slot, clock) for slot in range(2))
    one.live.streams.set(2, "socket")
    one.live.long_polls.set(4)
    one.live.feeds_held_bytes.set(7)
    two.live.ask = lambda: two.live.long_polls.set(10)
    one.publish()
    sockets = 'bridge_live_streams{kind="socket"}'
    assert (value(two, sockets), value(two, "bridge_long_polls")) == (2, 14)
    assert value(two, "bridge_feeds_held_bytes") == 7
    clock.advance(5 * WORKER_FIGURES_INTERVAL_S)
    assert (value(two, sockets), value(two, "bridge_long_polls")) == (0, 10)
    # Whoever takes the place of the other begins with none.
    assert value(WorkerMetrics(table, 0, clock), sockets) == 0


def test_states_and_requests_in_flight_of_a_worker_that_is_gone_do_not_count() -> None:
    table, clock = slots(2), FakeClock()
    one, two = (WorkerMetrics(table, slot, clock) for slot in range(2))
    for worker in (one, two):
        worker.http.request_started()
        worker.log.connection.set_state("connected")
        worker.publish()
    assert value(two, "bridge_http_requests_in_flight") == 2
    assert value(two, 'bridge_connection_state{state="connected"}') == 2
    clock.advance(5 * WORKER_FIGURES_INTERVAL_S)
    assert value(two, "bridge_http_requests_in_flight") == 1
    assert value(two, 'bridge_connection_state{state="connected"}') == 1
    assert value(two, 'bridge_worker_up{worker="1"}') == 0
    assert value(two, 'bridge_worker_up{worker="2"}') == 1


def test_what_is_absorbed_tells_the_same_as_what_was_told() -> None:
    original, copy = Metrics(of_workers=True), Metrics(of_workers=True)
    busy(original)
    copy.absorb(decode(encode(original.plain())), alive=True)
    assert copy.render() == original.render()
    copy.absorb(original.plain(), alive=True)
    assert value(copy, "bridge_overloaded_total") == 2
    assert value(copy, 'bridge_append_failures_total{code="timeout"}') == 2


def test_a_slot_that_holds_something_else_is_passed_over() -> None:
    table, clock = slots(2), FakeClock()
    table.write(1, b"\xc1", clock.monotonic_s())
    worker = WorkerMetrics(table, 0, clock)
    served(worker, 1)
    assert value(worker, REQUESTS) == 1


def test_figures_too_long_for_their_slot_are_not_written_and_the_old_ones_stay() -> None:
    table = slots(1, 100)
    assert table.write(0, b"x" * 100, 1.0)
    assert not table.write(0, b"y" * 101, 2.0)
    left = table.read(0)
    assert left is not None
    assert (left.payload, left.at_s) == (b"x" * 100, 1.0)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.data())
def test_a_write_cut_off_anywhere_leaves_what_was_there_before(
    payloads: list[bytes], data: st.DataObject
) -> None:
    memory = memoryview(bytearray(slots_bytes(1, 50)))
    table = FigureSlots(memory, 1)
    for number, payload in enumerate(payloads):
        table.write(0, payload, float(number))
    before, bytes_before = table.read(0), bytes(memory)
    table.write(0, b"the next", 99.0)
    changed = [at for at in range(len(memory)) if memory[at] != bytes_before[at]]
    # Of a writer that was killed, any part of the bytes arrived.
    arrived = data.draw(st.sets(st.sampled_from(changed), max_size=len(changed) - 1))
    for at in changed:
        if at not in arrived:
            memory[at] = bytes_before[at]
    assert table.read(0) == before


def test_an_empty_slot_tells_nothing() -> None:
    assert slots(1).read(0) is None
