"""Claims about steps that only look at a request on its way in."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.typedefs import Handler

from bridge.web.gates import Check, Gate, Step, as_middlewares

ANSWER = web.Response()
REQUEST = make_mocked_request("GET", "/")


def told(seen: list[str], name: str, answer: web.Response | None = None) -> Check:
    def check(_: web.Request) -> web.Response | None:
        seen.append(name)
        return answer

    return check


def around(seen: list[str], name: str) -> Step:
    @web.middleware
    async def step(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append(name)
        return await handler(request)

    return step


async def through(steps: list[Step], seen: list[str]) -> web.StreamResponse:
    async def last(_: web.Request) -> web.StreamResponse:
        seen.append("handler")
        return ANSWER

    handler: Any = last
    for step in reversed(as_middlewares(steps)):
        handler = _bound(cast("Any", step), handler)
    result: web.StreamResponse = await handler(REQUEST)
    return result


def _bound(step: Any, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return lambda request: cast("Awaitable[web.StreamResponse]", step(request, handler))


async def test_gates_and_others_are_passed_in_their_order() -> None:
    seen: list[str] = []
    steps = [
        Gate(told(seen, "a")),
        Gate(told(seen, "b")),
        around(seen, "c"),
        Gate(told(seen, "d")),
        around(seen, "e"),
        around(seen, "f"),
        Gate(told(seen, "g")),
    ]
    assert await through(steps, seen) is ANSWER
    assert seen == ["a", "b", "c", "d", "e", "f", "g", "handler"]


async def test_neighbouring_gates_share_one_middleware() -> None:
    seen: list[str] = []
    assert len(as_middlewares([Gate(told(seen, "a")), Gate(told(seen, "b")), around(seen, "c")])) == 2


async def test_a_gate_that_answers_lets_nobody_pass() -> None:
    seen: list[str] = []
    refusal = web.Response(status=204)
    assert await through([Gate(told(seen, "a", refusal)), Gate(told(seen, "b"))], seen) is refusal
    assert seen == ["a"]


async def test_what_a_gate_raises_reaches_the_step_around_it() -> None:
    caught: list[BaseException] = []

    @web.middleware
    async def catching(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ZeroDivisionError as error:
            caught.append(error)
            return ANSWER

    def failing(_: web.Request) -> None:
        raise ZeroDivisionError

    assert await through([catching, Gate(failing)], []) is ANSWER
    assert len(caught) == 1
    with pytest.raises(ZeroDivisionError):
        await through([Gate(failing)], [])
