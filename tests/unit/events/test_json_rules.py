import json
import math
import re
from random import Random

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import SerializationError
from bridge.events import json_rules
from bridge.events.json_rules import (
    are_surely_safe,
    check_json,
    depths_of,
    is_surely_safe,
    is_well_formed,
    json_steps,
    result_of,
)
from bridge.limits import JSON_DEPTH_MAX

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule holds for small bodies, which are built, and for large ones, which are scanned."""
    if request.param == "large":
        monkeypatch.setattr(json_rules, "JSON_FAST_BYTES_MAX", 0)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(_JSON, st.booleans())
@example({'["\\': ['\\"]', "[[{"]}, True)
def test_the_depth_is_that_of_the_value(value: object, escaped: bool) -> None:
    assert max(depths_of(json.dumps(value, ensure_ascii=escaped).encode())) == _depth(value)


@given(st.lists(st.sampled_from(['"', "\\", "[", "]", "a", "\\\\", '\\"']), max_size=12).map("".join))
def test_brackets_in_a_string_are_no_depth_however_it_is_escaped(text: str) -> None:
    assert max(depths_of(json.dumps([text, {text: text}]).encode())) == 2


def test_the_deepest_json_taken_is_64_levels(size: None) -> None:
    check_json(b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX)
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")):
        with pytest.raises(SerializationError, match="64 levels") as fault:
            check_json(opening * 65 + b"1" + closing * 65)
        assert fault.value.limit == JSON_DEPTH_MAX


def test_a_hundred_thousand_levels_are_refused_as_quickly(size: None) -> None:
    for body in (b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(SerializationError, match="64 levels"):
            check_json(body)


@pytest.mark.parametrize(
    "body, why",
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xc0\x80"', "UTF-8"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b"1e400", "beyond a double"),
        (b'{"a":[-1E+400]}', "beyond a double"),
        (b"[1.5e309,1]", "byte 1"),
        (b"1" * 400, "beyond a double"),
        (b"[0.1e0310]", "beyond a double"),
        (b"98765432.1e301", "beyond a double"),
        (b"987654321e0300", "beyond a double"),
        (b"1" * 250 + b"e99", "beyond a double"),
    ],
)
def test_what_parsers_disagree_on_is_refused_with_its_reason(size: None, body: bytes, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        check_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b'"1e400"',
        b'["\\"1e400"]',
        b"1e308",
        b"1e-400",
        b"18446744073709551616",
        b"9" * 300,
        b"0e999",
        b"[0e999,1E+0300]",
        b'{"id":"4e1234-9e9999"}',
        '"\u00e9\U0001f600"'.encode(),
    ],
)
def test_what_is_merely_unusual_passes(size: None, body: bytes) -> None:
    check_json(body)


_FRAGMENTS = st.sampled_from(
    [
        "1",
        "0",
        "e",
        "E",
        "+",
        "-",
        ".",
        "999",
        "1" * 199,
        '"',
        "\\",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "1e400",
        "é",
        " ",
        "\n",
    ]
)


@given(st.lists(_FRAGMENTS, max_size=14).map("".join))
def test_small_and_large_bodies_are_judged_alike(text: str) -> None:
    body = text.encode()

    def refused(fast_max: int) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_rules, "JSON_FAST_BYTES_MAX", fast_max)
            try:
                check_json(body)
            except SerializationError:
                return True
            return not is_well_formed(body)

    assert refused(10**6) == refused(0)


@given(
    st.text(alphabet="0123456789.eE+-", min_size=1, max_size=12)
    | st.integers().map(str)
    | st.floats().map(str)
)
def test_a_number_passes_exactly_if_it_fits_a_double(text: str) -> None:
    if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", text) is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rules, "JSON_FAST_BYTES_MAX", 0)
        try:
            check_json(f"[{text}]".encode())
            passes = True
        except SerializationError:
            passes = False
    assert passes == math.isfinite(float(text))


@given(st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_passes_can_be_parsed_and_handed_out_again(body: bytes) -> None:
    try:
        check_json(body)
    except SerializationError:
        return
    if is_well_formed(body):
        assert orjson.loads(orjson.dumps({"payload": orjson.Fragment(body)}))["payload"] == orjson.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"NaN",
        b"Infinity",
        b"[1,]",
        b"01",
        b"// a\n1",
        b"1 2",
        b'"\\ud800"',
        b'"\\udc00x"',
        b'"\\ud800\\u0041"',
        b"'a'",
        b"\x00",
        b'"\x01"',
        b"nul",
    ],
)
def test_what_is_no_json_is_told_by_the_parser(body: bytes) -> None:
    assert not is_well_formed(body)


def test_a_large_body_holds_a_bounded_number_of_wide_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rules, "JSON_FAST_BYTES_MAX", 0)
    check_json(b"[" + b"1e300," * 10_000 + b"1e299]")
    with pytest.raises(SerializationError) as fault:
        check_json(b"[" + b"1e300," * 10_001 + b"1]")
    assert fault.value.limit == 10_000


@given(
    st.lists(
        st.sampled_from(
            [b"3e400", b"3E+400", b"1e+16", b"1e-400", b"2.5e99", b"0e1234", b"7" * 201, b"1" * 150 + b"." + b"2" * 150,
             b'"4e1234"', b'"a 3e400"', b'"a3e400"', b'"12-3e4004"', b'"1e400"', b"[ 5e300]", b'{"k":-9e307}', b'{"1e999":2}']
        ),
        min_size=1,
        max_size=40,
    )
)  # fmt: skip
def test_numbers_beyond_a_double_are_seen_among_words_that_look_like_them(values: list[bytes]) -> None:
    body = b"[%b]" % b",".join(values)
    if is_surely_safe(body):
        assert all(map(math.isfinite, _numbers(json.loads(body))))


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for inner in value for number in _numbers(inner)]
    return [float(value)] if isinstance(value, int | float) else []


def test_hexadecimal_words_and_small_numbers_are_no_reason_to_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rules, "_is_strict_json", lambda _: False)
    random = Random(1)
    words = [random.randbytes(16).hex() for _ in range(200)]
    assert is_surely_safe(json.dumps(words).encode())
    assert is_surely_safe(b"[1e-07, 2.5e+16, 1e-320, 6.02e23]")
    # Nothing but such words is left to the parser, before looks at each take longer than that.
    assert not is_surely_safe(json.dumps(["1e4001e4001e4001e4001e4001e4001e400"] * 200).encode())


_VALUES = st.sampled_from(
    [b"1", b'"a e b"', b"[1,2]", b'{"e":1}', b"1e5", b"1e400", b"1" * 310, b'"' + b"[" * 70 + b'"',
     *(b"[" * depth + b"]" * depth for depth in (59, 60, 61, 63, 64, 65)), b'[\n1.5e3 ,\t"e"]', b'{"a":[{}]}']
)  # fmt: skip


@given(st.lists(_VALUES, min_size=1, max_size=20), st.sampled_from([0, 1, 4]))
def test_what_is_surely_safe_passes_alone_and_among_others(values: list[bytes], levels_around: int) -> None:
    sure = [value for value in values if is_surely_safe(value, levels_around=levels_around)]
    if are_surely_safe(values, levels_around=levels_around):
        sure += values
    for value in sure:
        result_of(json_steps(value, levels_around=levels_around))
