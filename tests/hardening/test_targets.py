"""Request lines that name odd things (shared trust, B15, B21-B22, B40, B43-B47)."""

import pytest

from tests.support.door import Door
from tests.support.raw_http import RawConnection, ask, request_bytes


async def test_b15_a_request_for_another_host_is_misdirected(door: Door) -> None:
    answer = await ask(door.port, request_bytes("GET", "http://evil.example/things/a"))
    assert (answer.status, answer.problem()["error"]) == (421, "misdirected_request")
    assert b"evil" not in answer.body
    assert door.seen == []


async def test_a_request_in_absolute_form_for_this_host_is_served(door: Door) -> None:
    assert (await ask(door.port, request_bytes("GET", "http://localhost/things/a"))).status == 200


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0", ""])
async def test_b21_b22_other_versions_are_not_spoken_and_not_repeated(door: Door, version: str) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(f"GET /things/a {version}".rstrip().encode() + b"\r\nHost: localhost\r\n\r\n")
    answer = await connection.answer()
    assert answer.status in {400, 505}
    assert answer.status == 505 or version not in {"HTTP/2.0", "HTTP/0.9"}
    assert await connection.ended()
    assert door.seen == []


async def test_b21_the_status_line_names_a_version_that_is_spoken(door: Door) -> None:
    connection = await RawConnection.open(door.port)
    await connection.send(b"GET /things/a HTTP/2.0\r\nHost: localhost\r\n\r\n")
    assert (await connection.line()).startswith(b"HTTP/1.1 505 ")
    connection.close()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_b40_trace_and_connect_are_never_allowed(door: Door, method: str) -> None:
    target = "x:80" if method == "CONNECT" else "/things/a"
    answer = await ask(door.port, request_bytes(method, target))
    assert answer.status == 405
    assert "GET" in (answer.header("Allow") or "")
    assert method not in (answer.header("Allow") or "")
    assert door.seen == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE", "PROPFIND"])
async def test_a_method_without_a_route_is_told_which_there_are(door: Door, method: str) -> None:
    answer = await ask(door.port, request_bytes(method, "/things/a"))
    assert (answer.status, answer.problem()["error"]) == (405, "method_not_allowed")
    assert sorted((answer.header("Allow") or "").split(",")) == ["GET", "HEAD", "POST"]


async def test_head_is_answered_as_get_without_the_body(door: Door) -> None:
    answer = await ask(door.port, request_bytes("HEAD", "/things/a"))
    assert (answer.status, answer.header("Content-Length")) == (200, "12")


@pytest.mark.parametrize(
    "path",
    [
        "/things/%00",
        "/things/a%0d%0aX-Evil:%201",
        "/things/%2e%2e%2fhealth",
        "/things/%2e%2e",
        "/things/..",
        "/things/../health",
        "/things/a%2Fb",
        "/things/a%5cb",
        "/things/%ff",
        "/things/%",
    ],
)
async def test_b43_b46_paths_that_others_may_read_differently_are_refused(door: Door, path: str) -> None:
    answer = await ask(door.port, request_bytes("GET", path))
    assert (answer.status, answer.problem()["error"]) == (400, "bad_request")
    assert path.encode() not in answer.body
    assert door.seen == []


async def test_b47_a_name_reaches_its_handler_as_it_was_sent(door: Door) -> None:
    # The rule for names is the handlers' (`policy.names`); the door hands over whatever is one plain segment.
    name = "a" * 300
    assert (await ask(door.port, request_bytes("GET", f"/things/{name}"))).status == 200
    assert door.seen == [({"name": name}, b"")]


async def test_an_unknown_path_is_a_problem_that_does_not_repeat_it(door: Door) -> None:
    answer = await ask(door.port, request_bytes("GET", "/<script>alert(1)</script>"))
    assert (answer.status, answer.problem()["error"]) == (404, "not_found")
    assert b"script" not in answer.body
