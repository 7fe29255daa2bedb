"""What is known of a request where no server made it."""

from collections.abc import Mapping
from typing import cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from bridge.web.keys import Exchange, Services
from bridge.web.rules import Rules

__all__ = ("exchange_of",)


def exchange_of(request: web.Request, route: str, names: Mapping[str, str]) -> Exchange:
    """As `identify` makes it, for what asks neither services nor rules nor the head as it was parsed."""
    return Exchange(
        cast("Services", None),
        cast("Rules", None),
        route,
        names,
        cast("RawRequestMessage", None),
        request.method,
        request.raw_path,
        request.headers,
        "an id",
        "127.0.0.1",
        None,
        "",
        "",
    )
