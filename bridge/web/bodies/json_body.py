"""Reading a whole body that may be compressed (shell over `decompression`)."""

from aiohttp import hdrs, web

from bridge.errors import Outcome, PayloadTooLarge, UnsupportedMediaType
from bridge.events import Steps
from bridge.policy.body_kinds import Coding, coding_of, is_json
from bridge.web.bodies.decompression import inflater_of
from bridge.web.bodies.whole import read_body, read_whole
from bridge.web.keys import DEADLINE
from bridge.web.server.tickets import hold_body
from bridge.web.server.turns import in_turns

__all__ = ("check_coding", "read_any", "read_json")


def check_coding(request: web.Request) -> Coding:
    """
    The coding of the body.

    Raises:
        UnsupportedMediaType: if it is not gzip, zstd or none, or more than one.
    """
    coding = coding_of(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
    if coding is None:
        raise UnsupportedMediaType(
            "The body may be compressed with gzip or zstd, once.", path="Content-Encoding"
        )
    return coding


async def read_json(request: web.Request) -> bytes:
    """
    The whole body of a request with events, at most `MAX_REQUEST_BODY_SIZE` bytes before and after decompression.

    Raises:
        UnsupportedMediaType: if it is not `application/json` in UTF-8, or its coding is not undone here.
        PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `body.read_body` and `decompression.Inflater`.
    """
    if hdrs.CONTENT_ENCODING not in request.headers:
        return await read_body(request)
    if not is_json(request.headers.get(hdrs.CONTENT_TYPE, "")):
        raise UnsupportedMediaType("The body must be application/json in UTF-8.", path="Content-Type")
    return await read_any(request)


async def read_any(request: web.Request) -> bytes:
    """
    The whole body, whatever its type.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_json`.
        DeadlineExceeded: if the request's time is up before all of it is decompressed.
    """
    coding = check_coding(request)
    body = await read_whole(request)
    if coding is Coding.IDENTITY:
        return body
    body = await in_turns(
        _inflated(body, coding, request.client_max_size),
        deadline=request[DEADLINE],
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
