import orjson

from bridge.messagelog import Message, Records
from bridge.web.wire.pages import PageEncoder
from bridge.web.wire.payload_forms import of_types
from tests.support.events import user_event


def records(*payloads: bytes) -> Records:
    return Records.of(
        [Message(10 + index, 1000 + index, index, each, {"n": index}) for index, each in enumerate(payloads)]
    )


def event(event_type: str) -> bytes:
    return orjson.dumps(user_event(event_type=event_type))


def test_no_filter_is_the_same_object() -> None:
    given = records(event("a"), b"x")
    assert of_types(given, PageEncoder().forms_of, frozenset()) is given


def test_where_all_pass_it_is_the_same_object() -> None:
    given = records(event("a"), event("b"))
    assert of_types(given, PageEncoder().forms_of, frozenset("ab")) is given


def test_what_passes_keeps_all_it_has() -> None:
    given = records(event("a"), b'{"event_type":"b"}', event("b"), b"b", event("c"), event("b"))
    found = of_types(given, PageEncoder().forms_of, frozenset("b"))
    assert list(found) == [given[2], given[5]]


def test_nothing_may_pass() -> None:
    assert not of_types(records(event("a"), b"\xff"), PageEncoder().forms_of, frozenset("z"))
