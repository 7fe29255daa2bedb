"""Heads of requests that were parsed before (shell): the same bytes say the same thing.

Most callers send the same head again and again: path, key and type stay, and only a few lengths occur. Parsing one takes
8 us, and as much again what the rules find out about it; finding it here takes 0.5. There is no second parser: what is
here was made by aiohttp's, from these very bytes.
"""

from typing import Any

import msgspec
from aiohttp import hdrs
from aiohttp.http import HttpVersion11, RawRequestMessage

from bridge.limits import KNOWN_BODY_BYTES_MAX, KNOWN_HEAD_BYTES_MAX, KNOWN_HEADS_MAX
from bridge.web.server.framing import HEAD_END

__all__ = ("Head", "Known", "KnownHeads")


class Head:
    """
    What is known of one head, shared by all requests that have it.

    Attributes:
        message: as parsed.
        body_bytes: length of the body that follows.
        facts: what follows from the head and the configuration alone, by whoever found it out and need not again: a
            check that has let it pass, the topic that its path names.
        kept: another request with it will find these facts.
    """

    __slots__ = ("body_bytes", "facts", "kept", "message")

    def __init__(self, message: RawRequestMessage, body_bytes: int = 0, *, kept: bool = False) -> None:
        self.message = message
        self.body_bytes = body_bytes
        self.kept = kept
        self.facts: dict[object, Any] = {}


# A struct, as are other values of the way in: 0.05 us where a named tuple takes 0.25.
class Known(msgspec.Struct, frozen=True, gc=False):
    """A whole request whose head is known."""

    head: Head
    body: bytes


class KnownHeads:
    """
    A bounded table of heads; the oldest goes first.

    Keys are found by a hash under Python's secret and compared only where it is the same: how long that takes tells
    nothing of the keys that other callers' heads hold.
    """

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> Known | None:
        """The request that *data* is, if it is exactly one whole request with a head that is known."""
        end = data.find(HEAD_END, 0, KNOWN_HEAD_BYTES_MAX) + len(HEAD_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) != end + head.body_bytes:
            return None
        return Known(head, data[end:])

    def learn(self, head_bytes: bytes, message: RawRequestMessage, body_bytes: int) -> None:
        """Keep what was parsed from *head_bytes*, which are a head and nothing else, if that is all there is to it."""
        if message.version != HttpVersion11 or message.should_close or message.upgrade or message.chunked:
            return
        # A query is another one each time, or holds the key; an expectation is answered before the body is here.
        if "?" in message.path or hdrs.EXPECT in message.headers or message.url.absolute:
            return
        if body_bytes > KNOWN_BODY_BYTES_MAX:
            return
        if len(self._heads) >= KNOWN_HEADS_MAX:
            del self._heads[next(iter(self._heads))]
        self._heads[head_bytes] = Head(message, body_bytes, kept=True)
