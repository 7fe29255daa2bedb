"""Answers whose whole body is at hand, written as head and body in one piece (shell).

aiohttp takes any answer through preparation, signal, head, body and end, each a coroutine. What is sent here is the same,
byte for byte but for the order of the head (`tests/hardening/test_connections.py` compares them).
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from aiohttp.http_writer import _serialize_headers

__all__ = ("OnAnswer", "plain_answer")

#: Puts on what every answer carries (`answer_headers.stamp`).
OnAnswer: TypeAlias = Callable[[web.BaseRequest, web.StreamResponse], None]

# 204 and 304 have no length; aiohttp knows the rules.
_BODILESS: Final = frozenset({204, 304})
# Beyond this, joining copies more than a second write to the transport costs; aiohttp's own bound.
_JOINED_BYTES_MAX: Final = 64 * 1024


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
    # Exactly this class: what derives from it may prepare in its own way.
    if type(response) is not web.Response:
        return False
    body, status = response.body, response.status
    if (
        type(body) is not bytes
        or len(body) > _JOINED_BYTES_MAX
        or status in _BODILESS
        or response.prepared
        or response.compression
        or response.chunked
        or response._cookies is not None  # noqa: SLF001 (the public property makes a jar)
        or request.method == hdrs.METH_HEAD
        or request.version != HttpVersion11
        or transport.is_closing()
    ):
        return False
    if response.keep_alive is None and not request.keep_alive:
        response.force_close()
    headers = response.headers
    headers[hdrs.CONTENT_LENGTH] = str(len(body))
    if body:
        headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
    headers[hdrs.DATE] = rfc822_formatted_time()
    stamp(request, response)
    if response.keep_alive is False:
        headers[hdrs.CONNECTION] = "close"
    answer = _serialize_headers(f"HTTP/1.1 {status} {response.reason}", headers) + body
    # Whoever asks later whether an answer has begun (`problem_boundary`) asks this number.
    request.writer.output_size += len(answer)
    transport.write(answer)
    return True
