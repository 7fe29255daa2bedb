"""Reading a request's body within its bounds (shell over `policy.body_kinds`)."""

import asyncio

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from bridge.errors import BadRequest, PayloadTooLarge, RequestBodyTimeout, UnsupportedMediaType
from bridge.limits import (
    BODY_BYTES_PER_S_MIN,
    BODY_TIMEOUT_BASE_S,
    BODY_TIMEOUT_MAX_S,
    CHUNK_OVERHEAD_BYTES_FREE,
)
from bridge.policy.body_kinds import is_json, is_plain_encoding
from bridge.web.keys import DEADLINE
from bridge.web.server.answer_headers import ANSWER_HEADERS
from bridge.web.server.framing import TooMuchOverhead
from bridge.web.server.requests import EXPECTS_CONTINUE
from bridge.web.server.tickets import hold_body, take_place

__all__ = ("body_timeout_s", "broken_framing", "invite", "read_body", "read_whole")


def body_timeout_s(length: int | None) -> float:
    """How long a body of *length* bytes may take; of one whose length is not told, as long as any."""
    if length is None:
        return BODY_TIMEOUT_MAX_S
    return min(BODY_TIMEOUT_MAX_S, BODY_TIMEOUT_BASE_S + length / BODY_BYTES_PER_S_MIN)


async def read_body(request: web.Request) -> bytes:
    """
    The whole body, at most `MAX_REQUEST_BODY_SIZE` bytes; to be called once.

    Everything that the headers tell is checked before the caller is invited to send ("100 Continue").

    Raises:
        UnsupportedMediaType: if it is not `application/json` in UTF-8, or is compressed.
        PayloadTooLarge: if it is too long, as soon as that is known.
        RequestBodyTimeout: if it comes too slowly, or not before the request's deadline.
        BadRequest: if its framing is broken.
        Overloaded: if there is no room for it.
    """
    headers = request.headers
    if not is_json(headers.get(hdrs.CONTENT_TYPE, "")):
        raise UnsupportedMediaType("The body must be application/json in UTF-8.", path="Content-Type")
    if not is_plain_encoding(headers.get(hdrs.CONTENT_ENCODING)):
        raise UnsupportedMediaType("The body must not be compressed.", path="Content-Encoding")
    return await read_whole(request)


async def read_whole(request: web.Request) -> bytes:
    """
    The same for a body of any type and coding, as it came; its headers are for the caller to check.

    Raises:
        PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`.
    """
    bytes_max, length = request.client_max_size, request.content_length
    if length is not None and length > bytes_max:
        raise PayloadTooLarge(f"The body is longer than {bytes_max} bytes.", path="body", limit=bytes_max)
    try:
        if request.content.is_eof():
            # Short bodies come with the head: no timer is needed for what is here already.
            body = request.content.read_nowait()
            if length and not body:
                raise RuntimeError("the body was read already")
        else:
            body = await _read_in_time(request, bytes_max, body_timeout_s(length))
            take_place(request)
    except web.RequestPayloadError as error:
        raise broken_framing(request, error) from error
    return _within(body, bytes_max)


def broken_framing(request: web.Request, error: web.RequestPayloadError) -> BadRequest:
    """What is said of a body that breaks off; it ends the connection."""
    # Where this body ends, and so where the next request begins, is anybody's guess.
    request[ANSWER_HEADERS][hdrs.CONNECTION] = "close"
    if isinstance(error, TooMuchOverhead):
        return BadRequest(
            "The chunks of the body hold too much besides its bytes.",
            path="body",
            limit=CHUNK_OVERHEAD_BYTES_FREE,
        )
    return BadRequest("The body's framing is broken.", path="body")


def _within(body: bytes, bytes_max: int) -> bytes:
    if len(body) > bytes_max:
        raise PayloadTooLarge(f"The body is longer than {bytes_max} bytes.", path="body", limit=bytes_max)
    return body


async def _read_in_time(request: web.Request, bytes_max: int, seconds: float) -> bytes:
    scope = asyncio.timeout(min(seconds, request[DEADLINE].remaining_s()))
    try:
        async with scope:
            await invite(request)
            return await _read(request, bytes_max)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise RequestBodyTimeout(path="body") from error


async def invite(request: web.Request) -> None:
    """Say "100 Continue" to whoever waits for it with the body."""
    if EXPECTS_CONTINUE in request and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The answer itself has not begun.
        request.writer.output_size = 0
        await request.writer.drain()


async def _read(request: web.Request, bytes_max: int) -> bytes:
    body = bytearray()
    while chunk := await request.content.readany():
        hold_body(request, len(chunk))
        body += chunk
        if len(body) > bytes_max:
            break
    return bytes(body)
