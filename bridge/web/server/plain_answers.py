"""Answers whose whole body is at hand, written as head and body in one piece (shell).

aiohttp takes any answer through preparation, signal, head, body and end, each a coroutine. What is sent here is the same,
byte for byte but for the order of the head (`tests/hardening/test_connections.py` compares them).
"""

# ruff: noqa: SLF001 (attributes for properties, a dozen of 0.1 us each; `test_server_hooks` stands by them)

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Final, TypeAlias, cast

from aiohttp import hdrs, web
from aiohttp.compression_utils import MAX_SYNC_CHUNK_SIZE
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from aiohttp.http_writer import _serialize_headers
from aiohttp.web_response import REASON_PHRASES
from multidict import CIMultiDict

from bridge.web.server.answer_headers import put_on

__all__ = ("OnAnswer", "PlainAnswer", "plain_answer")

#: What every answer to this request carries (`answer_headers.stamper`); `Connection` in it ends the connection.
OnAnswer: TypeAlias = Callable[[web.BaseRequest], Mapping[str, str]]

# 204 and 304 have no length; aiohttp knows the rules.
_BODILESS: Final = frozenset({204, 304})
# Beyond this, joining copies more than a second write to the transport costs.
_JOINED_BYTES_MAX: Final = 64 * 1024


class PlainAnswer(web.Response):
    """
    A `web.Response` of bytes with their type, made in 0.3 us instead of 1.3.

    Args:
        content_type: one of ours; it is written as it is.
    """

    def __init__(self, body: bytes, *, status: int, content_type: str) -> None:
        # What `web.Response` sets, without its ways to say the same thing (`test_server_hooks` compares the two).
        self._state = {}
        self._type = content_type
        self._own_headers: CIMultiDict[str] | None = None
        self._body = body
        self._zlib_executor_size = MAX_SYNC_CHUNK_SIZE
        self._zlib_executor = None
        self._status = status
        self._reason = REASON_PHRASES.get(status, "")

    @property
    def _headers(self) -> CIMultiDict[str]:  # type: ignore[override]
        # Made where somebody asks for them; most go out without.
        if self._own_headers is None:
            self._own_headers = CIMultiDict({hdrs.CONTENT_TYPE: self._type})
        return self._own_headers


def plain_answer(
    request: web.BaseRequest, response: web.StreamResponse, transport: asyncio.WriteTransport, stamp: OnAnswer
) -> bool:
    """
    Write *response* if it is plain: a `web.Response` of bytes, not begun, not to be compressed, to HTTP/1.1.

    Returns:
        Whether it was; if not, nothing has happened.

    Raises:
        ValueError: if a header holds a line break.
    """
    # Exactly these classes: what else derives from them may prepare in its own way.
    if type(response) is not PlainAnswer and type(response) is not web.Response:
        return False
    body, status = response._body, response._status
    if (
        type(body) is not bytes
        or status in _BODILESS
        or response._eof_sent
        or response._payload_writer is not None
        or response._compression
        or response._chunked
        or response._cookies is not None
        or request._method == hdrs.METH_HEAD
        or request._version != HttpVersion11
        or transport.is_closing()
    ):
        return False
    stamped = stamp(request)
    if hdrs.CONNECTION in stamped or (response._keep_alive is None and request._message.should_close):
        response.force_close()
    head: MutableMapping[str, str]
    content_type = _sole_type(response)
    if content_type is not None:
        # None of the names can be there twice, so that a plain dictionary will do; filling a multidict took 3 us more.
        head = {
            hdrs.CONTENT_TYPE: content_type,
            hdrs.CONTENT_LENGTH: str(len(body)),
            hdrs.DATE: rfc822_formatted_time(),
            **stamped,
        }
    else:
        head = own = response._headers
        own[hdrs.CONTENT_LENGTH] = str(len(body))
        if body:
            own.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
        own[hdrs.DATE] = rfc822_formatted_time()
        put_on(own, stamped)
    if response._keep_alive is False:
        head[hdrs.CONNECTION] = "close"
    # It takes any mapping, other than its annotation says.
    written = _serialize_headers(f"HTTP/1.1 {status} {response._reason}", cast("CIMultiDict[str]", head))
    if len(body) <= _JOINED_BYTES_MAX:
        transport.write(written + body)
    else:
        transport.write(written)
        transport.write(body)
    return True


def _sole_type(response: web.Response) -> str | None:
    """Its type, where its own headers say nothing else."""
    if type(response) is PlainAnswer and response._own_headers is None:
        return response._type
    own = response._headers
    return own.get(hdrs.CONTENT_TYPE) if len(own) == 1 else None
