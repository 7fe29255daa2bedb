"""Claims about the rules that a request passes on its way in and its answer on its way out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bridge.web.keys import Exchange
from bridge.web.middleware.gates import Answered, Check, Failed, Gate, behind
from tests.support.exchanges import exchange_of

ANSWER = web.Response()
OTHER = web.Response(status=204)


def a_request() -> web.Request:
    return make_mocked_request("POST", "/")


class Journey:
    """Gates that tell what they see."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check(self, name: str, answer: web.Response | None = None, error: Exception | None = None) -> Check:
        def check(_: web.Request, __: Exchange) -> web.Response | None:
            self.seen.append(name)
            if error is not None:
                raise error
            return answer

        return check

    def answered(self, name: str) -> Answered:
        def answered(_: web.Request, __: Exchange, answer: web.StreamResponse) -> None:
            self.seen.append(f"{name} {answer.status}")

        return answered

    def failed(self, name: str, answer: web.Response | None = None, error: Exception | None = None) -> Failed:
        def failed(_: web.Request, __: Exchange, raised: BaseException) -> web.Response | None:
            self.seen.append(f"{name} {type(raised).__name__}")
            if error is not None:
                raise error
            return answer

        return failed

    def gate(self, name: str) -> Gate:
        return Gate(self.check(name), self.answered(name), self.failed(name))

    async def handle(self, _: web.Request) -> web.StreamResponse:
        self.seen.append("handler")
        return ANSWER

    async def fail(self, _: web.Request) -> web.StreamResponse:
        self.seen.append("handler")
        raise ZeroDivisionError

    async def through(
        self,
        gates: Sequence[Gate],
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None,
        request: web.Request | None = None,
    ) -> web.StreamResponse:
        return await behind(gates, exchange_of)(handler or self.handle)(request or a_request(), {})


@pytest.fixture
def journey() -> Journey:
    return Journey()


async def test_gates_are_passed_in_their_order_and_left_in_reverse(journey: Journey) -> None:
    gates = [
        journey.gate("a"),
        Gate(journey.check("b")),
        Gate(None, journey.answered("c")),
        journey.gate("d"),
    ]
    assert await journey.through(gates) is ANSWER
    assert journey.seen == ["a", "b", "d", "handler", "d 200", "c 200", "a 200"]


async def test_a_gate_that_answers_lets_nobody_pass_and_those_in_front_of_it_see_its_answer(
    journey: Journey,
) -> None:
    gates = [journey.gate("a"), Gate(journey.check("b", OTHER), journey.answered("b")), journey.gate("c")]
    assert await journey.through(gates) is OTHER
    assert journey.seen == ["a", "b", "a 204"]


async def test_what_a_gate_raises_is_told_to_those_in_front_of_it_only(journey: Journey) -> None:
    failing = Gate(journey.check("c", error=ZeroDivisionError()), journey.answered("c"), journey.failed("c"))
    gates = [journey.gate("a"), Gate(None, failed=journey.failed("b")), failing, journey.gate("d")]
    with pytest.raises(ZeroDivisionError):
        await journey.through(gates)
    assert journey.seen == ["a", "c", "b ZeroDivisionError", "a ZeroDivisionError"]


async def test_an_error_becomes_an_answer_where_a_gate_has_one(journey: Journey) -> None:
    gates = [journey.gate("a"), Gate(None, failed=journey.failed("b", OTHER)), journey.gate("c")]
    assert await journey.through(gates, journey.fail) is OTHER
    assert journey.seen == ["a", "c", "handler", "c ZeroDivisionError", "b ZeroDivisionError", "a 204"]


async def test_an_error_may_become_another_error(journey: Journey) -> None:
    gates = [journey.gate("a"), Gate(None, failed=journey.failed("b", error=KeyError()))]
    with pytest.raises(KeyError):
        await journey.through(gates, journey.fail)
    assert journey.seen == ["a", "handler", "b ZeroDivisionError", "a KeyError"]


async def test_a_cancelled_request_is_told_to_every_gate_and_stays_cancelled(journey: Journey) -> None:
    begun = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.Event().wait()
        return ANSWER

    task = asyncio.create_task(cast("Any", journey.through([journey.gate("a")], hang)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journey.seen == ["a", "a CancelledError"]


async def test_a_gate_that_fails_on_the_way_out_does_not_keep_the_others_from_hearing(
    journey: Journey,
) -> None:
    def broken(_: web.Request, __: Exchange, ___: web.StreamResponse) -> None:
        raise ZeroDivisionError

    gates = [journey.gate("a"), Gate(None, broken), journey.gate("c")]
    with pytest.raises(ZeroDivisionError):
        await journey.through(gates)
    assert journey.seen == ["a", "c", "handler", "c 200", "a ZeroDivisionError"]


@pytest.mark.parametrize("answers", [False, True])
async def test_a_check_that_has_to_ask_elsewhere_is_awaited_and_then_lets_pass_or_answers(
    journey: Journey, *, answers: bool
) -> None:
    async def ask() -> web.StreamResponse | None:
        return OTHER if answers else None

    gates = [Gate(journey.check("a")), Gate(lambda _, __: ask()), Gate(journey.check("c"))]
    assert await journey.through(gates) is (OTHER if answers else ANSWER)
    assert journey.seen == (["a"] if answers else ["a", "c", "handler"])
