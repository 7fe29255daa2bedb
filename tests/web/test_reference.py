"""What the bridge says of its own routes, over HTTP and on the command line."""

import json

import pytest

from tests.support.bridge_app import BridgeApp
from tests.support.bridge_process import run_bridge
from tests.support.described import DOCUMENT, check_described


async def test_the_document_is_served(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == DOCUMENT


async def test_a_query_is_refused(bridge: BridgeApp) -> None:
    assert (await bridge.call("GET", "/openapi.json?x=1")).status == 400


def test_the_command_prints_the_same_and_starts_nothing() -> None:
    printed = run_bridge("openapi", environ={"IGGY_CONNECTION_STRING": "no address at all"})
    assert (printed.returncode, printed.stderr) == (0, "")
    assert json.loads(printed.stdout) == DOCUMENT


HEADERS = {"X-Request-Id": "r", "Cache-Control": "no-store", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    "status, headers, body",
    [
        (418, HEADERS, b"{}"),
        (200, HEADERS | {"Content-Type": "text/html"}, b"{}"),
        (200, HEADERS | {"Cache-Control": "public"}, b"[]"),
        (200, {"Content-Type": "application/json"}, b"[]"),
        (200, HEADERS, b'[{"id":"one"}]'),
        (404, HEADERS | {"Content-Type": "application/problem+json"}, b'{"error":"rate_limited"}'),
    ],
)
def test_what_holds_answers_to_the_document_sees_what_is_not_in_it(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    check_described("GET", "/streams", 200, HEADERS, b"[]")
    with pytest.raises(AssertionError):
        check_described("GET", "/streams", status, headers, body)
