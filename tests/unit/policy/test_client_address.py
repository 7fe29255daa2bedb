"""Whose request it is."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import FORWARDED_ENTRIES_MAX
from bridge.policy.client_address import ClientAddresses, limit_key

BEHIND = ClientAddresses(("10.0.0.0/8", "fd00::/8"))


@given(st.lists(st.text(), max_size=5), st.lists(st.text(), max_size=3))
def test_without_trusted_proxies_no_header_is_believed(forwarded: list[str], real: list[str]) -> None:
    assert ClientAddresses(()).client("192.0.2.1", forwarded, real) == "192.0.2.1"


@given(st.lists(st.text(), max_size=5), st.lists(st.text(), max_size=3))
def test_an_untrusted_peer_is_not_believed(forwarded: list[str], real: list[str]) -> None:
    assert BEHIND.client("192.0.2.1", forwarded, real) == "192.0.2.1"


@given(
    st.ip_addresses().filter(lambda a: not BEHIND.is_trusted(str(a))), st.lists(st.ip_addresses(), max_size=8)
)
def test_whatever_the_caller_wrote_the_entry_of_the_last_proxy_counts(
    client: object, forged: list[object]
) -> None:
    line = ", ".join(map(str, [*forged, client]))
    assert BEHIND.client("10.0.0.1", [line], []) == BEHIND.client(str(client), [], [])


@pytest.mark.parametrize(
    "lines,client",
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7", "10.2.3.4, fd00::1"], "198.51.100.7"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["2001:DB8::0:1"], "2001:db8::1"),
        (["1.1.1.1, garbage"], "10.0.0.1"),
        (["1.1.1.1, "], "10.0.0.1"),
        (["1.1.1.1:80"], "10.0.0.1"),
        (["1.1.1.1, unknown, 10.1.1.1"], "10.0.0.1"),
        (["10.1.1.1, 10.1.1.2"], "10.0.0.1"),
    ],
)
def test_the_right_most_untrusted_entry_counts_and_garbage_means_the_peer(
    lines: list[str], client: str
) -> None:
    assert BEHIND.client("10.0.0.1", lines, []) == client


def test_entries_beyond_the_cap_are_not_looked_at() -> None:
    trusted = ["10.1.1.1"] * FORWARDED_ENTRIES_MAX
    assert BEHIND.client("10.0.0.1", [", ".join(["1.1.1.1", *trusted])], ["2.2.2.2"]) == "10.0.0.1"
    assert BEHIND.client("10.0.0.1", [", ".join(["1.1.1.1", *trusted[1:]])], []) == "1.1.1.1"


@pytest.mark.parametrize(
    "real_ip,client",
    [
        (["198.51.100.7"], "198.51.100.7"),
        ([" 198.51.100.7 "], "198.51.100.7"),
        (["x"], "10.0.0.1"),
        (["1.1.1.1", "2.2.2.2"], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_x_real_ip_counts_where_nothing_was_forwarded(real_ip: list[str], client: str) -> None:
    assert BEHIND.client("10.0.0.1", [], real_ip) == client
    assert BEHIND.client("10.0.0.1", ["10.9.9.9"], real_ip) == client


def test_mapped_and_zoned_addresses_are_brought_to_their_normal_form() -> None:
    assert BEHIND.client("::ffff:192.0.2.1", ["1.1.1.1"], []) == "192.0.2.1"
    assert BEHIND.client("::ffff:10.0.0.1", ["1.1.1.1"], []) == "1.1.1.1"
    assert BEHIND.client("fe80::1%eth0", [], []) == "fe80::1"


def test_a_peer_without_an_ip_address_is_itself() -> None:
    assert BEHIND.client("", ["1.1.1.1"], []) == ""
    assert not BEHIND.is_trusted("")


def test_a_proxy_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        ClientAddresses(("nonsense",))


@given(st.integers(2**64, 2**128 - 1), st.integers(0, 2**64 - 1))
def test_limits_count_an_ipv6_network_of_64_bits_as_one(number: int, host: int) -> None:
    neighbour = ip_address(number >> 64 << 64 | host)
    assert limit_key(str(neighbour)) == limit_key(str(ip_address(number)))


def test_limits_count_ipv4_by_the_address_and_other_text_by_itself() -> None:
    assert limit_key("192.0.2.1") == "192.0.2.1"
    assert limit_key("2001:db8::1") == "2001:db8::/64"
    assert limit_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert limit_key("not:an:address") == "not:an:address"
