"""Whose request it is."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import FORWARDED_ENTRIES_MAX
from bridge.policy.client_address import Client, ClientAddresses, Unread, limit_key

BEHIND = ClientAddresses(("10.0.0.0/8", "fd00::/8"))
FORMS = ("{}", "{}:4711", "[{}]:4711", " {} ")


def written(address: Any, form: str) -> str:
    """*address* in *form*, or in the nearest one that it can have."""
    if address.version == 4:
        form = form.replace("[", "").replace("]", "")
    elif form == "{}:4711":
        form = "[{}]"
    return form.format(address)


LINES = st.lists(st.text(), max_size=3)


@given(LINES, LINES, LINES)
def test_without_trusted_proxies_no_header_is_believed(a: list[str], b: list[str], c: list[str]) -> None:
    assert ClientAddresses(()).client("192.0.2.1", a, b, c) == Client("192.0.2.1")


@given(LINES, LINES, LINES)
def test_an_untrusted_peer_is_not_believed(a: list[str], b: list[str], c: list[str]) -> None:
    assert BEHIND.client("192.0.2.1", a, b, c) == Client("192.0.2.1")


@given(LINES, LINES, LINES)
def test_whatever_is_forwarded_the_client_has_an_address(a: list[str], b: list[str], c: list[str]) -> None:
    client = BEHIND.client("10.0.0.1", a, b, c)
    assert str(ip_address(client.address)) == client.address


@given(
    st.ip_addresses().filter(lambda a: not BEHIND.is_trusted(BEHIND.peer(str(a)))),
    st.lists(st.one_of(st.ip_addresses().map(str), st.text(alphabet="ab,:[]_ 1", max_size=9)), max_size=7),
    st.sampled_from(FORMS),
)
def test_whatever_the_caller_wrote_the_entry_of_the_last_proxy_counts(
    client: Any, forged: list[str], form: str
) -> None:
    line = ", ".join([*forged, written(client, form)])
    assert BEHIND.client("10.0.0.1", [line]) == Client(BEHIND.peer(str(client)))


@given(
    st.ip_addresses().filter(lambda a: not BEHIND.is_trusted(BEHIND.peer(str(a)))),
    st.text(alphabet='ab,:[]_ 1"=;\\', max_size=20),
    st.sampled_from(FORMS),
)
def test_what_the_caller_wrote_in_forwarded_can_spoil_the_word_of_the_last_proxy_and_not_forge_it(
    client: Any, forged: str, form: str
) -> None:
    line = f'{forged}, for="{written(client, form)}"'
    found = BEHIND.client("10.0.0.1", [], [], [line])
    assert found.address == (BEHIND.peer(str(client)) if found.unread is None else "10.0.0.1")


@pytest.mark.parametrize(
    "lines,client",
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7", "10.2.3.4, fd00::1"], "198.51.100.7"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["2001:DB8::0:1"], "2001:db8::1"),
        (["1.1.1.1, "], "1.1.1.1"),
        (["1.1.1.1:80"], "1.1.1.1"),
        (["1.1.1.1, [fd00::1]:4711,,10.1.1.1:80"], "1.1.1.1"),
        (["10.1.1.1, 10.1.1.2"], "10.1.1.1"),
        ([""], "10.0.0.1"),
    ],
)
def test_the_right_most_untrusted_entry_counts_else_the_left_most(lines: list[str], client: str) -> None:
    assert BEHIND.client("10.0.0.1", lines) == Client(client)


@pytest.mark.parametrize(
    "line,address,why",
    [
        ("1.1.1.1, garbage", "10.0.0.1", Unread.NO_ADDRESS),
        ("1.1.1.1, unknown, 10.1.1.1", "10.1.1.1", Unread.UNKNOWN),
        ("1.1.1.1, _x, 10.1.1.2, 10.1.1.1:80", "10.1.1.2", Unread.OBFUSCATED),
    ],
)
def test_an_entry_that_names_nobody_ends_the_way_at_the_hop_that_wrote_it(
    line: str, address: str, why: Unread
) -> None:
    assert BEHIND.client("10.0.0.1", [line], ["2.2.2.2"], ["for=3.3.3.3"]) == Client(address, why)


def test_entries_beyond_the_cap_are_not_looked_at() -> None:
    trusted = ["10.1.1.1"] * FORWARDED_ENTRIES_MAX
    beyond = BEHIND.client("10.0.0.1", [", ".join(["1.1.1.1", *trusted])], ["2.2.2.2"])
    assert beyond == Client("10.1.1.1", Unread.TOO_LONG)
    assert BEHIND.client("10.0.0.1", [", ".join(["1.1.1.1", *trusted[1:]])]) == Client("1.1.1.1")


@pytest.mark.parametrize(
    "real_ip,client",
    [
        (["198.51.100.7"], Client("198.51.100.7")),
        ([" 198.51.100.7:80 "], Client("198.51.100.7")),
        (["x"], Client("10.0.0.1", Unread.NO_ADDRESS)),
        (["1.1.1.1", "2.2.2.2"], Client("10.0.0.1")),
        ([" "], Client("10.0.0.1")),
        ([], Client("10.0.0.1")),
    ],
)
def test_x_real_ip_counts_where_no_stranger_was_forwarded(real_ip: list[str], client: Client) -> None:
    assert BEHIND.client("10.0.0.1", [], real_ip) == client
    hop = BEHIND.client("10.0.0.1", ["10.0.0.1"], real_ip)
    assert hop == client
    assert BEHIND.client("10.0.0.1", ["1.1.1.1"], real_ip) == Client("1.1.1.1")


@pytest.mark.parametrize(
    "lines,client",
    [
        (["for=198.51.100.7"], Client("198.51.100.7")),
        (['For="[2001:db8::1]:4711";proto=https', "for=10.1.1.1"], Client("2001:db8::1")),
        (["for=1.1.1.1, by=10.1.1.1"], Client("10.0.0.1", Unread.UNKNOWN)),
        (["for=1.1.1.1, for=_hidden"], Client("10.0.0.1", Unread.OBFUSCATED)),
        (["for=1.1.1.1, for="], Client("10.0.0.1", Unread.UNKNOWN)),
        (["for"], Client("10.0.0.1", Unread.NO_ADDRESS)),
        (["x" * 5000], Client("10.0.0.1", Unread.TOO_LONG)),
        ([" , "], Client("10.0.0.1")),
    ],
)
def test_forwarded_counts_where_nothing_else_was(lines: list[str], client: Client) -> None:
    assert BEHIND.client("10.0.0.1", [], [], lines) == client
    assert BEHIND.client("10.0.0.1", ["2.2.2.2"], [], lines) == Client("2.2.2.2")
    assert BEHIND.client("10.0.0.1", [], ["2.2.2.2"], lines) == Client("2.2.2.2")
    assert BEHIND.client("10.0.0.1", ["10.3.3.3"], [], lines) == Client("10.3.3.3")


def test_mapped_and_zoned_addresses_are_brought_to_their_normal_form() -> None:
    assert BEHIND.client("::ffff:192.0.2.1", ["1.1.1.1"]) == Client("192.0.2.1")
    assert BEHIND.client("::ffff:10.0.0.1", ["1.1.1.1"]) == Client("1.1.1.1")
    assert BEHIND.client("fe80::1%eth0") == Client("fe80::1")


def test_a_peer_without_an_ip_address_is_itself() -> None:
    assert BEHIND.client("", ["1.1.1.1"]) == Client("")
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
