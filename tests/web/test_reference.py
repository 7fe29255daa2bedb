"""What the bridge says of its own routes, over HTTP and on the command line."""

import gzip
import json

import pytest

from tests.support import raw_http
from tests.support.bridge_app import BridgeApp
from tests.support.bridge_process import run_bridge
from tests.support.described import DOCUMENT, check_described


async def test_the_document_is_served(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == DOCUMENT


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_a_document_is_packed_for_those_who_take_it_so(bridge: BridgeApp, path: str) -> None:
    plain, packed = await asked(bridge, path, "identity"), await asked(bridge, path, "gzip, br")
    assert plain.header("Content-Encoding") is None
    assert packed.header("Content-Encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) * 3 < len(plain.body)
    assert plain.headers["vary"] == packed.headers["vary"] == ["Accept-Encoding"]
    assert plain.headers["cache-control"] == packed.headers["cache-control"] == ["private, no-cache"]
    head = await asked(bridge, path, "gzip", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == [str(len(packed.body))]
    assert head.header("ETag") == packed.header("ETag") != plain.header("ETag")


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_whoever_has_a_document_is_told_that_it_still_holds(bridge: BridgeApp, path: str) -> None:
    plain, packed = [
        (await asked(bridge, path, coding)).header("ETag") or "" for coding in ("identity", "gzip")
    ]
    for named in (plain, f"W/{plain}", f'"old", {plain}', "*"):
        answer = await asked(bridge, path, "identity", f"If-None-Match: {named}")
        assert (answer.status, answer.body, answer.header("ETag")) == (304, b"", plain)
        assert answer.header("Content-Type") is answer.header("Content-Encoding") is None
        assert answer.headers["vary"] == ["Accept-Encoding"]
        assert answer.headers["cache-control"] == ["private, no-cache"]
    for other in (packed, '"old"', plain.strip('"'), '"', ""):
        answer = await asked(bridge, path, "identity", f"If-None-Match: {other}")
        assert (answer.status, answer.header("ETag")) == (200, plain)


async def test_what_is_no_document_is_kept_by_nobody(bridge: BridgeApp) -> None:
    answer = await asked(bridge, "/docs?x=1", "gzip", "If-None-Match: *")
    assert answer.status == 400
    assert answer.headers["cache-control"] == ["no-store"]


async def asked(
    bridge: BridgeApp, path: str, coding: str, *lines: str, method: str = "GET"
) -> raw_http.Answer:
    request = raw_http.request_bytes(method, path, f"Accept-Encoding: {coding}", *lines)
    return await raw_http.ask(bridge.port, request)


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
