"""Which browsers' pages may call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.origins import Origins, Site

ONE = Origins(("https://app.example",))
ANY = Origins(("*",))
NONE = Origins(())


def test_a_listed_origin_is_named_and_caches_are_told() -> None:
    headers = ONE.answer_headers("https://app.example")
    assert headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert headers["Vary"] == "Origin"
    exposed = headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Request-Id", "X-End-Offset", "X-End-Cursor"} <= set(exposed)


@given(st.one_of(st.none(), st.text()))
def test_any_other_origin_is_told_nothing_but_caches_are(origin: str | None) -> None:
    assert ONE.answer_headers(origin) == {"Vary": "Origin"}
    assert origin is None or ONE.preflight_headers(origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://app.example",
        "https://app.example.evil",
        "https://app.example/",
        "*",
    ],
)
def test_no_other_origin_is_allowed(origin: str) -> None:
    assert not ONE.allows(origin)


@pytest.mark.parametrize("origin", ["https://app.example:443", "https://APP.example", "HTTPS://app.example"])
@pytest.mark.parametrize("listed", ["https://app.example", "https://app.example:443"])
def test_an_origin_is_allowed_however_it_is_written_and_named_as_browsers_do(
    listed: str, origin: str
) -> None:
    origins = Origins((listed,))
    assert origins.allows(origin)
    assert origins.answer_headers(origin)["Access-Control-Allow-Origin"] == "https://app.example"
    assert origins.preflight_headers(origin)


HERE = Site(None, "x.example", None)


@pytest.mark.parametrize(
    "named,fetch_site,allowed",
    [
        ([], None, True),
        ([], "none", True),
        ([], "same-origin", True),
        ([], "same-site", False),
        ([], "cross-site", False),
        ([], "a-word-of-the-future", True),
        (["https://x.example"], None, True),
        (["https://x.example"], "cross-site", False),
        (["https://y.example"], None, False),
        (["https://y.example"], "none", False),
        (["https://y.example"], "a-word-of-the-future", False),
        (["null"], None, False),
        # Behind a proxy that gave us another name, and from pages that hide where they are.
        (["https://y.example"], "same-origin", True),
        (["null"], "same-origin", True),
        (["https://x.example", "https://x.example"], None, False),
    ],
)
def test_a_page_may_call_if_it_is_of_this_server_or_allowed(
    named: list[str], fetch_site: str | None, allowed: bool
) -> None:
    assert NONE.may_call(named, fetch_site, HERE) is allowed
    assert ONE.may_call(named, fetch_site, HERE) is allowed
    assert ANY.may_call(named, fetch_site, HERE) is (len(named) < 2)


@pytest.mark.parametrize("fetch_site", [None, "same-site", "cross-site"])
def test_a_page_that_is_allowed_may_call_from_anywhere(fetch_site: str | None) -> None:
    assert ONE.may_call(["https://app.example"], fetch_site, HERE)
    assert not ONE.may_call(["https://app.example"] * 2, fetch_site, HERE)


@pytest.mark.parametrize("origins", [ANY, Origins(("https://app.example", "*"))])
def test_a_star_allows_all_and_is_answered_as_a_star(origins: Origins) -> None:
    assert origins.answer_headers("https://a")["Access-Control-Allow-Origin"] == "*"
    assert origins.answer_headers(None)["Access-Control-Allow-Origin"] == "*"
    assert origins.preflight_headers("https://a") is not None


@pytest.mark.parametrize("origins", [ANY, ONE])
def test_credentials_are_never_allowed(origins: Origins) -> None:
    told = {
        **origins.answer_headers("https://app.example"),
        **(origins.preflight_headers("https://app.example") or {}),
    }
    assert "Access-Control-Allow-Credentials" not in told


def test_a_preflight_is_told_what_it_asks() -> None:
    headers = ONE.preflight_headers("https://app.example")
    assert headers is not None
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert "X-API-Key" in headers["Access-Control-Allow-Headers"]


def test_switched_off_nothing_is_told() -> None:
    assert not NONE.enabled
    assert NONE.answer_headers("https://app.example") == {}
    assert NONE.preflight_headers("https://app.example") is None


@pytest.mark.parametrize(
    "name", ["Accept", "Content-Encoding", "Last-Event-ID", "X-API-Key", "X-Request-Timeout"]
)
def test_a_preflight_allows_every_header_that_a_route_looks_at(name: str) -> None:
    headers = ONE.preflight_headers("https://app.example")
    assert headers is not None
    assert name in headers["Access-Control-Allow-Headers"].split(", ")


@pytest.mark.parametrize("name", ["X-End-Offset", "Location", "Retry-After", "RateLimit", "Allow"])
def test_a_page_may_read_every_header_that_an_answer_has(name: str) -> None:
    assert name in ONE.answer_headers("https://app.example")["Access-Control-Expose-Headers"].split(", ")


def test_message_headers_are_allowed_by_the_names_that_are_asked_for() -> None:
    asked = "content-type, message-header-Trace, Message-Header-tenant,message-header-trace"
    headers = ANY.preflight_headers("https://a", asked)
    assert headers is not None
    allowed = headers["Access-Control-Allow-Headers"].split(", ")
    assert allowed[-2:] == ["message-header-trace", "message-header-tenant"]


@given(st.text())
def test_nothing_else_that_is_asked_for_comes_back(asked: str) -> None:
    plain, told = ANY.preflight_headers("https://a"), ANY.preflight_headers("https://a", asked)
    assert plain is not None
    assert told is not None
    assert "message-header-" in asked.lower() or told == plain


def test_of_very_many_message_headers_only_some_are_allowed() -> None:
    headers = ANY.preflight_headers(
        "https://a", ",".join(f"message-header-{number}" for number in range(1000))
    )
    assert headers is not None
    assert headers["Access-Control-Allow-Headers"].count("message-header-") == 64


@pytest.mark.parametrize(
    "asked", ["message-header-", "message-header-a b", "message-header-a\r\nx: y", "message-header-é"]
)
def test_a_name_that_no_header_can_have_does_not_come_back(asked: str) -> None:
    assert ANY.preflight_headers("https://a", asked) == ANY.preflight_headers("https://a")
