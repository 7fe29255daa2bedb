"""What a file of keys may hold, and what is told of one that is broken."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import KEYS_FILE_FAULTS_TOLD_MAX, KEYS_MAX
from bridge.policy.client_address import is_within
from bridge.policy.keys_file import KeysFileFaults, decode_keys, encode_keys, keys_of
from tests.support.keys import MADE, owned_key

WHOLE: dict[str, Any] = {
    "id": "a1b2c3d4",
    "name": "orders",
    "sha256": "ab" * 32,
    "permissions": ["produce:orders/*"],
    "created": "2026-11-29T12:00:00Z",
}


def file_of(*keys: Any) -> bytes:
    return json.dumps({"version": 1, "keys": keys}).encode()


def faults_of(data: bytes) -> tuple[str, ...]:
    with pytest.raises(KeysFileFaults) as caught:
        decode_keys(data)
    return caught.value.faults


def test_what_is_written_is_read_again() -> None:
    keys = [
        owned_key(1, "produce:orders/*").stored,
        owned_key(
            2,
            "admin",
            pepper="pepper of a test",
            expires_at=MADE + timedelta(days=90),
            networks=["10.0.0.0/8", "2001:db8::1"],
            requests_per_s=10,
            burst=20,
            bytes_per_s=1000,
            revoked_at=MADE,
        ).stored,
    ]
    assert decode_keys(encode_keys(keys)) == keys
    assert [each.principal.key_id for each in keys_of(keys, has_pepper=True)] == [each.id for each in keys]


def test_a_key_in_force_knows_what_its_line_says() -> None:
    ends = MADE + timedelta(days=1)
    stored = owned_key(
        3, "consume:a/b", expires_at=ends, networks=["10.0.0.0/8"], requests_per_s=10, bytes_per_s=7
    ).stored
    (key,) = keys_of([stored], has_pepper=False)
    assert key.principal.name == "key-3"
    assert [each.text for each in key.principal.permissions] == ["consume:a/b"]
    assert key.principal.expires_at_s == ends.timestamp()
    assert not key.principal.unrestricted
    assert [(each.limit.policy, each.cost) for each in key.limits.request(5)] == [
        ('"key";q=10;w=1', 1),
        ('"key-bytes";q=7;w=1;qu="content-bytes"', 5),
    ]
    assert [is_within(text, key.networks) for text in ("10.1.2.3", "::ffff:10.1.2.3")] == [True, True]
    assert not any(is_within(text, key.networks) for text in ("11.1.2.3", "::1", "no address"))


@pytest.mark.parametrize(
    "change,fault",
    [
        ({"id": "A1B2C3D4"}, "keys[0].id: must be eight of a-z and 0-9"),
        ({"id": "a1b2c3d"}, "keys[0].id: must be eight of a-z and 0-9"),
        ({"name": "-x"}, "keys[0].name: must begin with a letter or digit"),
        ({"name": "x" * 65}, "keys[0].name: must begin with a letter or digit"),
        ({"name": "a\nb"}, "keys[0].name: must begin with a letter or digit"),
        ({"name": 7}, "keys[0].name: Expected `str`, got `int`"),
        ({"sha256": "AB" * 32}, "keys[0].sha256: must be 64 of 0-9 and a-f"),
        (
            {"hmac_sha256": "x"},
            "keys[0].sha256: there must be this, or hmac_sha256, or certificate, and one of them alone",
        ),
        (
            {"sha256": None},
            "keys[0].sha256: there must be this, or hmac_sha256, or certificate, and one of them alone",
        ),
        ({"sha256": None, "hmac_sha256": "x"}, "keys[0].hmac_sha256: must be 64 of 0-9 and a-f"),
        ({"certificate": "cn:a"}, "keys[0].sha256: there must be this, or hmac_sha256, or certificate"),
        ({"sha256": None, "certificate": "a"}, "keys[0].certificate: must be uri:, dns: or cn:"),
        ({"sha256": None, "certificate": "cn:"}, "keys[0].certificate: must be uri:, dns: or cn:"),
        ({"sha256": None, "certificate": "cn:a\n"}, "keys[0].certificate: must be uri:, dns: or cn:"),
        ({"permissions": []}, "keys[0].permissions: must name one at least"),
        ({"permissions": ["produce", "all"]}, "keys[0].permissions[1]: a permission is"),
        (
            {"permissions": [f"produce:s/t{n}" for n in range(65)]},
            "keys[0].permissions: more than 64 permissions",
        ),
        ({"permissions": "produce"}, "keys[0].permissions: Expected `array`, got `str`"),
        ({"networks": ["10.0.0.1/8"]}, "keys[0].networks[0]: no network"),
        ({"networks": ["10.0.0.0/8"] * 33}, "keys[0].networks: Expected `array` of length <= 32"),
        ({"created": "yesterday"}, "keys[0].created: Invalid RFC3339 encoded datetime"),
        (
            {"created": "2026-11-29T12:00:00"},
            "keys[0].created: Expected `datetime` with a timezone component",
        ),
        ({"requests_per_s": 0}, "keys[0].requests_per_s: Expected `int` >= 1"),
        ({"burst": 5}, "keys[0].burst: needs requests_per_s beside it"),
        ({"bytes_per_s": 2**41}, "keys[0].bytes_per_s: Expected `int` <= 1099511627776"),
        ({"permission": ["admin"]}, "keys[0]: Object contains unknown field `permission`"),
    ],
)
def test_each_fault_is_told_with_its_place(change: dict[str, Any], fault: str) -> None:
    changed = {name: value for name, value in (WHOLE | change).items() if value is not None}
    (told,) = faults_of(file_of(changed))
    assert told.startswith(fault)


def test_faults_of_all_keys_are_told_together() -> None:
    told = faults_of(file_of(WHOLE | {"id": "x", "name": ""}, 7, WHOLE, WHOLE, {}))
    assert [each.partition(":")[0] for each in told] == [
        "keys[0].id",
        "keys[0].name",
        "keys[1]",
        "keys[3].id",
        "keys[4]",
    ]
    assert told[3] == "keys[3].id: keys[2] has it already"


@pytest.mark.parametrize(
    "data,fault",
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"keys": [' + b"[" * 5000, "no JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "Object missing required field `keys`"),
        (b'{"keys": [], "version": 2}', "version: Invalid enum value 2"),
        (b'{"keys": [], "more": 1}', "Object contains unknown field `more`"),
        (file_of(*[0] * (KEYS_MAX + 1)), f"keys: Expected `array` of length <= {KEYS_MAX}"),
        (b'{"keys": [{"id": "\xff"}]}', "keys[0]: no JSON"),
    ],
)
def test_what_is_no_file_of_keys_is_told_as_such(data: bytes, fault: str) -> None:
    assert faults_of(data) == (fault,)


@pytest.mark.parametrize(
    "old,new,faults",
    [
        (b'"id"', b'"permissions":["admin"],"id"', ("keys[1].permissions: is there twice",)),
        (
            b'"id"',
            b'"\\u0069d":"aaaaaaaa","name":"b","id"',
            ("keys[1].id: is there twice", "keys[1].name: is there twice"),
        ),
        (b'"keys"', b'"version":1,"keys"', ("version: is there twice",)),
        (b'"keys"', b'"keys":[],"keys"', ("keys: is there twice",)),
    ],
)
def test_a_field_that_is_there_twice_is_a_fault(old: bytes, new: bytes, faults: tuple[str, ...]) -> None:
    # Readers differ on which of the two counts, so what somebody saw in the file may not be what holds.
    head, found, last = file_of(WHOLE, WHOLE | {"id": "b1b2b3b4"}).rpartition(old)
    assert found
    assert faults_of(head + new + last) == faults


def test_no_more_faults_are_told_than_somebody_reads() -> None:
    told = faults_of(file_of(*[7] * 100))
    assert len(told) == KEYS_FILE_FAULTS_TOLD_MAX + 1
    assert told[-1] == f"and {100 - KEYS_FILE_FAULTS_TOLD_MAX} more"


def test_a_peppered_key_needs_the_pepper() -> None:
    keys = [owned_key(1).stored, owned_key(2, pepper="pepper of a test").stored]
    with pytest.raises(KeysFileFaults) as caught:
        keys_of(keys, has_pepper=False)
    assert caught.value.faults == ("keys[1].hmac_sha256: needs KEYS_PEPPER or KEYS_PEPPER_FILE",)


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(file_of))
def test_whatever_a_file_holds_is_read_or_refused_in_words(data: bytes) -> None:
    with suppress(KeysFileFaults):
        decode_keys(data)
