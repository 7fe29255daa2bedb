"""The table from error class to answer, and the answers."""

import inspect
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import errors
from bridge.errors import BridgeError, LogError, Outcome, RateLimited, RequestError
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.server.problem_answer import problem_answer
from bridge.web.wire import problems
from bridge.web.wire.problems import ROWS, row_of


def tree(base: type[BridgeError] = BridgeError) -> Iterator[type[BridgeError]]:
    for error in base.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
            yield from tree(error)


def made(error: type[BridgeError], *, wait_ms: int = 1500) -> BridgeError:
    if issubclass(error, errors.ConfigError):
        return error(("API_KEY is hunter2",))
    if issubclass(error, RateLimited):
        return error(retry_after_ms=wait_ms)
    if issubclass(error, errors.InsufficientScope):
        return error(scope="produce")
    return error()


def field_of(response: JsonAnswer, name: str) -> str | None:
    fields = dict(line.split(": ", 1) for line in response.lines.splitlines())
    return fields.get(name)


def body_of(error: BridgeError) -> dict[str, object]:
    response = problem_answer(error, request_id="r-1", instance="/streams/{stream}")
    told = json.loads(response.body)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("error", sorted(tree(), key=str))
def test_every_error_class_has_a_row_of_its_own(error: type[BridgeError]) -> None:
    assert error in ROWS
    assert row_of(error) is ROWS[error]
    assert 400 <= ROWS[error].status < 600


def test_every_row_belongs_to_a_class_of_the_tree() -> None:
    assert set(ROWS) == set(tree())


def test_every_row_says_what_the_answer_must_not_tell() -> None:
    source = inspect.getsource(problems).splitlines()
    rows = [n for n, line in enumerate(source) if line.lstrip().startswith("_row(errors.")]
    assert len(rows) == len(ROWS)
    for n in rows:
        above = n - 1
        while source[above].lstrip().startswith("_row("):
            above -= 1
        assert source[above].lstrip().startswith("# Never out:"), source[n]


def test_a_class_that_is_not_in_the_table_is_answered_as_its_nearest_base() -> None:
    class LostTopic(errors.TopicNotFound):
        """Not in the table."""

    class Odd(BridgeError):
        """Not in the table, nor any base of it."""

    assert row_of(LostTopic) is ROWS[errors.TopicNotFound]
    assert row_of(Odd) is ROWS[errors.InternalError]


@pytest.mark.parametrize("error", sorted(tree(), key=str))
def test_every_answer_has_the_members_of_the_contract(error: type[BridgeError]) -> None:
    told = body_of(made(error))
    assert {
        "type", "title", "status", "detail", "instance", "error", "message", "request_id", "retryable"
    } <= told.keys()  # fmt: skip
    assert told["status"] == ROWS[error].status
    assert told["error"] == error.code
    assert told["retryable"] is error.retryable
    assert told["instance"] == "/streams/{stream}"
    assert told["request_id"] == "r-1"


@pytest.mark.parametrize("error", sorted(tree(), key=str))
def test_whatever_is_retryable_later_says_when(error: type[BridgeError]) -> None:
    response = problem_answer(made(error), request_id="r", instance="/")
    if response.status in {429, 503}:
        assert int(field_of(response, "Retry-After") or 0) >= 1
    else:
        assert field_of(response, "Retry-After") is None


@given(st.integers(0, 10**7))
def test_retry_after_is_whole_seconds_rounded_up_and_at_least_one(wait_ms: int) -> None:
    response = problem_answer(errors.RateLimited(retry_after_ms=wait_ms), request_id="r", instance="/")
    seconds = int(field_of(response, "Retry-After") or 0)
    assert seconds >= 1
    assert seconds * 1000 >= wait_ms > (seconds - 1) * 1000 - 1000 * (seconds == 1)


def test_what_is_known_of_the_write_the_place_and_the_limit_is_told() -> None:
    told = body_of(errors.Disconnected(outcome=Outcome.UNKNOWN, retry_after_ms=250))
    assert (told["outcome"], told["retry_after_ms"]) == ("unknown", 250)
    told = body_of(errors.BadRequest("Too long.", path="$.events[3].id", limit=36))
    assert (told["path"], told["limit"], told["detail"], told["message"]) == (
        "$.events[3].id",
        36,
        "Too long.",
        "Too long.",
    )


def test_what_is_not_known_is_not_told() -> None:
    assert not {"outcome", "retry_after_ms", "path", "limit"} & body_of(errors.SendError()).keys()
    assert not {"outcome", "retry_after_ms", "path", "limit"} & body_of(errors.BadRequest()).keys()


def test_faults_of_the_configuration_and_of_the_start_stay_inside() -> None:
    assert "hunter2" not in str(body_of(errors.ConfigError(("API_KEY is hunter2",))))
    assert "10.0.0.7" not in str(body_of(errors.StartupError("10.0.0.7 refused")))


def test_401_says_how_to_identify_oneself() -> None:
    response = problem_answer(errors.Unauthorized(), request_id="r", instance="/")
    assert field_of(response, "WWW-Authenticate") == 'Bearer realm="bridge"'


def test_a_missing_scope_is_named_in_the_body_and_as_bearer_tokens_have_it() -> None:
    response = problem_answer(errors.InsufficientScope(scope="produce"), request_id="r", instance="/")
    assert response.status == 403
    assert field_of(response, "WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="produce"'
    assert body_of(errors.InsufficientScope(scope="produce"))["scope"] == "produce"
    forbidden = problem_answer(errors.Forbidden(), request_id="r", instance="/")
    assert field_of(forbidden, "WWW-Authenticate") is None


@pytest.mark.parametrize("error", sorted(tree(), key=str))
def test_only_answers_after_which_the_connection_is_useless_close_it(error: type[BridgeError]) -> None:
    response = problem_answer(made(error), request_id="r", instance="/")
    assert (response.keep_alive is False) == (response.status in {408, 413, 414, 431, 505})


def test_no_error_of_the_tree_is_both_kinds() -> None:
    assert not [error for error in tree() if issubclass(error, RequestError) and issubclass(error, LogError)]
