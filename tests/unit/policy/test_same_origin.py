"""Whether a page is this server's own."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.origins import Forwarding, Origin, Site, parsed_authority, parsed_origin


def same(origin: str, host: str, **forwarded: list[str]) -> bool:
    return Forwarding(**forwarded).site(host).is_origin_of(origin)


@pytest.mark.parametrize(
    "origin,host",
    [
        ("https://x.example", "x.example"),
        ("https://x.example", "x.example:443"),
        ("https://x.example:443", "x.example"),
        ("http://x.example", "x.example"),
        ("http://x.example", "x.example:80"),
        ("http://x.example:80", "x.example"),
        ("http://x.example", "x.example:"),
        ("HTTP://X.EXAMPLE", "x.Example"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[0:0::0001]:8000", "[::1]:8000"),
        ("http://[2001:DB8::1]", "[2001:db8::1]:80"),
    ],
)
def test_an_origin_is_the_same_by_scheme_host_and_port_however_they_are_written(
    origin: str, host: str
) -> None:
    assert same(origin, host)


@pytest.mark.parametrize(
    "origin,host",
    [
        ("http://x.example", "x.example:443"),
        ("https://x.example", "x.example:80"),
        ("https://x.example:8443", "x.example"),
        ("https://x.example", "x.example:8443"),
        ("https://x.example", "y.x.example"),
        ("https://y.x.example", "x.example"),
        ("https://x.example.evil", "x.example"),
        ("https://x.example.", "x.example"),
        ("ftp://x.example", "x.example"),
        ("chrome-extension://x.example", "x.example"),
        ("null", "null"),
        ("", ""),
        ("https://", ""),
        ("https://x.example/", "x.example"),
        ("https://a@x.example", "x.example"),
        ("https://x.example:443:443", "x.example"),
        ("https://x.example:https", "x.example"),
        ("https://[::1", "[::1"),
        ("https://[:::1]", "[:::1]"),
        ("x.example", "x.example"),
        ("https://x.example", "x.example/"),
        ("https://x.example", ""),
    ],
)
def test_anything_else_is_another_origin(origin: str, host: str) -> None:
    assert not same(origin, host)


@pytest.mark.parametrize(
    "origin,forwarded",
    [
        ("https://x.example", {"hosts": ["x.example"]}),
        ("https://x.example", {"hosts": ["x.example"], "protos": ["https"]}),
        ("https://x.example", {"hosts": ["x.example:443"], "protos": ["HTTPS"]}),
        ("https://x.example", {"hosts": ["x.example"], "protos": ["wss"]}),
        ("http://x.example", {"hosts": ["x.example"], "protos": ["ws"]}),
        ("https://x.example", {"hosts": ["x.example", "inner"], "protos": ["https", "http"]}),
        ("https://x.example", {"hosts": ["x.example, inner"], "protos": ["https, http"]}),
        ("https://x.example:8443", {"hosts": ["x.example"], "ports": ["8443"]}),
        ("https://x.example", {"hosts": ["x.example"], "ports": ["443"]}),
        ("https://x.example:8443", {"hosts": ["x.example:8443"], "ports": ["443"]}),
        ("https://x.example", {"hosts": ["x.example"], "ports": ["http"]}),
        ("https://x.example", {"hosts": [" ,x.example"]}),
        ("https://x.example", {"forwarded": ["for=192.0.2.1;host=x.example;proto=https, host=inner"]}),
        ("https://x.example", {"forwarded": ["host=y.example"], "hosts": ["x.example"]}),
        ("https://inner:8000", {"forwarded": ["proto=https"]}),
        ("https://inner:8000", {"forwarded": ["host="]}),
        ("https://inner:8000", {"protos": ["h2c"]}),
        ("https://inner:8000", {"ports": ["443"]}),
    ],
)
def test_behind_a_proxy_what_it_forwards_counts(origin: str, forwarded: dict[str, list[str]]) -> None:
    assert same(origin, "inner:8000", **forwarded)


@pytest.mark.parametrize(
    "origin,forwarded",
    [
        ("http://x.example", {"hosts": ["x.example"], "protos": ["https"]}),
        ("https://x.example", {"hosts": ["x.example"], "protos": ["http"]}),
        ("https://x.example", {"hosts": ["y.example"]}),
        ("https://inner:8000", {"hosts": ["x.example"]}),
        ("https://inner:8000", {"hosts": ["no host"]}),
        ("https://x.example", {"hosts": ["x.example"], "ports": ["8443"]}),
        ("https://x.example", {"forwarded": ['host="x.example']}),
    ],
)
def test_and_what_it_does_not_forward_does_not(origin: str, forwarded: dict[str, list[str]]) -> None:
    assert not same(origin, "inner:8000", **forwarded)


def test_every_host_that_a_proxy_names_is_told() -> None:
    said = Forwarding(hosts=["a, b:80", " c "], forwarded=["host=d, for=1.1.1.1", 'host="e:1"'])
    assert list(said.named_hosts()) == ["a", "b:80", "c", "d", "e:1"]
    assert not list(Forwarding(forwarded=['host="d']).named_hosts())
    assert not list(Forwarding().named_hosts())


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
HOSTS = st.one_of(NAMES, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda each: f"[{each}]"))
ORIGINS = st.builds(Origin, st.sampled_from(["http", "https"]), HOSTS, st.integers(0, 65535))


@given(ORIGINS)
def test_an_origin_is_read_as_it_is_written(origin: Origin) -> None:
    assert parsed_origin(str(origin)) == origin
    assert parsed_origin(str(origin).upper()) == origin


@given(ORIGINS, ORIGINS)
def test_two_origins_are_the_same_when_each_part_is(one: Origin, other: Origin) -> None:
    assert (parsed_origin(str(one)) == parsed_origin(str(other))) is (one == other)


@given(ORIGINS)
def test_a_page_of_the_host_that_was_asked_is_its_own(origin: Origin) -> None:
    assert same(str(origin), f"{origin.host}:{origin.port}")
    assert same(str(origin), str(origin).partition("://")[2])
    assert not same(str(origin), f"{origin.host}:{65535 if origin.port == 0 else 0}")


def test_a_scheme_of_its_own_has_no_port_of_its_own() -> None:
    origin = parsed_origin("chrome-extension://abc")
    assert origin == Origin("chrome-extension", "abc", None)
    assert str(origin) == "chrome-extension://abc"


@given(st.text())
def test_whatever_comes_is_an_origin_or_none(text: str) -> None:
    origin, authority = parsed_origin(text), parsed_authority(text)
    assert origin is None or parsed_origin(str(origin)) == origin
    assert authority is None or Site(None, *authority).host == authority[0]
    assert not same(text, "x.example") or "x.example" in text.lower()


@given(st.ip_addresses(v=6))
def test_an_ipv6_host_has_one_form(address: IPv6Address) -> None:
    assert parsed_authority(f"[{address.exploded}]:1") == parsed_authority(f"[{address.compressed}]:1")
