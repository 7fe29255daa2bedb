"""Which handler a request is for (pure over the table of routes)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from aiohttp import web

#: Answers a request, with what its path names by the names of its route's template.
RoutedHandler: TypeAlias = Callable[[web.Request, Mapping[str, str]], Awaitable[web.StreamResponse]]

NOTHING_NAMED: Final[Mapping[str, str]] = {}


class _Place:
    """Where a path has come to.

    Attributes:
        parts: what may follow, as it is spelled.
        named: what follows as anything else, and under which name that is told.
        handlers: by method, of a path that ends here.
    """

    __slots__ = ("handlers", "named", "parts")

    def __init__(self) -> None:
        self.parts: dict[str, _Place] = {}
        self.named: tuple[str, _Place] | None = None
        self.handlers: dict[str, RoutedHandler] = {}

    def further(self, part: str) -> "_Place":
        """The place behind *part* of a template, made if there is none yet."""
        if not part.startswith("{"):
            return self.parts.setdefault(part, _Place())
        name = part.strip("{}")
        self.named = self.named or (name, _Place())
        if self.named[0] != name:
            raise ValueError(f"two names, {self.named[0]} and {name}, for one part of a path")
        return self.named[1]


class Router:
    """Finds handlers part by part of the path, so that it takes no longer with more routes.

    aiohttp's own asks one resource after the other, each in a coroutine, and its application is another around the handler:
    that took 12,000 instructions more of a POST.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root = _Place()

    def add(self, method: str, path: str, handler: RoutedHandler) -> None:
        """Args:
            method: `HEAD` goes to the handler of `GET`.
            path: a template as `/streams/{stream}`; where a part may be spelled or be named, it is what it is spelled.

        Raises:
            ValueError: if there is such a route, or the same part of a path has another name.
        """
        place = self._root
        for part in path.split("/"):
            place = place.further(part)
        for each in (method, "HEAD") if method == "GET" else (method,):
            if each in place.handlers:
                raise ValueError(f"two handlers for {each} {path}")
            place.handlers[each] = handler

    def find(self, method: str, path: str) -> tuple[RoutedHandler, Mapping[str, str]]:
        """The handler, and what the path names, which has one character at least, and no brace.

        Args:
            path: decoded but for "/" and "%", which divide nothing where they are encoded.

        Raises:
            HTTPNotFound: if there is no such path.
            HTTPMethodNotAllowed: if it takes other methods.
        """
        place, names = self._root, NOTHING_NAMED
        for part in path.split("/"):
            spelled = place.parts.get(part)
            if spelled is not None:
                place = spelled
                continue
            if place.named is None or not part or "{" in part or "}" in part:
                raise web.HTTPNotFound
            name, place = place.named
            if "%" in part:
                part = part.replace("%2F", "/").replace("%25", "%")  # noqa: PLW2901 (the same part, decoded)
            names = {**names, name: part}
        handler = place.handlers.get(method)
        if handler is None:
            if place.handlers:
                raise web.HTTPMethodNotAllowed(method, place.handlers)
            raise web.HTTPNotFound
        return handler, names


ROUTER = web.AppKey("router", Router)
