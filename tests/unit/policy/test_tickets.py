"""Tickets of pages."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequest
from bridge.limits import TICKET_CHARS_MAX, TICKET_LIFETIME_S
from bridge.policy.access import HOLDER_OF_API_KEY, Principal, parse_permissions
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.key_ring import KeyRing
from bridge.policy.tickets import Tickets
from tests.support.keys import MADE, numbered_key, owned_key, ring_of

NOW_S = MADE.timestamp()
ADA = Principal(
    name="ada", permissions=parse_permissions(["consume:orders/*", "metrics"]), expires_at_s=NOW_S + 60
)


def _tickets(ring: KeyRing | None = None, key: bytes = b"key of a test") -> Tickets:
    spent: set[str] = set()

    def spend(ticket: str) -> bool:
        first = ticket not in spent
        spent.add(ticket)
        return first

    return Tickets(key, ring, spend, os.urandom)


@pytest.mark.parametrize("principal", [ADA, HOLDER_OF_API_KEY])
def test_a_ticket_is_whoever_asked_for_it_once(principal: Principal) -> None:
    tickets = _tickets()
    text = tickets.issue(principal, NOW_S)
    found = tickets.redeem(text, "::1", NOW_S)
    assert isinstance(found, Principal)
    assert (found.name, found.unrestricted, found.expires_at_s) == (
        principal.name,
        principal.unrestricted,
        principal.expires_at_s,
    )
    assert [each.text for each in found.permissions] == [each.text for each in principal.permissions]
    assert tickets.redeem(text, "::1", NOW_S) is KeyVerdict.EXPIRED


def test_a_ticket_is_of_use_for_half_a_minute() -> None:
    tickets = _tickets()
    assert isinstance(
        tickets.redeem(tickets.issue(ADA, NOW_S), "::1", NOW_S + TICKET_LIFETIME_S - 1), Principal
    )
    assert tickets.redeem(tickets.issue(ADA, NOW_S), "::1", NOW_S + TICKET_LIFETIME_S) is KeyVerdict.EXPIRED


def test_a_ticket_of_a_key_is_worth_what_the_key_is_by_then() -> None:
    before = ring_of(owned_key(1, "consume"))
    key = before.key(numbered_key(1).id)
    assert key is not None
    text = _tickets(before).issue(key.principal, NOW_S)
    narrowed = _tickets(ring_of(owned_key(1, "produce:a/b"))).redeem(text, "::1", NOW_S)
    assert isinstance(narrowed, Principal)
    assert [each.text for each in narrowed.permissions] == ["produce:a/b"]
    revoked = _tickets(ring_of(owned_key(1, revoked_at=MADE)))
    assert revoked.redeem(text, "::1", NOW_S) is KeyVerdict.REVOKED
    assert _tickets(ring_of()).redeem(text, "::1", NOW_S) is KeyVerdict.REVOKED
    assert _tickets(None).redeem(text, "::1", NOW_S) is KeyVerdict.REVOKED
    elsewhere = _tickets(ring_of(owned_key(1, networks=["10.0.0.0/8"])))
    assert elsewhere.redeem(text, "127.0.0.1", NOW_S) is KeyVerdict.NETWORK


def test_replicas_of_one_key_take_each_others_and_nobody_elses() -> None:
    text = _tickets().issue(ADA, NOW_S)
    assert isinstance(_tickets().redeem(text, "::1", NOW_S), Principal)
    assert _tickets(key=b"another key").redeem(text, "::1", NOW_S) is KeyVerdict.WRONG


@given(st.data())
def test_no_bit_of_a_ticket_can_be_changed(data: st.DataObject) -> None:
    text = _tickets().issue(ADA, NOW_S)
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    forged = urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    assert _tickets().redeem(forged, "::1", NOW_S) is KeyVerdict.WRONG


@given(st.text(max_size=80))
def test_no_text_is_more_than_a_wrong_ticket(text: str) -> None:
    assert _tickets().redeem(text, "::1", NOW_S) is KeyVerdict.WRONG


def test_one_that_is_too_long_is_neither_made_nor_looked_at() -> None:
    many = Principal(
        name="many", permissions=parse_permissions(f"produce:{'s' * 200}/t{number}" for number in range(64))
    )
    with pytest.raises(BadRequest, match="no room"):
        _tickets().issue(many, NOW_S)
    assert _tickets().redeem("A" * (TICKET_CHARS_MAX + 1), "::1", NOW_S) is KeyVerdict.WRONG
