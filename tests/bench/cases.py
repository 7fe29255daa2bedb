"""What is measured (pure): the kinds of work, how many connections do it, and how many messages one request moves."""

import enum
from typing import Final, NamedTuple

__all__ = (
    "AUDITED",
    "BARE",
    "BEFORE",
    "CASES",
    "EMBEDDED",
    "IGGY",
    "IGGY_HTTP",
    "PROTECTED",
    "PROTECTIONS",
    "READ_TARGETS",
    "SDK",
    "UNPROTECTED",
    "Case",
    "Dialect",
    "Kind",
    "base_of",
    "case_named",
)

#: Names that targets have in every table.
BARE: Final = "bare handler"
EMBEDDED: Final = "embedded log"
#: The embedded log behind nothing that guards it, and behind what an operator would put there; in the end all of it is audited.
UNPROTECTED, PROTECTED, AUDITED = (f"{EMBEDDED}, {how}" for how in ("unprotected", "protected", "audited"))
PROTECTIONS: Final = (UNPROTECTED, PROTECTED, AUDITED)
IGGY: Final = {"replicated": "Iggy, replicated", "persisted": "Iggy, persisted"}
SDK: Final = {"replicated": "SDK straight", "persisted": "SDK straight, persisted"}
IGGY_HTTP: Final = "Iggy's HTTP API"
#: Behind the name of a bridge that another checkout runs.
BEFORE: Final = ", before"


class Dialect(enum.Enum):
    """What a target understands."""

    BARE = "bare"
    BRIDGE = "bridge"
    IGGY_HTTP = "Iggy's HTTP API"
    SDK = "SDK"


class Kind(enum.Enum):
    """How the load is made: by many small requests, by one request that streams, or by many streams of the same."""

    SEND = "send"
    READ = "read"
    BULK_IN = "bulk in"
    BULK_OUT = "bulk out"
    FAN_OUT = "fan out"


class Case(NamedTuple):
    """
    One kind of work.

    Attributes:
        key: its name on the command line and in the JSON.
        connections: each sends its next request when the last is answered.
        messages: moved by one request.
        targets: names of those it is measured on.
        same: the same bytes again and again, as no client sends them; else what clients send.
    """

    key: str
    title: str
    kind: Kind
    connections: int
    messages: int
    targets: tuple[str, ...]
    same: bool = False

    def has(self, target: str) -> bool:
        """Whether it is measured on the target of that name."""
        return target.removesuffix(BEFORE) in self.targets


_ALL: Final = (BARE, EMBEDDED, IGGY["replicated"], IGGY["persisted"], SDK["replicated"], IGGY_HTTP)
#: Durability plays no part in a read.
READ_TARGETS: Final = (BARE, EMBEDDED, IGGY["replicated"], SDK["replicated"], IGGY_HTTP)
_BULK_IN: Final = (EMBEDDED, IGGY["replicated"], IGGY["persisted"], SDK["replicated"], SDK["persisted"])
_BULK_OUT: Final = (EMBEDDED, IGGY["replicated"], SDK["replicated"])
_FAN_OUT: Final = (BARE, EMBEDDED, IGGY["replicated"])

_CLIENTS: Final = (
    Case("post-1", "POST one event, 1 connection", Kind.SEND, 1, 1, _ALL),
    Case("post-64", "POST one event, 64 connections", Kind.SEND, 64, 1, (*_ALL, *PROTECTIONS)),
    Case("batch-100", "POST batch of 100, 4 connections", Kind.SEND, 4, 100, _ALL),
    Case("batch-1000", "POST batch of 1000, 4 connections", Kind.SEND, 4, 1000, _ALL),
    # A page that was served a moment ago may be kept; no cache holds every page that the next one asks for.
    Case("get-same", "GET the same 100 messages, 8 connections", Kind.READ, 8, 100, READ_TARGETS),
    Case("get-any", "GET 100 messages from anywhere, 8 connections", Kind.READ, 8, 100, READ_TARGETS),
    Case("ndjson-in", "NDJSON in, 1 connection", Kind.BULK_IN, 1, 50_000, _BULK_IN),
    Case("ndjson-out", "NDJSON out, 1 connection", Kind.BULK_OUT, 1, 100_000, _BULK_OUT),
    Case("fanout", "1,000 event streams of one topic", Kind.FAN_OUT, 1000, 1, _FAN_OUT),
)

_SAME: Final = tuple(
    case._replace(key=f"{case.key}-same", title=f"{case.title}, same bytes", same=True)
    for case in _CLIENTS
    if case.kind in {Kind.SEND, Kind.READ}
)
CASES: Final = _CLIENTS + _SAME


def case_named(key: str) -> Case:
    """
    Raises:
        KeyError: for a key that no case has.
    """
    return {case.key: case for case in CASES}[key]


def base_of(case: Case, target: str) -> str:
    """The target whose figure is 1: the bare handler; in bulk, which it does not do, the SDK at the same durability."""
    if BARE in case.targets:
        return BARE
    persisted = target.removesuffix(BEFORE) in {IGGY["persisted"], SDK["persisted"]}
    return SDK["persisted" if persisted else "replicated"]
