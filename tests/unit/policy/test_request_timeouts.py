"""How long one request may take."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.policy.requests import effective_timeout_ms


@example(100, 300_000)
@example(299_999, 300_000)
@given(st.integers(100, 300_000), st.integers(100, 300_000))
def test_a_request_shortens_its_time_and_never_extends_it(asked_ms: int, configured_ms: int) -> None:
    assert effective_timeout_ms(str(asked_ms), configured_ms) == min(asked_ms, configured_ms)


@given(st.one_of(st.none(), st.text(), st.integers().filter(lambda n: not 100 <= n <= 300_000).map(str)))
def test_what_is_malformed_or_out_of_range_is_ignored(asked: str | None) -> None:
    if asked is not None and asked.isascii() and asked.isdigit() and 100 <= int(asked) <= 300_000:
        return
    assert effective_timeout_ms(asked, 30_000) == 30_000


@pytest.mark.parametrize(
    "asked",
    ["99", "300001", "-100", "+100", "1e3", "100.0", " 100", "\u0661\u0660\u0660", "0x100", "9" * 5000],
)
def test_no_other_spelling_of_a_number_is_understood(asked: str) -> None:
    assert effective_timeout_ms(asked, 30_000) == 30_000
