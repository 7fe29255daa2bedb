"""Halves of surrogate pairs are named as such, with the place they are in."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import fault_of
from bridge.events.faults import first_half_surrogate, path_at
from bridge.limits import FAULT_PATH_STEPS_MAX, JSON_FAST_BYTES_MAX

_HALVES = st.sampled_from(["\ud800", "\udbff", "\udc00", "\udfff"])
_KEYS = st.text("ab_.-", min_size=1, max_size=4)
_VALUES = st.recursive(
    st.integers() | st.text() | st.sampled_from(['"', "\\", "[{", "\U0001f600", "\\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
)


def _fault(written: bytes) -> tuple[str, str | None]:
    with pytest.raises(msgspec.DecodeError) as raised:
        msgspec.json.decode(written, type=msgspec.Raw)
    fault = fault_of(raised.value, written=written)
    return fault.detail, fault.path


@pytest.mark.parametrize(
    "half", ["\\ud800", "\\uDBFFx", "\\udc00", "\\ud800\\u0041", "\\ud800\\n", "\\ud83d\\ud83d\\ude00", "\\ud800\\\\udc00"]
)  # fmt: skip
@pytest.mark.parametrize(
    "around, path",
    [
        ('"{}"', "$"),
        ('{{"a":[1,{{"b":"{}"}}]}}', "$.a[1].b"),
        ('{{"a":{{"x":[]}},"b":["\\\\",["{}"]]}}', "$.b[1][0]"),
        ('{{"a":"\\ud83d\\ude00","{}":1}}', "$"),
        ('{{"a b":"[{{,","\\u00e9":["{}"]}}', "$[...][0]"),
        ('{{"a":{{"b":1,"c":"{}', "$.a.c"),
    ],
)
def test_half_a_pair_is_told_with_its_byte_and_its_path(half: str, around: str, path: str) -> None:
    written = around.format(half).encode()
    detail, told = _fault(written)
    at = written.index(half.encode()) + (6 if half.startswith("\\ud83d\\ud83d") else 0)
    if half.startswith("\\ud83d\\ud83d"):
        at -= 6
    assert (
        detail == f"A string of the JSON holds half of a surrogate pair, at byte {at}: that is no character."
    )
    assert told == path


@given(_VALUES)
def test_whole_text_holds_no_half(value: object) -> None:
    for ensure_ascii in (True, False):
        written = json.dumps(value, ensure_ascii=ensure_ascii).encode()
        assert first_half_surrogate(written) is None


@given(st.lists(_KEYS, max_size=3), st.lists(_VALUES, max_size=3), _HALVES)
def test_the_path_leads_to_the_half(keys: list[str], beside: list[object], half: str) -> None:
    value: object = half
    path = ""
    for number, key in enumerate(keys):
        value = {key: [*beside, value]} if number % 2 else {"z": beside, key: value}
        path = (f".{key}[{len(beside)}]" if number % 2 else f".{key}") + path
    written = json.dumps(value).encode()
    index = first_half_surrogate(written)
    assert index is not None
    assert path_at(written, index) == "$" + path


@pytest.mark.parametrize("cut", ['"abc', '{"a":1', '["\\u12', '"\\'])
def test_a_body_that_is_cut_ends_too_early(cut: str) -> None:
    assert _fault(cut.encode()) == ("The body is not well-formed JSON: it ends too early.", None)


def test_a_path_is_only_so_deep_and_a_large_body_is_not_searched() -> None:
    deep = b"[" * 60 + b'"\\ud800"'
    assert path_at(deep, deep.index(b"\\")) == "$" + "[0]" * FAULT_PATH_STEPS_MAX
    far = b'{"a":["' + b"x" * 100_000 + b'","\\ud800"]}'
    detail, path = _fault(far)
    assert "half of a surrogate pair" in detail
    assert path == "$"
    detail, path = _fault(b'["' + b"x" * JSON_FAST_BYTES_MAX + b'","\\ud800"]')
    assert "half of a surrogate pair" in detail
    assert path is None
