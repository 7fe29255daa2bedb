import itertools
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import BadRequest
from bridge.policy.names import check_name, parse_flag, parse_integer, shown_name

_ALPHANUMERIC = string.ascii_letters + string.digits


@pytest.mark.parametrize(
    "name", ["a", "Z9", "sample-stream", "a.b_c-d", "1a", "0-1", "x" * 255, "user.created.v1", "1.2"]
)
def test_a_name_of_the_contract_is_taken_as_it_is(name: str) -> None:
    assert check_name(name, kind="stream") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "-a",
        "a-",
        "a..b",
        "a._b",
        "7",
        "0123",
        "a b",
        "a/b",
        "a\n",
        "a\x00",
        "ä",
        "٣a",
        "a\u202eb",
        "x" * 256,
    ],
)
def test_any_other_name_is_refused_without_being_shown(name: str) -> None:
    with pytest.raises(BadRequest) as fault:
        check_name(name, kind="topic")
    assert fault.value.path == "topic"
    assert len(name) < 2 or name not in fault.value.detail


@given(st.text(alphabet=_ALPHANUMERIC + "._-/ é\n", max_size=260))
@example("a" * 255)
def test_the_rule_is_the_one_of_the_contract_word_by_word(name: str) -> None:
    specials = [char in "._-" for char in name]
    by_the_words = (
        1 <= len(name) <= 255
        and all(char in _ALPHANUMERIC + "._-" for char in name)
        and name[0] in _ALPHANUMERIC
        and name[-1] in _ALPHANUMERIC
        and not any(left and right for left, right in itertools.pairwise(specials))
        and not all(char in string.digits for char in name)
    )
    try:
        taken = check_name(name, kind="stream") == name
    except BadRequest:
        taken = False
    assert taken == by_the_words


@given(st.integers(0, 2**70), st.integers(0, 3))
def test_a_whole_number_is_read_from_its_digits(value: int, zeros: int) -> None:
    text = "0" * zeros + str(value)
    assert parse_integer(text, name="offset", minimum=0, maximum=2**70) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "1_0",
        "٣",
        "²",
        "\u0661",
        "11",
        "0",
        "9" * 5000,
        "0" * 5000,
    ],
)
def test_no_other_text_is_a_number_and_the_bounds_are_told(text: str) -> None:
    with pytest.raises(BadRequest) as fault:
        parse_integer(text, name="count", minimum=1, maximum=10)
    assert fault.value.path == "count"
    assert "from 1 to 10" in fault.value.detail


@pytest.mark.parametrize("text, limit", [("11", 10), ("99999999999", 10), ("0", 1), ("000", 1), ("x", None)])
def test_the_bound_that_was_passed_is_in_the_fault(text: str, limit: int | None) -> None:
    with pytest.raises(BadRequest) as fault:
        parse_integer(text, name="count", minimum=1, maximum=10)
    assert fault.value.limit == limit


def test_a_flag_is_one_of_two_words() -> None:
    assert parse_flag("true", name="auto_commit") is True
    assert parse_flag("false", name="auto_commit") is False


@pytest.mark.parametrize("text", ["", "True", "1", "yes", "true "])
def test_any_other_word_is_no_flag(text: str) -> None:
    with pytest.raises(BadRequest, match="true or false"):
        parse_flag(text, name="auto_commit")


def test_only_a_harmless_name_is_shown() -> None:
    assert shown_name("wait_ms") == "'wait_ms'"
    assert "<" not in shown_name("<script>")
    assert "a" * 65 not in shown_name("a" * 65)
