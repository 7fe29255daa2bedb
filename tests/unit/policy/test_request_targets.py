"""Which request targets are refused."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest, MisdirectedRequest
from bridge.policy.requests import check_target


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "/a/b?x=%00&y=../..",
        "/a.b/..c/d..",
        "/%41",
        "/a%20b",
        "/%C3%A9",
        "http://bridge:8000/a",
        "HTTP://Bridge:8000",
        "/.well-known/x",
    ],
)
def test_ordinary_targets_pass(target: str) -> None:
    check_target(target, "bridge:8000")


@pytest.mark.parametrize(
    "target",
    [
        "http://other/",
        "http://bridge/",
        "https://bridge:8000.evil/",
        "http://user@bridge:8000/",
        "other:443",
        "ftp://bridge:8000/",
        "",
        "x",
    ],
)
def test_another_host_than_ours_is_misdirected(target: str) -> None:
    with pytest.raises(MisdirectedRequest) as caught:
        check_target(target, "bridge:8000")
    assert caught.value.detail == MisdirectedRequest().detail


@pytest.mark.parametrize(
    "target",
    [
        "/a%00b", "/a%0d%0ab", "/a%0Ab", "/a%1F", "/a%7fb", "/a%2Fb", "/a%2fb", "/a%5cb", "/%2e%2e/x", "/%2E%2e%2fx", "/a/../b", "/a/..",
        "/./a", "/.%2e/a", "/a%", "/a%zz", "/a%f", "/%ff", "/%c0%af", "http://bridge:8000/a%00",
    ],
)  # fmt: skip
def test_what_others_may_read_differently_is_refused(target: str) -> None:
    with pytest.raises(BadRequest):
        check_target(target, "bridge:8000")


@given(st.text(st.characters(exclude_characters="/\\%", exclude_categories=("Cc", "Cs")), min_size=1))
def test_every_name_without_separators_passes_when_quoted(name: str) -> None:
    target = "/" + quote(name, safe="")
    if name in {".", ".."} or "�" in unquote(target):
        return
    check_target(target, "x")


def test_a_scheme_alone_names_no_host_also_where_no_host_is_named() -> None:
    with pytest.raises(MisdirectedRequest):
        check_target("http", "")
