"""What was looked at, how it is, and what to do (leaf)."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How it is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """
    One thing that was looked at.

    Attributes:
        found: what is so, in a sentence.
        cure: what to do; nothing where all is well.
    """

    check: str
    level: Level
    found: str
    cure: str = ""
