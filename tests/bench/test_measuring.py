"""Claims about how the bench measures (shell): clocks, processes, and what wrk says."""

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench import caller
from tests.bench.bulk import CHUNK_BYTES, chunks, read_out, send_in, turned
from tests.bench.caller import READ_BYTES, received, stamp
from tests.bench.cases import Dialect, case_named
from tests.bench.fanout import waits_us
from tests.bench.fanout_readers import Readers, source_address
from tests.bench.instructions import instructions_of, total_of
from tests.bench.load import command_of, pool_file, read_report
from tests.bench.machine import about, changes_of, cpu_model, too_busy
from tests.bench.processes import cpu_s, cpu_ticks, forget_peak, peak_kib, peak_mib
from tests.bench.requests import fill, lines, templates
from tests.bench.targets import Target

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
WRK = """Running 1s test @ http://127.0.0.1:39111/messages
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
Requests/sec:  32135.06

REPORT {"requests": 32201, "seconds": 1.002052, "p50_us": 1890, "p99_us": 4200, "refused": 0, "broken": 0}
"""


def test_the_figures_are_read_out_of_what_wrk_prints() -> None:
    assert read_report(WRK)["requests"] == 32201
    with pytest.raises(ValueError, match="unpack"):
        read_report("no figures")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def test_cpu_time_is_read_past_a_name_with_brackets() -> None:
    fields = ["S", *("0" for _ in range(10)), "120", "30", *("0" for _ in range(30))]
    assert cpu_ticks("42 (a) b (c) " + " ".join(fields)) == 150


def test_the_peak_is_read_in_kib() -> None:
    assert peak_kib("VmPeak:\t  9 kB\nVmHWM:\t   5120 kB\nVmRSS:\t 1 kB\n") == 5120


def test_a_process_costs_time_and_memory() -> None:
    assert cpu_s(os.getpid()) > 0
    forget_peak(os.getpid())
    assert peak_mib(os.getpid()) > 1


def test_the_machine_is_described_without_its_name() -> None:
    described = about()
    assert described["cores"] >= 1
    assert platform.node() not in described.values()
    assert cpu_model("model name\t: A  B\n") == "A B"


def test_a_tree_is_what_its_commit_is_but_for_results() -> None:
    porcelain = " M bridge/clock.py\n?? bridge/new.py\n M tests/bench/results/latest.json\n"
    assert changes_of(porcelain) == [" M bridge/clock.py", "?? bridge/new.py"]
    assert changes_of("") == []


@pytest.mark.parametrize("load,busy", [(0.5, False), (0.7, True)])
def test_a_busy_machine_is_called_so(load: float, busy: bool) -> None:
    assert too_busy(load, 2) is busy


def test_bodies_in_bulk_hold_the_same_lines_and_begin_with_another_one() -> None:
    body = b"\n".join([*lines(300), b""])
    turns = [turned(body, number) for number in range(3)]
    assert len({one.partition(b"\n")[0] for one in turns}) == 3
    assert {tuple(sorted(one.splitlines())) for one in turns} == {tuple(sorted(body.splitlines()))}


def test_a_body_is_sent_in_whole_chunks() -> None:
    body = b"x" * (CHUNK_BYTES + 5)
    assert list(chunks(body)) == [
        b"10000\r\n" + b"x" * CHUNK_BYTES + b"\r\n",
        b"5\r\nxxxxx\r\n",
        b"0\r\n\r\n",
    ]


CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"offset":11,"a":1}\n\r\n0\r\n\r\n'


