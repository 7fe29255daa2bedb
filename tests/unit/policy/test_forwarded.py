"""What proxies write of whom they forward."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.client_address import Unread, address_of, elements_of

# As nginx, HAProxy, Envoy, Apache, IIS and Azure write them, and RFC 7239.
FORMS = (
    "{}",
    " {}\t",
    '"{}"',
    "{}:0",
    "{}:65535",
    '"{}:4711"',
    '" {} "',
    "{}:_gazonk",
    "[{}]",
    "[{}]:4711",
    '"[{}]:4711"',
    '"[{}]"',
    "{}%eth0",
    "[{}%eth0]",
    "[{}%25eth0.1]:4711",
)


@pytest.mark.parametrize("form", FORMS)
@given(address=st.ip_addresses())
def test_every_form_of_an_address_is_read(form: str, address: Any) -> None:
    if address.version == 4 and ("[" in form or "%" in form):
        return
    if address.version == 6 and ":" in form and "[" not in form:
        return
    mapped = getattr(address, "ipv4_mapped", None)
    assert address_of(form.format(address)) == (mapped or address)


@pytest.mark.parametrize("text", ["unknown", "UNKNOWN", '"unknown"', "unknown:4711", "unknown:_x"])
def test_unknown_is_nobody(text: str) -> None:
    assert address_of(text) is Unread.UNKNOWN


@pytest.mark.parametrize("text", ["_hidden", "_SEVKISEK", '"_a.b-c"', "_x:80", "_x:_y"])
def test_a_name_that_stands_for_somebody_is_nobody(text: str) -> None:
    assert address_of(text) is Unread.OBFUSCATED


@pytest.mark.parametrize(
    "text",
    [
        *("", '"', '""', "x", "example.com", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4/8"),
        *("1.2.3.4%eth0", "[1.2.3.4]", "[1.2.3.4]:80", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "[::1"),
        *("::1]", "[::1]80", "[::1]:", "[]", "[%eth0]", "2001:db8::1::2", "for=1.2.3.4", "\uff11.2.3.4"),
        *("1.2.3.4 5.6.7.8", "_", "_é", "unknownx", "1.2.3.4\n", "-"),
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    assert address_of(text) is Unread.NO_ADDRESS


def test_what_is_longer_than_any_address_is_not_looked_at() -> None:
    longest = f'"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%{"z" * 60}]:65535"'
    assert address_of(longest) == ip_address("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
    assert address_of(" " * 200) is Unread.TOO_LONG


@given(st.text())
def test_whatever_comes_is_an_address_or_a_reason(text: str) -> None:
    found = address_of(text)
    assert isinstance(found, Unread) or address_of(str(found)) == found


@pytest.mark.parametrize(
    "lines,elements",
    [
        ([], []),
        ([" , ,"], []),
        (["for=192.0.2.43"], [{"for": "192.0.2.43"}]),
        (["For=a;PROTO=https; By=b"], [{"for": "a", "proto": "https", "by": "b"}]),
        (["for=a, for=b", "for=c"], [{"for": "a"}, {"for": "b"}, {"for": "c"}]),
        (["for=a,,\t, for=b,"], [{"for": "a"}, {"for": "b"}]),
        (['for="[2001:db8::1]:80";host="a,b;c"'], [{"for": "[2001:db8::1]:80", "host": "a,b;c"}]),
        (['host="a\\"b\\\\"'], [{"host": 'a"b\\'}]),
        (["for=[2001:db8::1]:80;host=x:8000"], [{"for": "[2001:db8::1]:80", "host": "x:8000"}]),
        (["for=a;"], [{"for": "a"}]),
        (["for=;host="], [{"for": "", "host": ""}]),
    ],
)
def test_elements_are_read_as_rfc_7239_has_them(lines: list[str], elements: list[dict[str, str]]) -> None:
    assert elements_of(lines) == tuple(elements)


@pytest.mark.parametrize(
    "line",
    [
        "for",
        "=x",
        "for=a b",
        'for="a',
        'for="a"b',
        "for=a;for=b",
        "for =a",
        "a;for=b",
        'for=a"b"',
        "x=\x01 y",
    ],
)
def test_a_header_that_is_not_well_formed_says_nothing(line: str) -> None:
    assert elements_of([line, "for=192.0.2.1"]) is Unread.NO_ADDRESS


def test_a_header_that_is_very_long_says_nothing() -> None:
    assert elements_of(["for=a"] * 1000) is Unread.TOO_LONG


NAMES = st.text(alphabet="abcXYZ-", min_size=1, max_size=6)
ELEMENTS = st.lists(
    st.dictionaries(NAMES.map(str.lower), st.text(max_size=8), min_size=1, max_size=3), max_size=5
)


@given(ELEMENTS)
def test_what_is_written_in_quotes_is_read_again(elements: list[dict[str, str]]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    line = ", ".join(";".join(f"{name}={quoted(value)}" for name, value in each.items()) for each in elements)
    if all(value.isprintable() for each in elements for value in each.values()):
        assert elements_of([line]) == tuple(elements)


@given(st.lists(st.text(alphabet='fo=;," \\_[]:1', max_size=12), max_size=4))
def test_any_lines_are_elements_or_a_reason(lines: list[str]) -> None:
    found = elements_of(lines)
    assert isinstance(found, Unread) or all(found)
