"""Under which names this server is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.origins import AllowedHosts

HERE = AllowedHosts(("127.0.0.1",), addresses=False)
NETWORK = AllowedHosts(("0.0.0.0",), addresses=True)
NAMED = AllowedHosts(
    ("Bridge.example", "*.svc.cluster.local", "2001:db8::1", "[2001:db8::2]", "10.0.0.1"), addresses=False
)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8000", "localhost.", "localhost.:8000", "bridge.localhost", "127.0.0.1"),
        *("127.0.0.1:8000", "127.255.0.9:1", "[::1]", "[::1]:8000", "[0:0::1]:8000", "[::ffff:127.0.0.1]:80"),
    ],
)
def test_this_machine_has_many_names(host: str) -> None:
    assert HERE.allows(host)
    assert NETWORK.allows(host)
    assert NAMED.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
        ),
        *(
            "127.0.0.1@evil.example",
            "localhost:8000@evil.example",
            "localhost, evil.example",
            "",
            ":8000",
            ".",
        ),
        *("localhost:x", "localhost:123456", "::1", "[::1", "[localhost]", "[127.0.0.1]", "http://localhost"),
        *("localhost/", "localhost evil", "*", "*.localhost.evil", "x\\localhost", "127.1"),
    ],
)
def test_any_other_name_is_a_strangers(host: str) -> None:
    assert not HERE.allows(host)
    assert not NETWORK.allows(host)
    assert not NAMED.allows(host)


@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8000", "[2001:db8::9]:8000", "0.0.0.0:8000"])
def test_an_address_is_a_name_only_where_others_reach_the_server(host: str) -> None:
    assert NETWORK.allows(host)
    assert not HERE.allows(host)
    assert not NAMED.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "bridge.example",
            "BRIDGE.example:80",
            "bridge.example.",
            "b.svc.cluster.local",
            "a.b.svc.cluster.local:8000",
        ),
        *("[2001:db8::1]", "[2001:DB8::0:2]:1", "10.0.0.1:8000"),
    ],
)
def test_what_is_listed_is_known(host: str) -> None:
    assert NAMED.allows(host)


@pytest.mark.parametrize("host", ["a.bridge.example", "svc.cluster.local", "xsvc.cluster.local", "10.0.0.2"])
def test_and_nothing_near_it(host: str) -> None:
    assert not NAMED.allows(host)


@given(st.text())
def test_a_star_is_any(host: str) -> None:
    assert AllowedHosts(("*",), addresses=False).allows(host)


@given(st.text())
def test_a_host_that_is_allowed_names_this_machine(host: str) -> None:
    plain = host.lower().rpartition(":")[0] or host.lower()
    assert not HERE.allows(host) or "localhost" in plain or "127." in plain or "[" in plain
