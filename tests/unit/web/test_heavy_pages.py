"""Large messages are looked at and encoded in short steps, and go out as small ones do."""

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import Deadline
from bridge.errors import DeadlineExceeded
from bridge.limits import JSON_STEP_BYTES, PAGE_LIGHT_BYTES
from bridge.messagelog import Headers, Message, Page, Records
from bridge.web.wire import pages as wire_pages
from bridge.web.wire.heavy_pages import made_ready
from bridge.web.wire.pages import PageEncoder
from tests.support.clock import FakeClock
from tests.support.events import generic_event

MIB = 1024 * 1024
PAYLOADS = {
    "event": json.dumps(generic_event([[]] * (MIB // 4))).encode(),
    "json": b"[" + b"[]," * (MIB // 3) + b"1]",
    "no json": b"[" * MIB,
    "nearly an event": json.dumps(generic_event([[]] * (MIB // 4))).encode() + b" x",
    "text": "a\n\u00e9\x01".encode() * (MIB // 5),
    "bytes": b"\xff\x00" * (MIB // 2),
}


def records(*payloads: bytes, headers: Headers | None = None) -> Records:
    return Records.of([Message(number, 0, 1, each, headers or {}) for number, each in enumerate(payloads)])


def in_one_go(payloads: Any, headers: Headers | None = None, **options: Any) -> list[bytes]:
    return PageEncoder().lines(records(*payloads, headers=headers), **options)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_what_is_heavy_takes_many_steps_and_then_is_only_put_together(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_one_go([PAYLOADS[kind]])
    encoder, heavy = PageEncoder(), records(PAYLOADS[kind])
    longest = 0
    dumps, b64encode = orjson.dumps, base64.b64encode

    def measured(encode: Any) -> Any:
        def call(value: Any) -> Any:
            nonlocal longest
            longest = max(longest, len(value) if isinstance(value, str | bytes) else 0)
            return encode(value)

        return call

    monkeypatch.setattr("bridge.web.wire.pages.orjson.dumps", measured(dumps))
    monkeypatch.setattr(wire_pages, "b64encode", measured(b64encode))
    steps = sum(1 for _ in encoder.shown_steps(heavy))
    assert steps >= (1 if kind in ("text", "bytes", "no json") else MIB // JSON_STEP_BYTES)
    assert longest <= 3 * JSON_STEP_BYTES
    monkeypatch.delattr(type(encoder.forms), "forms_of")
    longest = 0
    assert encoder.lines(heavy) == expected
    assert longest <= JSON_STEP_BYTES


_PAYLOAD = st.sampled_from(
    [b"[1]", b"text", "\U0001f600\n".encode(), b"\xff\x00", b"", json.dumps(generic_event(1)).encode(), b"{}", b"[" * 70]
)  # fmt: skip


@given(st.lists(_PAYLOAD, max_size=6), st.booleans(), st.integers(1, 9), st.data())
def test_what_was_made_ready_goes_out_as_all_else_does(
    payloads: list[bytes], headed: bool, step_bytes: int, data: st.DataObject
) -> None:
    headers: Headers = {"k": "v"} if headed else {}
    start = data.draw(st.integers(0, len(payloads)))
    stop = data.draw(st.integers(start, len(payloads)))
    expected = in_one_go(payloads, headers, lead=b'{"a":1,')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire_pages, "PAGE_LIGHT_BYTES", 0)
        patch.setattr(wire_pages, "JSON_STEP_BYTES", step_bytes)
        encoder, ready = PageEncoder(), records(*payloads, headers=headers)
        for _ in encoder.shown_steps(ready):
            pass
        assert encoder.lines(ready, lead=b'{"a":1,') == expected
        assert encoder.joined(ready, lead=b'{"a":1,') == b",".join(expected)
        part = ready.part(start, stop)
        assert encoder.lines(part, lead=b'{"a":1,') == expected[start:stop]


async def test_a_page_that_is_made_ready_lets_others_go_first_and_ends_with_its_time() -> None:
    clock = FakeClock()
    page = Page(0, 0, records(PAYLOADS["json"]))
    with pytest.raises(DeadlineExceeded) as fault:
        await made_ready(PageEncoder(), page.messages, deadline=Deadline.after(0, clock))
    assert fault.value.outcome is None
    encoder = PageEncoder()
    await made_ready(encoder, page.messages, deadline=Deadline.after(1, clock))
    assert encoder.page_json(page) == PageEncoder().page_json(Page(0, 0, records(PAYLOADS["json"])))


async def test_what_is_light_or_known_is_not_looked_at() -> None:
    nobody: Any = None
    light = records(b"x" * PAGE_LIGHT_BYTES)
    assert await made_ready(nobody, light, deadline=None) is light
    known = records(PAYLOADS["event"])
    known.events = True
    assert list(PageEncoder().shown_steps(known)) == []
    assert not known.shown


def test_a_page_of_many_events_becomes_known_to_be_that() -> None:
    many = records(*[json.dumps(generic_event("x" * 1000)).encode() for _ in range(1000)])
    assert sum(1 for _ in PageEncoder().shown_steps(many)) < 20
    assert many.events
    assert not many.shown
