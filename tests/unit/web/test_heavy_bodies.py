"""Large bodies are checked in short steps, and found to be what small ones are found to be."""

import json
import re
from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.errors import BridgeError, PayloadTooLarge, SerializationError
from bridge.events import Steps, is_event, is_event_steps
from bridge.events import event as event_module
from bridge.events.payloads import are_short_amounts
from bridge.limits import JSON_FAST_BRACKETS_MAX, JSON_FAST_BYTES_MAX, JSON_STEP_BYTES
from bridge.web.wire.payload_forms import form_of
from bridge.web.wire.submissions import batch_steps, message_steps, read_message
from bridge.web.wire.topics import read_stream
from tests.support.events import generic_event
from tests.support.submissions import read_batch

ID: Final = "6f1c1b1e-1111-4111-8111-111111111111"
MIB: Final = 1024 * 1024
ITEM: Final = f'{{"product_id":"{ID}","quantity":1,"unit_price":1.5}}'
LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def generic(data: str, more: str = "") -> str:
    return (
        f'{{"id":"{ID}","event_type":"t","timestamp":"2026-01-01T00:00:00Z",'
        f'"payload":{{"type":"Generic","data":{data}}}{more}}}'
    )


def order(items: str, *, action: str = "Created", keys: str = '"items"') -> str:
    return (
        f'{{"id":"{ID}","event_type":"t","timestamp":"2026-01-01T00:00:00Z","payload":{{"type":"Order","data":'
        f'{{"action":"{action}","order_id":"{ID}","user_id":"{ID}",{keys}:[{items}],"total_amount":1}}}}}}'
    )


def body_of(event: str) -> bytes:
    return f'{{"event":{event}}}'.encode()


