"""The column `access` of the table of routes, held against each of them: who is let in, and what all others are told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aiohttp.test_utils import make_mocked_request

from bridge.errors import Unauthorized
from bridge.policy.access import Principal, Scope
from bridge.web.handlers.access import Access, Resource, Route, check_of
from bridge.web.handlers.routes import ROUTES
from tests.support.callers import STREAM, TOPIC, CalledBridge, asked, called_bridge, somebody
from tests.support.described import DOCUMENT
from tests.support.exchanges import exchange_of

#: Where a permission holds: for the stream of the examples and all beside it, for another topic of it, elsewhere.
HERE, BESIDE, ELSEWHERE = "shop*/*", f"{STREAM}/other", "elsewhere/*"
OF_TOPICS: Final = tuple(scope for scope in Scope if scope is not Scope.METRICS)
#: What nobody should get wrong by a slip in the table.
BY_SCOPE: Final = {
    Scope.PRODUCE: {"publish", "publishToTopic", "publishBatch", "publishBatchToTopic"},
    Scope.CONSUME: {
        "poll", "pollTopic", "stream", "streamTopic",
        "listOffsets", "putOffsets", "deleteOffsets", "getOffset", "putOffset", "deleteOffset",
        "listGroups", "getGroup", "seekGroup", "receive", "ack", "nack", "extend",
    },
    Scope.ADMIN: {
        "createStream", "deleteStream", "createTopic", "updateTopic", "deleteTopic", "purgeTopic",
        "addPartitions", "deleteGroup",
    },
    Scope.METRICS: {"stats", "metrics"},
    None: {
        "health",
        "ready",
        "openapi",
        "docs",
        "issueTicket",
        "socket",
        "listStreams",
        "getStream",
        "listTopics",
        "getTopic",
    },
}  # fmt: skip
#: Not of the answer to what is not there.
OF_ANY_ANSWER: Final = {"Date"}
each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation.id)


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[CalledBridge]:
    async with called_bridge(tmp_path) as called:
        yield called


def refused_with(access: Access, scope: Scope, place: str) -> int | None:
    """The status for a caller who has *scope* at *place* and nothing else; None where the request goes on."""
    holds = scope is access.scope or access.scope is None
    of_stream = scope is not Scope.METRICS and place != ELSEWHERE
    match access.target:
        case Resource.NOTHING | Resource.LISTED | Resource.SOCKET:
            return None
        case Resource.BRIDGE:
            return None if holds else 403
        case Resource.STREAM if access.scope is None:
            return None if of_stream else 404
        case Resource.STREAM | Resource.NEW_TOPIC if not of_stream:
            return 404
        case Resource.TOPIC if not of_stream or place != HERE:
            return 404
        case _:
            return None if holds and place == HERE else 403


def callers() -> list[tuple[Scope, str, Principal]]:
    of_topics = [
        (scope, place, somebody(f"{scope}:{place}"))
        for scope in OF_TOPICS
        for place in (HERE, BESIDE, ELSEWHERE)
    ]
    return [*of_topics, (Scope.METRICS, "", somebody("metrics"))]


@each_route
async def test_a_route_lets_in_whom_the_table_says_and_tells_others_what_it_says(
    bridge: CalledBridge, route: Route
) -> None:
    request = asked(route)
    allowed = [each for each in callers() if refused_with(route.access, *each[:2]) is None]
    for scope, place, bridge.caller in [each for each in callers() if each not in allowed]:
        answer = await bridge.call(request)
        assert answer.status == refused_with(route.access, scope, place), (scope, place, answer)
        if answer.status == 403:
            assert (answer.json["error"], answer.json["scope"]) == ("insufficient_scope", route.access.scope)
            challenge = f'Bearer error="insufficient_scope", scope="{route.access.scope}"'
            assert answer.headers["WWW-Authenticate"] == challenge
    bridge.caller = None
    status = await bridge.status(request)
    assert status not in (401, 403, 404), status
    for _, _, bridge.caller in allowed:
        await bridge.make_anew()
        assert await bridge.status(request) == status


@each_route
async def test_whoever_has_nothing_gets_nothing(bridge: CalledBridge, route: Route) -> None:
    bridge.caller = somebody()
    if route.access.target in (Resource.NOTHING, Resource.SOCKET):
        return
    answer = await bridge.call(asked(route))
    if route.access.target is Resource.LISTED:
        assert answer.json == []
    else:
        assert answer.status in (403, 404)


@each_route
async def test_what_a_caller_may_not_see_is_told_as_what_is_not_there(
    bridge: CalledBridge, route: Route
) -> None:
    if "{stream}" not in route.path or route.access.target is Resource.NEW_TOPIC:
        return

    async def told(caller: Principal | None, **places: str) -> tuple[int, bytes, dict[str, str]]:
        bridge.caller = caller
        answer = await bridge.call(asked(route, **places), **{"X-Request-Id": "r"})
        headers = {name: value for name, value in answer.headers.items() if name not in OF_ANY_ANSWER}
        return answer.status, answer.body, headers

    # The token of the example is none, which is found out before anybody looks for the topic.
    compared = route.operation.id not in ("ack", "nack", "extend")
    strangers = [somebody("admin:elsewhere/*", "metrics"), somebody()]
    places = [{"stream": STREAM}, {"stream": "missing"}]
    if route.access.target is Resource.TOPIC:
        beside = [somebody(f"consume:{STREAM}/other"), somebody(f"produce:{STREAM}/x*", "admin:elsewhere/*")]
        told_to_them = [await told(each, topic=topic) for each in beside for topic in (TOPIC, "missing")]
        assert {status for status, _, _ in told_to_them} == {404}
        assert all(each == told_to_them[0] for each in told_to_them)
        assert not compared or told_to_them[0] == await told(None, topic="missing")
    told_to_them = [await told(each, **place) for each in strangers for place in places]
    assert {status for status, _, _ in told_to_them} == {404}
    assert all(each == told_to_them[0] for each in told_to_them)
    assert not compared or told_to_them[0] == await told(None, stream="missing")


@each_route
def test_where_nobody_has_found_out_who_calls_nothing_is_done(route: Route) -> None:
    check = check_of(route)
    if route.access.target is Resource.NOTHING:
        return
    assert check is not None
    request = make_mocked_request(route.method, route.path)
    with pytest.raises(Unauthorized):
        check(request, exchange_of(request, route.path, {}))


@each_route
async def test_a_query_parameter_that_its_document_does_not_name_is_refused_but_by_probes_and_figures(
    bridge: CalledBridge, route: Route
) -> None:
    bridge.caller = None
    request = asked(route)
    unknown = await bridge.call(request._replace(path=f"{request.path}?unheard=1"))
    if route.operation.id in {"health", "ready", "stats", "metrics"}:
        assert unknown.status == 200
    else:
        assert (unknown.status, unknown.json["error"]) == (400, "bad_request")


def test_each_operation_stands_under_the_scope_that_it_needs() -> None:
    found = {
        scope: {route.operation.id for route in ROUTES if route.access.scope is scope} for scope in BY_SCOPE
    }
    assert found == BY_SCOPE


@each_route
def test_the_document_names_the_scope_beside_each_scheme_and_in_words(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    scopes = [] if route.access.scope is None else [route.access.scope]
    assert route.access.needs in operation["description"]
    assert all(f"`{scope}`" in route.access.needs for scope in scopes)
    if route.operation.needs_key:
        security = operation.get("security", DOCUMENT["security"])
        assert [list(each) for each in security] == [
            [each] for each in DOCUMENT["components"]["securitySchemes"]
        ]
        assert all(each == scopes for requirement in security for each in requirement.values())
    else:
        assert operation["security"] == []
        assert not scopes


async def test_rights_that_change_between_two_requests_hold_for_the_second(bridge: CalledBridge) -> None:
    (send,) = (route for route in ROUTES if route.operation.id == "publishToTopic")
    told = []
    for permission in ("produce", "consume", "produce:elsewhere/*", f"produce:{STREAM}/{TOPIC}"):
        bridge.caller = somebody(permission)
        told.append(await bridge.status(asked(send)))
    assert told == [201, 403, 404, 201]
    bridge.caller = somebody("produce")
    waiting = [asyncio.create_task(bridge.status(asked(send))) for _ in range(20)]
    await asyncio.gather(*waiting[:1])
    bridge.caller = somebody("consume")
    assert set(await asyncio.gather(*waiting)) <= {201, 403}
    assert await bridge.status(asked(send)) == 403
