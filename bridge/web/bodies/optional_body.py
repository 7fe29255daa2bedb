"""Bodies that may be left out (shell)."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from bridge.errors import UnsupportedMediaType
from bridge.web.bodies.whole import read_body, read_whole
from bridge.web.wire.envelopes import decode_envelope

__all__ = ("read_optional_body", "refuse_body")


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


_NOTHING: Final = msgspec.json.Decoder(_Nothing)


async def read_optional_body(request: web.Request) -> bytes:
    """
    The whole body, `b""` if there is none; to be called once.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`.
    """
    if request.body_exists and hdrs.CONTENT_TYPE in request.headers:
        return await read_body(request)
    body = await read_whole(request)
    if body and hdrs.CONTENT_TYPE not in request.headers:
        raise UnsupportedMediaType("The body must be application/json in UTF-8.", path="Content-Type")
    return body


async def refuse_body(request: web.Request) -> None:
    """
    For routes that take nothing: an empty body, or an empty object for clients that always send one.

    Raises:
        SerializationError: if there is anything in it.
        UnsupportedMediaType, PayloadTooLarge, RequestBodyTimeout, BadRequest, Overloaded: as `read_body`.
    """
    body = await read_optional_body(request)
    if body:
        decode_envelope(body, _NOTHING)
