import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.events import is_event, known_ids, result_of
from bridge.limits import KNOWN_PAYLOAD_BYTES, KNOWN_PAYLOAD_LENGTH_MAX
from bridge.web.wire.payload_forms import Form, PayloadForms, form_of
from tests.support.events import generic_event, order_event, user_event


def _stored(event: dict[str, Any], **how: Any) -> bytes:
    return json.dumps(event, **how).encode()


EVENTS = [
    _stored(user_event()),
    _stored(order_event(), indent=1),
    _stored(generic_event({"id": 1, "deep": [[{}]]}), separators=(",", ":")),
    _stored(generic_event("ü", more=1), ensure_ascii=False),
    _stored(user_event(source="s")),
]
#: Each is no event; the first ones are made to look like one beside others.
OTHERS = [
    EVENTS[0][:-1],
    EVENTS[0][20:],
    b'"', b",", b"", b"]", b"[", b"null", b'",', b',"',
    EVENTS[0] + b"," + EVENTS[1],
    EVENTS[0] + b" " + EVENTS[0],
    b"[" + EVENTS[0] + b"]",
    _stored(user_event() | {"id": "00000000-0000-0000-0000-000000000000"}),
    _stored(user_event() | {"event_type": "a\nb"}),
    _stored(user_event() | {"timestamp": "now"}),
    EVENTS[0][:-1] + b',"id":"0b6a4a0e-4a7b-4c43-9d6f-0a0f6a3e8f11"}',
    # A member too many, and a comma that is none where it is written.
    EVENTS[2].replace(b'"event_type":"', b'"event_type":"\\u002c')[:-1] + b',"source":"a","source":"b"}',
    EVENTS[2].replace(b'"event_type":"', b'"event_type":"\\u002c', 1)[:-1] + b',"payload":null}',
    b'"text"', b'{"a":1}', b"\xff", b"plain", _stored(generic_event([])).replace(b"[]", b"1e999"),
    _stored(generic_event("x")).replace(b'"x"', b'"\xff"'),
    _stored(generic_event("x")).replace(b'"x"', b"[" * 70 + b"]" * 70),
]  # fmt: skip

PAYLOADS = st.lists(st.sampled_from(EVENTS + OTHERS) | st.binary(max_size=6), max_size=40)


@given(PAYLOADS)
@example([EVENTS[0][:20], EVENTS[0][20:]])
@example([EVENTS[0], EVENTS[1] + b"," + EVENTS[2], b""])
@example([EVENTS[0]] * 20 + [b"1"] + [EVENTS[1]] * 20)
def test_among_many_each_payload_is_what_it_is_alone(payloads: list[bytes]) -> None:
    forms = PayloadForms()
    expected = [form_of(payload) for payload in payloads]
    assert [form is Form.EVENT for form in expected] == [is_event(payload) for payload in payloads]
    for remember in (False, True, True):
        assert forms.forms_of(payloads, remember=remember) == expected


@given(st.lists(st.sampled_from(EVENTS + OTHERS), min_size=1, max_size=20))
def test_what_is_plain_among_many_is_an_event_alone(payloads: list[bytes]) -> None:
    if known_ids(payloads) is not None:
        assert all(map(is_event, payloads))


def test_many_plain_events_are_seen_to_be_events_at_once() -> None:
    assert known_ids([_stored(user_event()) for _ in range(100)]) is not None
    assert known_ids([_stored(user_event()), b"1"]) is None


@pytest.mark.parametrize("place", [0, 256, 299, 599])
def test_one_of_many_more_than_are_judged_together_is_what_it_is_alone(place: int) -> None:
    payloads = [_stored(generic_event(number)) for number in range(600)]
    payloads[place] = b"1"
    expected = [Form.JSON if number == place else Form.EVENT for number in range(600)]
    assert PayloadForms().forms_of(payloads) == expected


def test_what_is_remembered_is_bounded() -> None:
    forms = PayloadForms(60_000)
    for number in range(2_000):
        forms.forms_of([b"%d" % number])
    held = forms._young | forms._older
    assert 0 < len(held) * KNOWN_PAYLOAD_BYTES < 60_000


def test_a_long_payload_is_judged_in_steps_and_not_remembered_while_those_beside_it_are() -> None:
    forms = PayloadForms()
    payloads = [EVENTS[0], b"x" * (KNOWN_PAYLOAD_LENGTH_MAX + 1), b"1"]
    for _ in range(2):
        assert result_of(forms.form_steps(payloads)) == [Form.EVENT, Form.TEXT, Form.JSON]
        assert sorted(map(str, forms._young.values())) == ["Form.EVENT", "Form.JSON"]


def test_whoever_does_not_know_the_key_cannot_tell_what_is_remembered() -> None:
    one, other = PayloadForms(), PayloadForms()
    for forms in (one, other):
        assert forms.forms_of(EVENTS) == [Form.EVENT] * len(EVENTS)
    assert not one._young.keys() & other._young.keys()
    assert not one._young.keys() & set(map(hash, EVENTS))


def test_what_was_new_before_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = PayloadForms(6_000)
    first = [b"%d" % number for number in range(10)]
    assert forms.forms_of(first) == [Form.JSON] * 10
    others = [b"x%d" % number for number in range(3)]
    assert forms.forms_of(others) == [Form.TEXT] * 3
    assert forms.forms_of([*others, *first]) == [Form.TEXT] * 3 + [Form.JSON] * 10
    monkeypatch.setattr("bridge.web.wire.payload_forms.form_of", None)
    assert forms.forms_of([*first[:5], *others]) == [Form.JSON] * 5 + [Form.TEXT] * 3
