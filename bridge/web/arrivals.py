"""What is settled about a request before the application sees it (shell): its HTTP version and its `Expect` header."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy

__all__ = ("EXPECTS_CONTINUE", "UNSPOKEN_VERSION", "RequestFactory", "settled")

RequestFactory: TypeAlias = Callable[..., web.BaseRequest]

#: The caller waits for "100 Continue" before it sends the body.
EXPECTS_CONTINUE = web.RequestKey("expects_continue", bool)
#: The request line named a version that is not spoken here.
UNSPOKEN_VERSION = web.RequestKey("unspoken_version", bool)

_SPOKEN: Final = frozenset({HttpVersion10, HttpVersion11})


def settled(make_request: RequestFactory) -> RequestFactory:
    """
    *make_request*, with two things of aiohttp put right.

    aiohttp says "100 Continue" before any middleware runs and so invites bodies that are then refused; here the
    header is taken off and `read_body` says it. And aiohttp repeats the caller's HTTP version in its status line; a
    version nobody speaks becomes 1.1, and the middleware refuses the request.
    """

    def make_settled_request(message: Any, *others: Any) -> web.BaseRequest:
        unspoken = message.version not in _SPOKEN
        expectation = message.headers.get(hdrs.EXPECT)
        if not unspoken and expectation is None:
            return make_request(message, *others)
        if unspoken:
            message = message._replace(version=HttpVersion11, should_close=True)
        if expectation is not None:
            headers = CIMultiDict(message.headers)
            headers.popall(hdrs.EXPECT)
            message = message._replace(headers=CIMultiDictProxy(headers))
        request = make_request(message, *others)
        if unspoken:
            request[UNSPOKEN_VERSION] = True
        if expectation is not None and expectation.lower() == "100-continue":
            request[EXPECTS_CONTINUE] = True
        return request

    return make_settled_request
