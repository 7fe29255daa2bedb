import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import fault_of


class _Closed(msgspec.Struct, forbid_unknown_fields=True):
    a: int = 0


def _fault_of_unknown(name: str) -> tuple[str, str | None]:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(msgspec.json.encode({name: 1}), type=_Closed)
    fault = fault_of(raised.value)
    return fault.detail, fault.path


def test_an_unknown_field_is_named_with_its_path() -> None:
    assert _fault_of_unknown("evnt") == ("There is no field 'evnt' here.", "$.evnt")


@given(st.text(min_size=1, max_size=80).filter(lambda name: name != "a"))
def test_a_field_name_is_shown_only_where_it_is_harmless(name: str) -> None:
    detail, path = _fault_of_unknown(name)
    harmless = len(name) <= 64 and all(char.isascii() and (char.isalnum() or char in "_.-") for char in name)
    assert (f"'{name}'" in detail) == harmless
    assert path == (f"$.{name}" if harmless else "$")


def test_a_field_name_that_looks_like_a_path_is_no_path() -> None:
    detail, path = _fault_of_unknown("x - at `$<script>")
    assert "script" not in detail
    assert path == "$"


@pytest.mark.parametrize(
    "body, said",
    [
        (b"{", "ends too early"),
        (b"[1,]", "not well-formed"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 10_000, "too deep"),
    ],
)
def test_what_is_no_json_is_told_as_such(body: bytes, said: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as raised:
        msgspec.json.decode(body)
    assert said in fault_of(raised.value).detail
