"""Which bodies are taken."""

import pytest

from bridge.policy.body_kinds import is_json, is_plain_encoding


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; version=1",
        "application/json;",
    ],
)
def test_json_in_utf_8_is_taken(content_type: str) -> None:
    assert is_json(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1; charset=utf-8",
        "application/jsonp",
        "application/problem+json",
        "text/plain; application/json",
    ],
)
def test_everything_else_is_not(content_type: str) -> None:
    assert not is_json(content_type)


@pytest.mark.parametrize(
    "encoding,plain",
    [
        (None, True),
        ("identity", True),
        ("Identity ", True),
        ("gzip", False),
        ("", False),
        ("gzip, identity", False),
    ],
)
def test_only_bodies_sent_as_they_are_count_as_plain(encoding: str | None, plain: bool) -> None:
    assert is_plain_encoding(encoding) is plain
