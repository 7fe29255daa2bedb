import pytest

from bridge.errors import (
    AlreadyExists,
    BadRequest,
    BridgeError,
    ConnectionFailed,
    ConnectionReset,
    Disconnected,
    LogError,
    NotFound,
    Outcome,
    Overloaded,
    PartitionNotFound,
    PayloadTooLarge,
    PollError,
    SendError,
    StreamError,
    StreamNotFound,
    TopicError,
    TopicNotFound,
)
from bridge.iggy.faults import ROWS, Operation, Verdict, explain

U, N = Outcome.UNKNOWN, Outcome.NOT_WRITTEN

#: One real text for each row: error of a send, its outcome, whether the connection is lost, whether to repeat it.
CASES: tuple[tuple[str, type[BridgeError], Outcome | None, bool, bool], ...] = (
    ("Stream with ID: 0 was not found.", StreamNotFound, None, False, False),
    ("Stream with name:  already exists.", AlreadyExists, None, False, False),
    ("Topic with ID: 0 for stream with ID: 0 was not found.", TopicNotFound, None, False, False),
    ("Topic with name:  for stream with ID: 0 already exists.", AlreadyExists, None, False, False),
    (
        "Partition with ID: 0 for topic with ID: 0 for stream with ID: 0 was not found.",
        PartitionNotFound,
        None,
        False,
        False,
    ),
    ("Resource with key:  was not found.", NotFound, None, False, False),
    ("Consumer offset for consumer with ID: 0 was not found.", NotFound, None, False, False),
    (
        "Consumer offset limit reached for partition, raise [partition] consumer_offsets_max",
        BadRequest,
        None,
        False,
        False,
    ),
    ("Invalid offset: 0", BadRequest, None, False, False),
    ("Too big message payload", PayloadTooLarge, None, False, False),
    ("Too big headers payload", BadRequest, None, False, False),
    ("Invalid message payload length", BadRequest, None, False, False),
    ("Invalid header value", BadRequest, None, False, False),
    ("Invalid messages count", BadRequest, None, False, False),
    ("Invalid message timestamp delta: 1", BadRequest, None, False, False),
    ("Too many partitions", BadRequest, None, False, False),
    ("Max topic size cannot be lower than segment size.", BadRequest, None, False, False),
    ("Too many streams", BadRequest, None, False, False),
    ("Too many topics", BadRequest, None, False, False),
    ("Unauthorized", SendError, N, False, False),
    ("Unauthenticated", Disconnected, N, True, True),
    ("Stale client", Disconnected, N, True, True),
    ("Invalid credentials", ConnectionFailed, N, True, False),
    ("Invalid username", ConnectionFailed, N, True, False),
    ("Invalid password", ConnectionFailed, N, True, False),
    ("Invalid personal access token", ConnectionFailed, N, True, False),
    ("Personal access token with name: x has expired.", ConnectionFailed, N, True, False),
    ("Incompatible binary protocol version: 0.10.0", ConnectionFailed, N, True, False),
    ("Cannot establish connection", ConnectionFailed, U, True, False),
    ("Not connected", Disconnected, N, True, True),
    ("Client shutdown", ConnectionReset, U, True, False),
    ("Disconnected", ConnectionReset, U, True, False),
    ("TCP error", ConnectionReset, U, True, False),
    ("Empty response", ConnectionReset, U, True, False),
    ("Invalid format", ConnectionReset, U, True, False),
    ("Request transiently not accepted; retry, on any replica", Overloaded, N, False, True),
    ("Request transiently not committed; retry", ConnectionReset, U, False, False),
    ("Request already applied; its reply is no longer available", ConnectionReset, U, False, False),
)


@pytest.mark.parametrize("text, error, outcome, lost, repeatable", CASES)
def test_each_text_means_its_error_for_a_send(
    text: str, error: type[BridgeError], outcome: Outcome | None, lost: bool, repeatable: bool
) -> None:
    fault = explain(text, Operation.SEND, write=True)
    assert type(fault.error) is error
    assert getattr(fault.error, "outcome", None) is outcome
    assert (fault.connection_lost, fault.repeatable) == (lost, repeatable)
    assert text not in fault.error.detail


def test_each_row_has_a_case_that_no_row_before_it_takes() -> None:
    taken = [
        next(row for row in ROWS if text.startswith(row.start) and text.endswith(row.end))
        for text, *_ in CASES
    ]
    assert taken == list(ROWS)


@pytest.mark.parametrize("text", [text for text, *_ in CASES])
def test_a_read_has_no_outcome_and_is_repeated_after_a_broken_connection(text: str) -> None:
    fault = explain(text, Operation.POLL, write=False)
    assert getattr(fault.error, "outcome", None) is None
    if fault.connection_lost:
        assert fault.repeatable


@pytest.mark.parametrize(
    "operation, error",
    [
        (Operation.STREAM, StreamError),
        (Operation.TOPIC, TopicError),
        (Operation.SEND, SendError),
        (Operation.POLL, PollError),
    ],
)
@pytest.mark.parametrize("write", [True, False])
def test_what_nobody_knows_is_an_error_of_the_operation(
    operation: Operation, error: type[LogError], write: bool
) -> None:
    fault = explain("Something about 10.0.0.7:8090", operation, write=write)
    assert fault.verdict is Verdict.UNEXPLAINED
    assert type(fault.error) is error
    assert fault.error.outcome is (U if write else None)
    assert "10.0.0.7" not in fault.error.detail
    assert not fault.repeatable
