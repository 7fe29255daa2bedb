"""What the bridge says of its own routes (shell)."""

import asyncio
from functools import cache

import orjson
from aiohttp import hdrs, web

from bridge.web.handlers.answers import answer
from bridge.web.openapi.document import document
from bridge.web.openapi.page import Page, reference_page
from bridge.web.wire.queries import refuse_query


async def openapi(request: web.Request) -> web.Response:
    """`GET /openapi.json`: OpenAPI 3.1 of every route."""
    refuse_query(request.query.items())
    # To make it takes a tenth of a second, once.
    return answer(await asyncio.to_thread(document_json))


async def docs(request: web.Request) -> web.Response:
    """`GET /docs`: the same as a page."""
    refuse_query(request.query.items())
    page = await asyncio.to_thread(_page)
    headers = {
        hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
        "Content-Security-Policy": page.policy,
        # The key may stand in the address.
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=page.html, headers=headers)


def _page() -> Page:
    return reference_page(document_json())


@cache
def document_json() -> bytes:
    """The document, made once, when it is first asked for."""
    # Late: the table names the handler above.
    from bridge.web.handlers.routes import ROUTES  # noqa: PLC0415

    return orjson.dumps(document(ROUTES))
