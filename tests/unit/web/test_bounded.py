"""How many may do a long thing at a time, and how many of them from one address."""

from contextlib import ExitStack

import pytest

from bridge.errors import Outcome, Overloaded
from bridge.web.server.bounded import Bounded


def test_a_few_addresses_cannot_keep_the_others_out() -> None:
    bounded = Bounded(64, "Too many bodies of lines are being read.", outcome=Outcome.NOT_WRITTEN)
    refused = Overloaded()
    with ExitStack() as stack:
        for number in range(64):
            try:
                stack.enter_context(bounded.joined(f"192.0.2.{number % 2}"))
            except Overloaded as error:
                refused = error
        # Two addresses have a third each.
        assert 42 <= len(bounded) <= 43
        assert "Your address has its share" in str(refused)
        assert (refused.outcome, refused.retry_after_ms) == (Outcome.NOT_WRITTEN, 1000)
        for number in range(3):
            stack.enter_context(bounded.joined(f"198.51.100.{number}"))
    assert len(bounded) == 0


def test_an_address_of_ipv6_is_its_64() -> None:
    bounded = Bounded(2, "Too many.")
    with bounded.joined("2001:db8::1"), pytest.raises(Overloaded), bounded.joined("2001:db8::2"):
        raise AssertionError("let in")


def test_when_all_are_taken_nothing_is_said_of_the_address() -> None:
    bounded = Bounded(1, "Too many.")
    with (
        bounded.joined("192.0.2.1"),
        pytest.raises(Overloaded, match=r"^Too many\.$"),
        bounded.joined("192.0.2.2"),
    ):
        raise AssertionError("let in")
