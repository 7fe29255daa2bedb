"""What a permission allows, and what a principal may do and see."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import NAME_CHARS_MAX, PERMISSION_CHARS_MAX, PERMISSIONS_MAX
from bridge.policy.access import (
    ANONYMOUS,
    HOLDER_OF_API_KEY,
    ROLES,
    Principal,
    Scope,
    parse_permission,
    parse_permissions,
)

NAMES = st.from_regex(re.compile(r"[A-Za-z0-9]{1,8}([._-][A-Za-z0-9]{1,8}){0,2}"), fullmatch=True)


def _principal(*texts: str) -> Principal:
    return Principal(name="somebody", permissions=parse_permissions(texts))


@pytest.mark.parametrize("text", ["produce", "produce:*"])
@given(NAMES, NAMES)
def test_a_scope_without_topics_holds_for_all(text: str, stream: str, topic: str) -> None:
    assert _principal(text).may(Scope.PRODUCE, stream, topic)
    assert _principal(text).may_whole(Scope.PRODUCE, stream)
    assert not _principal(text).may(Scope.CONSUME, stream, topic)


@given(NAMES, NAMES)
def test_a_permission_with_names_holds_for_that_topic_alone(stream: str, topic: str) -> None:
    one = _principal(f"consume:{stream}/{topic}")
    assert one.may(Scope.CONSUME, stream, topic)
    assert not one.may(Scope.CONSUME, stream, f"{topic}x")
    assert not one.may(Scope.CONSUME, f"x{stream}", topic)
    assert not one.may_whole(Scope.CONSUME, stream)
    assert one.sees(stream, topic)
    assert one.sees_stream(stream)
    assert not one.sees_stream(f"{stream}x")


@pytest.mark.parametrize(
    "pattern,matching,others",
    [
        ("orders/*", [("orders", "new"), ("orders", "a.b")], [("order", "new"), ("orders2", "new")]),
        ("*/audit", [("a", "audit"), ("b", "audit")], [("a", "audits")]),
        ("team-*/in-*", [("team-a", "in-1"), ("team-", "in-")], [("team", "in-1"), ("team-a", "out")]),
        ("a.b/c.d", [("a.b", "c.d")], [("aXb", "c.d"), ("a.b", "cXd")]),
        ("a*b/*", [("ab", "x"), ("axxb", "x")], [("abx", "x")]),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_does(
    pattern: str, matching: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    one = _principal(f"produce:{pattern}")
    assert all(one.may(Scope.PRODUCE, *each) for each in matching)
    assert not any(one.may(Scope.PRODUCE, *each) for each in others)


def test_only_a_lone_star_means_the_topics_to_come() -> None:
    assert _principal("admin:orders/*").may_whole(Scope.ADMIN, "orders")
    assert not _principal("admin:orders/a*").may_whole(Scope.ADMIN, "orders")
    assert not _principal("admin:orders/*").may_whole(Scope.ADMIN, "others")
    assert not _principal("produce:orders/*").may_whole(Scope.ADMIN, "orders")


def test_a_pattern_of_many_stars_is_matched_at_once() -> None:
    one = _principal("produce:" + "a*" * 100 + "b/b")
    assert not one.may(Scope.PRODUCE, "a" * NAME_CHARS_MAX, "b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "write",
        "PRODUCE",
        "produce:",
        "produce:orders",
        "produce:orders/",
        "produce:/new",
        "produce:a/b/c",
        "produce:a/b ",
        "produce:a?/b",
        "produce:a/[b]",
        "produce:a/b\n",
        "produce:a/%00",
        "metrics:a/b",
        "produce:" + "a" * PERMISSION_CHARS_MAX,
    ],
)
def test_what_is_no_permission_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"permission is produce|takes no topics"):
        parse_permission(text)


@given(st.text(max_size=40))
def test_no_text_does_more_than_parse_or_be_refused(text: str) -> None:
    try:
        permission = parse_permission(text)
    except ValueError as error:
        assert not text or text not in str(error) or len(text) < 8  # noqa: PT017 (never shows what was written)
    else:
        assert permission.text == text


def test_a_permission_written_twice_counts_once_and_their_number_is_bounded() -> None:
    assert len(parse_permissions(["produce", "produce", "consume"])) == 2
    parse_permissions(f"produce:a/b{number}" for number in range(PERMISSIONS_MAX))
    with pytest.raises(ValueError, match="more than"):
        parse_permissions(f"produce:a/b{number}" for number in range(PERMISSIONS_MAX + 1))


def test_figures_need_no_topic_and_show_none() -> None:
    one = _principal("metrics")
    assert one.has(Scope.METRICS)
    assert not one.has(Scope.CONSUME)
    assert not one.sees("orders", "new")
    assert not one.sees_stream("orders")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_a_set_of_permissions(role: str) -> None:
    one = _principal(*ROLES[role])
    assert {scope for scope in Scope if one.has(scope)} == {Scope(text) for text in ROLES[role]}


@pytest.mark.parametrize("principal", [ANONYMOUS, HOLDER_OF_API_KEY])
def test_the_unrestricted_may_everything(principal: Principal) -> None:
    for scope in Scope:
        assert principal.may(scope, "any", "topic")
        assert principal.may_whole(scope, "any")
        assert principal.has(scope)
    assert principal.sees("any", "topic")
    assert principal.sees_stream("any")
    assert principal.sees_whole("any")


def test_a_stream_is_seen_whole_by_who_has_any_scope_for_all_of_it() -> None:
    assert _principal("produce:orders/*").sees_whole("orders")
    assert not _principal("produce:orders/*").sees_whole("others")
    assert not _principal("produce:orders/new", "metrics").sees_whole("orders")
