"""Leap seconds where RFC 3339 allows them."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SerializationError
from bridge.events import instant_of, is_event
from bridge.web.wire.submissions import read_message
from bridge.web.wire.times import time_us_of
from tests.support.events import checked_event
from tests.support.submissions import read_batch

EVENT = (
    '{"id":"6f1c1b1e-1111-4111-8111-111111111111","event_type":"t","timestamp":"%s",'
    '"payload":{"type":"Generic","data":"%s"},"source":"\\"2016-12-31T23:59:60Z\\""}'
)


@pytest.mark.parametrize(
    "text, moment",
    [
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2015-06-30t23:59:60.25z", datetime(2015, 7, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("1990-12-31T15:59:60-08:00", datetime(1991, 1, 1, tzinfo=UTC)),
        ("2017-01-01T05:29:60+05:30", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2028-02-29T23:59:60Z", datetime(2028, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_leap_second_is_the_second_behind_it_and_an_event_keeps_its_own_bytes(
    text: str, moment: datetime
) -> None:
    assert instant_of(text) == moment
    assert time_us_of(text) == round(moment.timestamp() * 1_000_000)
    event = (EVENT % (text, text)).encode()
    assert is_event(event)
    submission = read_message(b'{"event":%b}' % event)
    assert submission.messages[0].payload == event
    listed = read_batch(b'{"events":[%b,%b]}' % (event, event), messages_max=2)
    assert [message.payload for message in listed.messages] == [event, event]


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T23:58:60Z",
        "2016-12-30T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-31T23:59:60",
        "2016-12-31T23:59:61Z",
        "2016-12-31T23:59:60.Z",
        "2017-02-29T23:59:60Z",
        "9999-12-31T23:59:60Z",
        "2016-12-31T24:59:60Z",
    ],
)
def test_a_sixtieth_second_anywhere_else_is_no_time(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        time_us_of(text)
    event = (EVENT % (text, "x")).encode()
    assert not is_event(event)
    with pytest.raises(SerializationError) as fault:
        checked_event(event, at="$.event")
    assert fault.value.path == "$.event.timestamp"


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_other_time_is_what_it_was(moment: datetime) -> None:
    text = moment.isoformat()
    assert instant_of(text) == msgspec.convert(text, datetime) == moment
