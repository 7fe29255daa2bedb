from hypothesis import given
from hypothesis import strategies as st

from bridge.messagelog import NO_RECORDS, Message, Records

MESSAGES = st.lists(
    st.builds(
        Message,
        offset=st.integers(0, 2**63 - 1),
        timestamp_us=st.integers(0, 2**64 - 1),
        id=st.integers(0, 2**128 - 1),
        payload=st.binary(max_size=20),
        headers=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    ),
    max_size=12,
).map(tuple)


@given(MESSAGES)
def test_columns_give_back_the_messages_they_were_made_of(messages: tuple[Message, ...]) -> None:
    records = Records.of(messages)
    assert records == messages
    assert messages == records
    assert Records.of(records) is records
    assert [records[index] for index in range(-len(messages), len(messages))] == [*messages, *messages]
    assert records[1:3] == messages[1:3]
    assert list(reversed(records)) == list(reversed(messages))
    assert records.payload_bytes == sum(len(message.payload) for message in messages)


@given(MESSAGES, MESSAGES, MESSAGES)
def test_runs_joined_are_one_after_the_other(
    one: tuple[Message, ...], two: tuple[Message, ...], three: tuple[Message, ...]
) -> None:
    assert Records.joined([Records.of(run) for run in (one, two, three)]) == one + two + three


@given(MESSAGES, st.integers(1, 5), st.integers(0, 40))
def test_parts_are_all_of_it_and_within_their_bounds(
    messages: tuple[Message, ...], messages_max: int, bytes_max: int
) -> None:
    parts = list(Records.of(messages).parts(messages_max=messages_max, bytes_max=bytes_max))
    assert tuple(message for part in parts for message in part) == messages
    for part in parts:
        assert 1 <= len(part) <= messages_max
        assert len(part) == 1 or part.payload_bytes <= bytes_max


def test_other_messages_are_not_equal() -> None:
    message = Message(1, 2, 3, b"x", {})
    assert Records.of((message,)) != (message._replace(payload=b"y"),)
    assert Records.of((message,)) != ()
    assert Records.of((message,)) != "x"
    assert NO_RECORDS == ()
    assert not NO_RECORDS


def test_what_is_printed_tells_nothing_of_the_payloads() -> None:
    assert repr(Records.of((Message(1, 2, 3, b"secret", {}),))) == "<1 records>"


@given(st.lists(st.tuples(MESSAGES, st.booleans()), min_size=1, max_size=4))
def test_only_what_is_known_of_every_run_is_known_of_all(
    runs: list[tuple[tuple[Message, ...], bool]],
) -> None:
    columns = [Records.of(messages) for messages, _ in runs]
    marked = [
        Records(run.offsets, run.timestamps_us, run.ids, run.payloads, run.headers, events=events)
        for run, (_, events) in zip(columns, runs, strict=True)
    ]
    assert Records.joined(marked).events is all(events for _, events in runs)
    assert all(run.part(1, 2).events is run.events for run in marked)
