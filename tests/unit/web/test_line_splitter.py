"""Cutting a body into lines, and lines into messages."""

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import SerializationError
from bridge.events import check_json, is_well_formed, result_of
from bridge.limits import JSON_DEPTH_MAX
from bridge.web.bodies.ndjson import Lines, LineSplitter, LongLine, Run, line_steps

LINE_BYTES_MAX = 12


def read(chunks: list[bytes], line_bytes_max: int = LINE_BYTES_MAX) -> Lines[bytes]:
    """All lines of a body that comes in these chunks."""
    splitter = LineSplitter(line_bytes_max=line_bytes_max)
    found: list[Run | LongLine] = []
    for chunk in chunks:
        found += splitter.feed(chunk)
    found += splitter.end()
    payloads: list[bytes] = []
    numbers: list[int] = []
    faults = []
    failed = 0
    for run in found:
        lines = result_of(line_steps(run, line_bytes_max=line_bytes_max))
        payloads += lines.messages
        numbers += lines.numbers
        faults += lines.faults
        failed += lines.failed
    return Lines(payloads, numbers, faults, failed)


def expected(body: bytes) -> tuple[list[tuple[int, bytes]], list[int]]:
    """The same by the rules as they are written: numbered payloads, and the numbers of faulty lines."""
    payloads, faults = [], []
    for number, line in enumerate(body.split(b"\n"), start=1):
        payload = line.strip(b" \t\r")
        if len(line.removesuffix(b"\r")) > LINE_BYTES_MAX:
            faults.append(number)
        elif payload:
            try:
                check_json(payload)
                good = is_well_formed(payload)
            except SerializationError:
                good = False
            if good:
                payloads.append((number, payload))
            else:
                faults.append(number)
    return payloads, faults


_PIECES = st.sampled_from(
    [b"\n", b"\r\n", b" ", b"1", b'"a"', b"[1", b",2]", b"{}", b"x", b"\xff", "\u00e9".encode(), b"1e400", b"\x00",
     b'"aaaaaaaaaa"', b"[[[[[[", b"\xef\xbb\xbf", b'"\\ud800"']
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map(b"".join), st.lists(st.integers(0, 60), max_size=8))
@example(b"[1\n,2]\n1 2\n", [])
@example(b"1,2\n[1\n2]\n", [])
@example(b"1 2\n\n", [])
@example(b"1\r\n2\r", [])
@example(b"[1\n,2]\r\n1 2\r\n", [])
@example(b"\n\n1", [1])
def test_however_a_body_is_cut_its_lines_are_the_same(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    lines = read([body[start:end] for start, end in pairwise(edges)])
    payloads, faults = expected(body)
    assert list(zip(lines.numbers, lines.messages, strict=True)) == payloads
    assert [fault.line for fault in lines.faults] == faults
    assert lines.failed == len(faults)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"\r"])
@pytest.mark.parametrize("size", [1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1])
def test_the_end_of_a_line_does_not_count_whatever_it_is(end: bytes, size: int) -> None:
    value = b'"' + b"a" * (LINE_BYTES_MAX - 2) + b'"'
    long = value + b" "
    assert read([value + end, b"1"] if end.endswith(b"\n") else [value + end]).failed == 0
    chunks = [(long + end)[at : at + size] for at in range(0, len(long + end), size)]
    assert [fault.line for fault in read(chunks).faults] == [1]


def test_only_so_many_faults_are_explained_and_all_are_counted() -> None:
    run = Run(1, 5001, b"x\n" * 2000 + b"1\n" * 1000 + b"[1e999]\n" * 2000)
    lines = result_of(line_steps(run, line_bytes_max=100, faults_told=3))
    assert [fault.line for fault in lines.faults] == [1, 2, 3]
    assert (lines.failed, len(lines.messages), lines.numbers[0]) == (4000, 1000, 2001)


@given(st.lists(_PIECES, max_size=30).map(b"".join), st.integers(0, 3))
def test_what_is_not_explained_is_judged_alike(body: bytes, faults_told: int) -> None:
    run = Run(1, 2 + body.count(b"\n"), body)
    whole = result_of(line_steps(run, line_bytes_max=LINE_BYTES_MAX))
    part = result_of(line_steps(run, line_bytes_max=LINE_BYTES_MAX, faults_told=faults_told))
    assert (part.messages, list(part.numbers), part.failed) == (
        whole.messages, list(whole.numbers), whole.failed
    )  # fmt: skip
    assert part.faults == whole.faults[:faults_told]


def test_faulty_lines_take_a_turn_for_hundreds_of_them_not_each() -> None:
    run = Run(1, 10_001, b"x\n" * 10_000)
    assert sum(1 for _ in line_steps(run, line_bytes_max=100)) < 50


@given(
    st.lists(
        st.integers() | st.text() | st.lists(st.floats(allow_nan=False, allow_infinity=False)), max_size=9
    )
)
def test_values_come_out_as_the_bytes_they_came_in(values: list[object]) -> None:
    written = [json.dumps(value).encode() for value in values]
    lines = read([b"\r\n".join(written)], 10**6)
    assert lines.messages == written
    assert list(lines.numbers) == list(range(1, len(values) + 1))


@pytest.mark.parametrize(
    "deepest",
    [
        b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX,
        b'{"k":[' * (JSON_DEPTH_MAX // 2) + b"]}" * (JSON_DEPTH_MAX // 2),
    ],
)
def test_a_line_may_be_as_deep_as_a_body(deepest: bytes) -> None:
    lines = read([b"1\n" + deepest + b"\n" + deepest + b"\n[" + deepest + b"]\n2"], 10**6)
    assert lines.messages == [b"1", deepest, deepest, b"2"]
    assert [fault.line for fault in lines.faults] == [4]
    assert "64 levels" in lines.faults[0].reason


@pytest.mark.parametrize("line", [b"secret,", b"[secret", b'{"secret" 1}', b'"secret'])
def test_a_fault_shows_nothing_of_the_line(line: bytes) -> None:
    faults = read([line], 100).faults
    assert len(faults) == 1
    assert "secret" not in faults[0].reason


def test_of_a_line_without_end_no_more_is_held_than_allowed() -> None:
    splitter = LineSplitter(line_bytes_max=64 * 1024)
    chunk = b"x" * (64 * 1024)
    tracemalloc.start()
    for _ in range(200):
        assert splitter.feed(chunk) == []
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * len(chunk)
    assert splitter.feed(b"x\n1\n") == [LongLine(1), Run(2, 3, b"1\n")]
    assert splitter.end() == []


def test_a_line_that_comes_byte_by_byte_is_one_line() -> None:
    body = json.dumps(["x" * 60_000]).encode()
    assert read([body[at : at + 1] for at in range(len(body))], 10**6).messages == [body]