@pytest.mark.parametrize(
    "answer,messages,fault",
    [
        (CHUNKED, 12, None),
        (CHUNKED, 2, "without the last of 2"),
        (CHUNKED, 13, "without the last of 13"),
        (b"HTTP/1.1 415 No\r\nContent-Length: 2\r\n\r\n{}", 1, "answered 415: {}"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_stream_that_is_not_whole_is_no_figure_however_it_arrives(
    listener: socket.socket, answer: bytes, messages: int, fault: str | None, step: int
) -> None:
    with socket.create_connection(listener.getsockname()) as connection:
        connection.settimeout(10)
        there, _ = listener.accept()
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with there:
            for begin in range(0, len(answer), step):
                there.sendall(answer[begin : begin + step])
            with pytest.raises(RuntimeError, match=fault) if fault else contextlib.nullcontext():
                read_out(connection, b"ask", messages)


def test_messages_that_were_not_all_stored_are_no_figure(listener: socket.socket) -> None:
    body = b'{"success":true,"stored":2,"failed":0}'
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_connection(listener.getsockname()) as connection:
        there, _ = listener.accept()
        with there:
            there.sendall(answer)
            send_in(connection, b"head", b"{}\n{}\n", 2)
            there.sendall(answer)
            with pytest.raises(RuntimeError, match='"stored":2'):
                send_in(connection, b"head", b"{}\n{}\n{}\n", 3)


def test_a_wait_counts_from_the_acknowledgement_to_each_reader() -> None:
    assert waits_us([1.0, 2.0], [[1.003, 1.001], [2.002, 1.9]]) == [0, 1000, 2000, 3000]
    with pytest.raises(ValueError, match="zip"):
        waits_us([1.0], [])


def test_readers_come_from_as_many_addresses_as_their_number_needs() -> None:
    callers = [source_address(number) for number in range(1000)]
    assert max(callers.count(one) for one in set(callers)) <= 500


def test_readers_count_what_each_has_and_note_when_it_came(listener: socket.socket) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    first = b"retry: 1\nid: a\n\n"
    event = b"id: b\ndata: {}\n\n"

    def framed(block: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(block), block)

    there = []

    def serve() -> None:
        for _ in range(2):
            one, _ = listener.accept()
            one.recv(100)
            one.sendall(head + framed(first))
            there.append(one)

    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        serving = pool.submit(serve)
        readers = Readers(listener.getsockname()[1], 2, b"ask")
        stack.callback(readers.close)
        serving.result()
        for one in there:
            stack.callback(one.close)
        readers.start(timed=True)
        there[0].sendall(framed(event * 2))
        # Cut in the middle of what is counted, behind a heartbeat.
        there[1].sendall(framed(b":\n\n") + framed(event)[: framed(event).index(b"ta: ")])
        while sum(map(len, readers.arrivals)) < 2:
            readers.read(10)
        assert readers.least() == 0
        there[1].sendall(framed(event)[framed(event).index(b"ta: ") :] + framed(event))
        readers.read_until(2, timeout_s=10)
        assert [len(each) for each in readers.arrivals] == [2, 2]
        with pytest.raises(RuntimeError, match="of 3"):
            readers.read_until(3, timeout_s=0.01)


def test_the_kernel_tells_when_bytes_came_however_late_they_are_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as reading:
        reading.connect(listening.getsockname())
        stamp(reading)
        sending, _ = listening.accept()
        with sending:
            # The first ones may have come before the kernel began to note it.
            for _ in range(10_000):
                before_s = time.time()
                sending.sendall(b"event")
                read_s = time.time()
                length, came_s = received(reading, bytearray(9))
                assert length == 5
                if before_s <= came_s <= read_s:
                    break
            else:
                pytest.fail("it told when they were read")


def test_an_acknowledgement_came_with_the_last_of_its_bytes(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    reads = 0

    def counted(one: socket.socket, buffer: bytearray) -> tuple[int, float]:
        nonlocal reads
        reads += 1
        return received(one, buffer)[0], float(reads)

    monkeypatch.setattr(caller, "received", counted)
    with socket.create_connection(listener.getsockname()) as connection:
        there, _ = listener.accept()
        with there:
            buffer = bytearray(len(ANSWER) - 1)
            there.sendall(ANSWER)
            assert caller.take_answer(connection, buffer) == (b"{}", reads)
            assert reads > 1
            there.sendall(ANSWER.replace(b"201", b"503"))
            with pytest.raises(RuntimeError, match="503"):
                caller.take_answer(connection, buffer)
        with pytest.raises(ConnectionError):
            caller.take_answer(connection, buffer)


def test_a_caller_asks_on_every_connection_before_it_takes_an_answer(listener: socket.socket) -> None:
    def serve() -> list[bytes]:
        there = [listener.accept()[0] for _ in range(2)]
        asked = [one.recv(READ_BYTES) for one in there]
        for one in there:
            one.sendall(ANSWER)
            one.close()
        return asked

    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        case, port = case_named("post-1"), listener.getsockname()[1]
        asking = caller.Caller(case, Dialect.BRIDGE, port, {"X-API-Key": "k"}, connections=2)
        begun_s = time.time()
        assert begun_s - 1 < asking.ask() < begun_s + 10
        asking.close()
        first, second = serving.result()
    assert first != second


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not there")
def test_wrk_sends_what_clients_send(listener: socket.socket, tmp_path: Path) -> None:
    target = Target("it", Dialect.BRIDGE, listener.getsockname()[1], (), {"X-API-Key": "k"}, tmp_path)
    case, asked = case_named("post-1"), []
    pool = templates(case, Dialect.BRIDGE, f"127.0.0.1:{target.port}", target.headers, "")
    environ = {
        "BENCH_REQUESTS_MAX": "300",
        "BENCH_OFFSETS": "1",
        "BENCH_SEED": "0",
        "BENCH_POOL": str(pool_file(case, target)),
    }
    with subprocess.Popen(
        command_of(case, target, 1), env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True
    ) as wrk:
        # It looks first whether anybody is there.
        listener.accept()[0].close()
        there, _ = listener.accept()
        # It ends without reading the last answer.
        with there, contextlib.suppress(ConnectionError):
            while got := there.recv(READ_BYTES):
                asked.append(got)
                there.sendall(ANSWER)
        assert wrk.stdout is not None
        assert read_report(wrk.stdout.read())["requests"] >= len(asked) - 1
    # The first ones it makes but to look at them.
    begin = next(number for number in range(1, 5) if fill(pool[number], number) == asked[0])
    assert asked == [fill(pool[number], number) for number in range(begin, begin + len(asked))]
    assert len(asked) >= 290


def test_instructions_of_a_request_are_what_twice_as_many_took_more() -> None:
    dump = "version: 1\nevents: Ir\nsummary: 7\nfn=(1) main\n0 7\ntotals: 953490\n"
    assert total_of(dump) == 953_490
    assert instructions_of(30_000, 50_000, 100) == 200
    with pytest.raises(ValueError, match="unpack"):
        total_of("no dump")