SHAPES: Final = {
    "lists": generic("[" + "[]," * (MIB // 3) + "1]"),
    "nested": generic("[" + ("[" * 50 + "]" * 50 + ",") * (MIB // 101) + "1]"),
    "objects": generic("[" + '{"a":1},' * (MIB // 8) + "1]"),
    "strings": generic("[" + '"a",' * (MIB // 4) + "1]"),
    "escapes": generic('"' + '\\"' * (MIB // 2) + '"'),
    "exponents": generic("[" + "1.5e3," * (MIB // 6) + "1]"),
    "escaped keys": generic("[" + '{"\\u0061":1},' * (MIB // 13) + "1]"),
    "other fields": generic("1", ',"x":[' + "[]," * (MIB // 3) + '1],"\\u0079":1'),
    "items": order(",".join([ITEM] * (MIB // len(ITEM)))),
}


class Work:
    """What was done in one go, that is between two steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.amounts = 0
        self.built_brackets = 0

        def count(written: list[Any]) -> bool:
            self.amounts += len(written)
            return are_short_amounts(written)

        def load(read: Any) -> Any:
            def loads(body: bytes, **options: Any) -> Any:
                self.built_brackets = max(self.built_brackets, body.count(b"[") + body.count(b"{"))
                return read(body, **options)

            return loads

        monkeypatch.setattr(event_module, "are_short_amounts", count)
        monkeypatch.setattr(orjson, "loads", load(orjson.loads))
        monkeypatch.setattr(json, "loads", load(json.loads))

    def most_of(self, steps: Steps[Any]) -> tuple[int, int]:
        """Most amounts looked at in one step, and how many steps there were."""
        most = count = 0
        for count, _ in enumerate(steps, start=1):  # noqa: B007 (the last one counts)
            most, self.amounts = max(most, self.amounts), 0
        return max(most, self.amounts), count


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["message", "batch", "stored"])
def test_what_is_heavy_is_done_in_many_steps_and_builds_no_objects_of_it(
    shape: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = SHAPES[shape]
    work = Work(monkeypatch)
    steps: Steps[Any]
    if way == "message":
        steps = message_steps(body_of(event))
    elif way == "batch":
        steps = batch_steps(f'{{"events":[{event}]}}'.encode(), messages_max=10)
    else:
        steps = is_event_steps(event.encode())
    amounts, count = work.most_of(steps)
    assert count >= len(event) // JSON_STEP_BYTES
    assert amounts <= 256
    assert work.built_brackets <= JSON_FAST_BRACKETS_MAX


def _make_all_large(patch: pytest.MonkeyPatch, step_bytes: int = 16) -> None:
    for module in ("bridge.events.json_rules", "bridge.events.event"):
        patch.setattr(f"{module}.JSON_STEP_BYTES", step_bytes)
    for module in ("bridge.events.duplicates", "bridge.web.wire.submissions", "bridge.web.wire.envelopes"):
        patch.setattr(f"{module}.JSON_STEP_BYTES", step_bytes)
    for module in ("bridge.events.json_rules", "bridge.web.wire.submissions", "bridge.web.wire.envelopes"):
        patch.setattr(f"{module}.JSON_FAST_BYTES_MAX", 0)
    # What has so many commas is no order then.
    patch.setattr(event_module, "_ITEM_BYTES_MIN", 1)


def _outcome(event: str) -> tuple[str, Any]:
    try:
        return "taken", read_message(body_of(event)).messages[0].payload
    except BridgeError as error:
        path = getattr(error, "path", None)
        return error.code, None if path is None else re.sub(r"(\$\.event).*", r"\1", path)


_DATA = st.sampled_from(
    ["1", '""', '"\\\\"', '"\\""', '"\\\\\\""', "[]", "{}", '{"a":1,"a":2}', "[[[1]]]", "1e5", "1e308", "1e400", "-0.5E+3",
     "1" * 201, "9" * 310, '"1e400"', '"e, e"', "[1,2,3]", '{"\\u0061":[{}]}', '"\\ud83d\\ude00"', '"[{,:"', "1" * 30 + "e300",
     "0." + "0" * 420 + "1", "1e" + "0" * 40 + "1", "1e" + "0" * 40 + "400", "[" * 70 + "]" * 70, "\t[ 1 , 2 ]\n"]
)  # fmt: skip
_LISTS = st.lists(_DATA, max_size=5).map(lambda values: "[" + ",".join(values) + "]")
_MORE = st.sampled_from(
    ["", ',"x":1', ',"x":1,"x":2', ',"\\u0069d":1', ',"i\\u0064":"' + ID + '"', ',"x":[1,2]', ',"source":"s"', ',"\\u00e9":{}', ',"id":1']
)  # fmt: skip
_GENERIC = st.builds(generic, _DATA | _LISTS, _MORE)
_ITEMS = st.lists(
    st.sampled_from([ITEM, ITEM, ITEM.replace("1.5", '"x"'), "1", ITEM.replace("quantity", "qty")]),
    max_size=4,
)
_ORDERS = st.builds(
    order, _ITEMS.map(",".join), action=st.sampled_from(["Created", "Cancelled"]), keys=st.sampled_from(['"items"', '"it\\u0065ms"'])
)  # fmt: skip


@LOOSE
@given(_GENERIC | _ORDERS, st.integers(1, 60))
@example(generic("1", ',"x":1,"\\u0078":2'), 16)
@example(order(f"{ITEM},{ITEM.replace('1.5', 'true')}"), 16)
def test_a_large_body_is_judged_as_a_small_one_is(event: str, step_bytes: int) -> None:
    expected, was_event = _outcome(event), is_event(event.encode())
    with pytest.MonkeyPatch.context() as patch:
        _make_all_large(patch, step_bytes)
        assert _outcome(event) == expected
        assert is_event(event.encode()) == was_event
        assert form_of(event.encode()) is not None


@pytest.mark.parametrize("index", [0, 255, 256, 3000])
def test_a_bad_item_among_many_is_told_with_its_place(index: int) -> None:
    items = [ITEM] * 4000
    items[index] = ITEM.replace("1.5", '"free"')
    with pytest.raises(SerializationError) as fault:
        read_message(body_of(order(",".join(items))))
    assert fault.value.path == f"$.event.payload.data.items[{index}]"


def test_an_order_of_more_items_than_there_is_room_for_is_refused_before_they_are_objects() -> None:
    with pytest.raises(SerializationError, match="more items") as fault:
        read_message(body_of(order(",".join([ITEM] * 2000 + ["1"] * 100_000))))
    assert fault.value.path == "$.event.payload.data.items"
    many = "[" + "1," * 100_000 + "1]"
    assert _outcome(generic(f'{{"a":{many}}}', ',"items":1'))[0] == "taken"
    assert _outcome(order("1", action="Cancelled", keys=f'"reason":"r","x":{many},"items"'))[0] == "taken"


def test_a_large_body_that_names_a_key_twice_is_refused_however_it_is_spelled() -> None:
    text = json.dumps("x" * JSON_FAST_BYTES_MAX)
    for more in (',"source":"a","\\u0073ource":"b"', ',"source":"a","source":"b"'):
        with pytest.raises(SerializationError, match="twice") as fault:
            read_message(body_of(generic(text, more)))
        assert fault.value.path == "$.event"
    once = generic(text, ',"\\u0073ource":"a"')
    assert read_message(body_of(once)).messages[0].payload == once.encode()


def test_a_large_batch_is_what_its_events_are() -> None:
    events = [json.dumps(generic_event("x" * 300_000, source=str(number))) for number in range(3)]
    body = f'{{"events":[{",".join(events)}],"partition_key":"k"}}'
    taken = read_batch(body.encode(), messages_max=3)
    assert [message.payload.decode() for message in taken.messages] == events


def test_a_body_without_messages_is_never_long() -> None:
    with pytest.raises(PayloadTooLarge) as fault:
        read_stream(b'{"name":"a"' + b" " * JSON_FAST_BYTES_MAX + b"}")
    assert fault.value.limit == JSON_FAST_BYTES_MAX
