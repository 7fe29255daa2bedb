"""What the bridge says of its own routes (shell)."""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Final, NamedTuple

import orjson
from aiohttp import hdrs, web

from bridge.web.openapi.document import document
from bridge.web.openapi.page import reference_page
from bridge.web.server.answer_headers import keep_checked, vary_by
from bridge.web.wire.accept import takes_gzip

_LEVEL: Final = 9
#: In place of an ETag: whichever it is.
_ANY: Final = "*"


class _Form(NamedTuple):
    """A document as it is sent.

    Attributes:
        etag: of these bytes, a strong one.
    """

    body: bytes
    etag: str
    headers: Mapping[str, str]


class _Document(NamedTuple):
    """Both forms of what never changes while the process runs."""

    plain: _Form
    packed: _Form
    #: Beside the body alone, and whether there is one or not.
    content_type: str
    headers: Mapping[str, str]


async def openapi(request: web.Request) -> web.StreamResponse:
    """`GET /openapi.json`: OpenAPI 3.1 of every route."""
    # To make it takes a tenth of a second, once.
    return _answer(request, await asyncio.to_thread(_openapi))


async def docs(request: web.Request) -> web.StreamResponse:
    """`GET /docs`: the same as a page."""
    return _answer(request, await asyncio.to_thread(_page))


def _answer(request: web.Request, document: _Document) -> web.StreamResponse:
    """*document*, packed for those who take it so; 304 to those who have it (RFC 9110, section 13.1.2)."""
    vary_by(request, hdrs.ACCEPT_ENCODING)
    keep_checked(request)
    form = document.packed if takes_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, ())) else document.plain
    if any(each.value in {form.etag, _ANY} for each in request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=document.headers)
    else:
        headers = {**document.headers, **form.headers, hdrs.CONTENT_TYPE: document.content_type}
        response = web.Response(body=form.body, headers=headers)
    response.etag = form.etag
    return response


def _document(body: bytes, content_type: str, headers: Mapping[str, str]) -> _Document:
    # Without a time in it, so that every replica sends the same bytes.
    packed = gzip.compress(body, _LEVEL, mtime=0)
    return _Document(
        _Form(body, _etag(body), {}),
        _Form(packed, _etag(packed), {hdrs.CONTENT_ENCODING: "gzip"}),
        content_type,
        headers,
    )


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


@cache
def _openapi() -> _Document:
    return _document(document_json(), "application/json", {})


@cache
def _page() -> _Document:
    page = reference_page(document_json())
    headers = {
        "Content-Security-Policy": page.policy,
        # The key may stand in the address.
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return _document(page.html, "text/html; charset=utf-8", headers)


@cache
def document_json() -> bytes:
    """The document, made once, when it is first asked for."""
    # Late: the table names the handler above.
    from bridge.web.handlers.routes import ROUTES  # noqa: PLC0415

    return orjson.dumps(document(ROUTES))
