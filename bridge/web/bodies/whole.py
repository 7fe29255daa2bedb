"""Reading a request's whole body within its bounds (shell over `policy.body_kinds` and `codings`)."""

import asyncio
from collections.abc import Awaitable
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from bridge.errors import BadRequest, Outcome, PayloadTooLarge, RequestBodyTimeout, UnsupportedMediaType
from bridge.events import Steps
from bridge.limits import (
    BODY_BYTES_PER_S_MIN,
    BODY_TIMEOUT_BASE_S,
    BODY_TIMEOUT_MAX_S,
    CHUNK_OVERHEAD_BYTES_FREE,
)
from bridge.policy.body_kinds import Coding, coding_of, is_json, is_plain_encoding
from bridge.web.bodies.codings import inflater_of
from bridge.web.keys import EXCHANGE, Exchange
from bridge.web.server.framing import TooMuchOverhead
from bridge.web.server.grants import hold_body, take_place
from bridge.web.server.requests import EXPECTS_CONTINUE
from bridge.web.server.turns import in_turns
from bridge.web.wire.envelopes import decode_envelope


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


_NOTHING: Final = msgspec.json.Decoder(_Nothing)


def body_timeout_s(length: int | None) -> float:
    """How long a body of *length* bytes may take; of one whose length is not told, as long as any."""
    if length is None:
        return BODY_TIMEOUT_MAX_S
    return min(BODY_TIMEOUT_MAX_S, BODY_TIMEOUT_BASE_S + length / BODY_BYTES_PER_S_MIN)


async def read_body(request: web.Request) -> bytes:
    """The whole body, at most `MAX_REQUEST_BODY_SIZE` bytes; to be called once.

    Everything that the headers tell is checked before the caller is invited to send ("100 Continue").

    Raises:
        UnsupportedMediaType: if it is not `application/json` in UTF-8, or is compressed.
        PayloadTooLarge: if it is too long, as soon as that is known.
        RequestBodyTimeout: if it comes too slowly, or not before the request's deadline.
        BadRequest: if its framing is broken.
        Overloaded: if there is no room for it.
    """
    check_json_type(request)
    if not is_plain_encoding(request.headers.get(hdrs.CONTENT_ENCODING)):
        raise UnsupportedMediaType("The body must not be compressed.", path="Content-Encoding")
    return await _read_whole(request)


def check_json_type(request: web.Request) -> None:
    """The body is JSON.

    Raises:
        UnsupportedMediaType: if it is not `application/json` in UTF-8.
    """
    if not is_json(request.headers.get(hdrs.CONTENT_TYPE, "")):
        raise UnsupportedMediaType("The body must be application/json in UTF-8.", path="Content-Type")


async def read_optional_body(request: web.Request) -> bytes:
    """The whole body, `b""` if there is none; to be called once.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`.
    """
    if request.body_exists and hdrs.CONTENT_TYPE in request.headers:
        return await read_body(request)
    body = await _read_whole(request)
    if body:
        check_json_type(request)
    return body


async def refuse_body(request: web.Request) -> None:
    """For routes that take nothing: an empty body, or an empty object for clients that always send one.

    Raises:
        SerializationError: if there is anything in it.
        UnsupportedMediaType, PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`.
    """
    body = await read_optional_body(request)
    if body:
        decode_envelope(body, _NOTHING)


def check_coding(request: web.Request) -> Coding:
    """The coding of the body.

    Raises:
        UnsupportedMediaType: if it is not gzip, zstd or none, or more than one.
    """
    coding = coding_of(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
    if coding is None:
        raise UnsupportedMediaType(
            "The body may be compressed with gzip or zstd, once.", path="Content-Encoding"
        )
    return coding


def read_any(request: web.Request, exchange: Exchange) -> Awaitable[bytes]:
    """The whole body, whatever its type, at most `MAX_REQUEST_BODY_SIZE` bytes before and after decompression.

    Raises:
        UnsupportedMediaType: if its coding is not undone here.
        PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`, and as `codings.Inflater`.
        DeadlineExceeded: if the request's time is up before all of it is decompressed.
    """
    return _read_coded(request) if hdrs.CONTENT_ENCODING in exchange.headers else _read_whole(request)


async def _read_coded(request: web.Request) -> bytes:
    coding = check_coding(request)
    body = await _read_whole(request)
    if coding is Coding.IDENTITY:
        return body
    body = await in_turns(
        _inflated(body, coding, request.client_max_size),
        deadline=request[EXCHANGE].deadline,
        outcome=Outcome.NOT_WRITTEN,
    )
    hold_body(request, len(body))
    return body


def _inflated(compressed: bytes, coding: Coding, bytes_max: int) -> Steps[bytes]:
    inflater = inflater_of(coding)
    body = bytearray()
    for piece in inflater.feed(compressed):
        body += piece
        if len(body) > bytes_max:
            raise PayloadTooLarge(
                f"The body is longer than {bytes_max} bytes once decompressed.", path="body", limit=bytes_max
            )
        yield
    inflater.end()
    return bytes(body)


async def _read_whole(request: web.Request) -> bytes:
    """A body of any type and coding, as it came; its headers are for the caller to check.

    Raises:
        PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`.
    """
    bytes_max, content = request.client_max_size, request.content
    try:
        if content.is_eof():
            # Short bodies come with the head: no timer is needed for what is here already.
            body = content.read_nowait()
            if not body and request.content_length:
                raise RuntimeError("the body was read already")
        else:
            length = request.content_length
            if length is not None and length > bytes_max:
                raise _too_long(bytes_max)
            body = await _read_in_time(request, bytes_max, body_timeout_s(length))
            await take_place(request)
    except web.RequestPayloadError as error:
        raise broken_framing(request, error) from error
    if len(body) > bytes_max:
        raise _too_long(bytes_max)
    return body


def _too_long(bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is longer than {bytes_max} bytes.", path="body", limit=bytes_max)


def broken_framing(request: web.Request, error: web.RequestPayloadError) -> BadRequest:
    """What is said of a body that breaks off; it ends the connection."""
    # Where this body ends, and so where the next request begins, is anybody's guess.
    request[EXCHANGE].closes = True
    if isinstance(error, TooMuchOverhead):
        return BadRequest(
            "The chunks of the body hold too much besides its bytes.",
            path="body",
            limit=CHUNK_OVERHEAD_BYTES_FREE,
        )
    return BadRequest("The body's framing is broken.", path="body")


async def _read_in_time(request: web.Request, bytes_max: int, seconds: float) -> bytes:
    scope = asyncio.timeout(min(seconds, request[EXCHANGE].deadline.remaining_s()))
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
    # Joined once: a body that grows is moved again and again, four times as many bytes as it has.
    chunks: list[bytes] = []
    left = bytes_max
    while left >= 0 and (chunk := await request.content.readany()):
        hold_body(request, len(chunk))
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)
