"""Invariant: a name passes exactly if it keeps the written rules, and a refusal never shows the name."""

import string
from itertools import pairwise
from typing import Final

from bridge.errors import BadRequest
from bridge.limits import CONSUMER_ID_MAX, NAME_CHARS_MAX
from bridge.policy.names import check_name, parse_integer

__all__ = ("check",)

PLAIN: Final = frozenset(string.ascii_letters + string.digits)
SPECIAL: Final = frozenset("._-")
#: Longer than any stretch that a name and the sentence of a refusal share by chance.
SHOWN_CHARS_MIN: Final = 40


def keeps_the_rules(name: str) -> bool:
    """The rules of the HTTP contract again, character by character."""
    return (
        1 <= len(name) <= NAME_CHARS_MAX
        and set(name) <= PLAIN | SPECIAL
        and name[0] in PLAIN
        and name[-1] in PLAIN
        and not any(left in SPECIAL and right in SPECIAL for left, right in pairwise(name))
        and not set(name) <= set(string.digits)
    )


def check_one_name(name: str) -> None:
    try:
        accepted = check_name(name, kind="topic")
    except BadRequest as refused:
        if keeps_the_rules(name):
            raise AssertionError("a name that keeps the rules was refused") from refused
        if len(name) >= SHOWN_CHARS_MIN and name in refused.detail:
            raise AssertionError("the refusal shows the name") from refused
        return
    if accepted != name or not keeps_the_rules(name):
        raise AssertionError("a name that breaks a rule was accepted")


def check_one_integer(text: str) -> None:
    meant = (
        set(text) <= set(string.digits) and text != "" and len(text.lstrip("0")) <= len(str(CONSUMER_ID_MAX))
    )
    inside = meant and 1 <= int(text or "0") <= CONSUMER_ID_MAX
    try:
        value = parse_integer(text, name="consumer_id", minimum=1, maximum=CONSUMER_ID_MAX)
    except BadRequest as refused:
        if inside:
            raise AssertionError("a number within its bounds was refused") from refused
        return
    if not inside or value != int(text):
        raise AssertionError("a text that is no number within the bounds was accepted")


def check(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    check_one_name(text)
    check_one_integer(text)
