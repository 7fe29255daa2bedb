"""How a handler says yes (shell): JSON bytes with a status."""

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}


class JsonAnswer(web.Response):
    """
    JSON that was encoded already: head and body are known when it begins.

    `web.Response` looks for what this never has: cookies, compression, chunks, another kind of body, a signal, in ten
    coroutines where four do: 5 % of the instructions of a POST. Where there is no body (`HEAD`), and in HTTP/1.0, it is asked all the same.
    """

    _sent_to: AbstractStreamWriter | None = None
    _stays_open: bool | None = None

    def __init__(self, body: bytes, *, status: int = 200) -> None:
        super().__init__(body=body, status=status, headers=_JSON)

    @property
    def prepared(self) -> bool:
        return self._sent_to is not None or super().prepared

    @property
    def keep_alive(self) -> bool | None:
        own = super().keep_alive
        return self._stays_open if own is None else own

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """As `web.Response.prepare`; called by aiohttp."""
        if self.prepared or request.version != HttpVersion11 or request.method == hdrs.METH_HEAD:
            return await super().prepare(request)
        self._stays_open = request.keep_alive
        headers = self.headers
        headers[hdrs.CONTENT_LENGTH] = str(len(cast("bytes", self.body)))
        headers[hdrs.DATE] = _date(int(time.time()))
        if not self.keep_alive:
            headers[hdrs.CONNECTION] = "close"
        self._sent_to = writer = request.writer
        await writer.write_headers(f"HTTP/1.1 {self.status} {self.reason}", headers)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """As `web.Response.write_eof`; called by aiohttp."""
        if self._sent_to is None:
            await super().write_eof(data)
        else:
            await self._sent_to.write_eof(cast("bytes", self.body))


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def answer(body: bytes, *, status: int = 200) -> JsonAnswer:
    """JSON that was encoded already."""
    return JsonAnswer(body, status=status)


def created(body: bytes, *, location: str | None = None) -> JsonAnswer:
    """201, and where the new thing is."""
    response = JsonAnswer(body, status=201)
    if location is not None:
        response.headers[hdrs.LOCATION] = location
    return response


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)
