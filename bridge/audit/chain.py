"""Records and the chain that they make (pure).

A record is one line of JSON. Its member `prev` is the hash of the record before it, and its last member, `hash`, the SHA-256 of
the line without that member, both in hexadecimal. So a record that is changed, taken out, put in or moved breaks the chain. What
the chain alone cannot tell is that its end was cut off, or that all of it was written anew: whoever keeps a hash elsewhere, as the
log of the bridge does, can hold it against the chain.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from bridge.limits import AUDIT_LINE_BYTES_MAX

#: Stands for the hash before the first record of all.
GENESIS: Final = "0" * 64
#: The first bytes of every record.
RECORD_BEGIN: Final = b'{"seq":'

_LINE: Final = re.compile(
    rb'(?P<open>\{"seq":(?P<seq>[0-9]{1,18}),"prev":"(?P<prev>[0-9a-f]{64})"(?:,.*)?),"hash":"(?P<hash>[0-9a-f]{64})"\}\n'
)


class Chain:
    """Where a chain has come to.

    Attributes:
        seq: number of the last record; 0 before the first one.
        head: hash of the last record.
    """

    def __init__(self, seq: int = 0, head: str = GENESIS) -> None:
        self.seq = seq
        self.head = head

    def record(self, members: Mapping[str, Any]) -> bytes:
        """The next record, of *members*, as a line with its end; they hold texts, numbers and None, and none of our names."""
        self.seq += 1
        own, rest = b'{"seq":%d,"prev":"%b"' % (self.seq, self.head.encode()), orjson.dumps(members)[1:-1]
        open_line = own + b"," + rest if rest else own
        self.head = sha256(open_line).hexdigest()
        return b'%b,"hash":"%b"}\n' % (open_line, self.head.encode())


class Verified(NamedTuple):
    """A record that stands where it should, as it was written."""

    seq: int
    hash: str


class Broken(Exception):
    """The chain is broken at line *line* of what was read."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


def verify(lines: Iterable[bytes]) -> Iterator[Verified]:
    """Follow the chain through *lines*, each with its end, and tell each record. The first may have any number, since files of
    before may have been removed.

    Raises:
        Broken: where it does not hold.
    """
    chain: Chain | None = None
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line) if len(line) <= AUDIT_LINE_BYTES_MAX else None
        if match is None:
            raise Broken(number, "it is no whole record")
        seq, prev, head = int(match["seq"]), match["prev"].decode(), match["hash"].decode()
        if chain is None:
            chain = Chain(seq - 1, GENESIS if seq == 1 else prev)
        if seq != chain.seq + 1:
            raise Broken(number, f"record {chain.seq + 1} should stand here")
        if prev != chain.head:
            raise Broken(number, f"record {seq} does not follow the one before it")
        if sha256(match["open"]).hexdigest() != head:
            raise Broken(number, f"record {seq} was changed")
        chain.seq, chain.head = seq, head
        yield Verified(seq, head)


def resumed(last_line: bytes) -> Chain:
    """The chain that goes on behind *last_line*, which has its end.

    Raises:
        ValueError: if it is no record.
    """
    match = _LINE.fullmatch(last_line)
    if match is None:
        raise ValueError("the last line is no record")
    return Chain(int(match["seq"]), match["hash"].decode())
