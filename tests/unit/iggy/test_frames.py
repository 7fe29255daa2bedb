import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.iggy.address import IggyAddress
from bridge.iggy.faults import Operation, Verdict, explain
from bridge.iggy.frames import (
    HEAD_BYTES,
    FrameError,
    Identity,
    body_of,
    logged_in,
    login_request,
    reply_bytes,
    request_head,
    unregistered,
)
from bridge.limits import IGGY_REPLY_BYTES_MAX

ME = Identity(bytes(range(16)), 7)


def _reply(
    body: bytes = b"", *, command: int = 8, operation: int = 2, status: int = 0, reason: int = 0
) -> bytes:
    head = bytearray(HEAD_BYTES)
    struct.pack_into("<I", head, 48, HEAD_BYTES + len(body))
    head[60], head[208] = command, operation
    struct.pack_into("<I", head, 216, status)
    if command == 13:
        head[255] = reason
    return bytes(head) + body


@pytest.mark.parametrize(
    "code, operation, carried", [(101, 160, 0), (121, 161, 0), (122, 162, 0), (100, 2, 100)]
)
def test_a_request_says_who_asks_for_what(code: int, operation: int, carried: int) -> None:
    head = request_head(ME, code, 5)
    assert len(head) == HEAD_BYTES
    assert struct.unpack_from("<I", head, 48) == (HEAD_BYTES + 5,)
    assert head[60] == 5
    assert head[128:144] == ME.client
    assert struct.unpack_from("<QB7xQ4xI", head, 168) == (1, operation, 7, carried)


def test_a_request_leaves_zeros_everywhere_else() -> None:
    head = bytearray(request_head(ME, 100, 0))
    for start, end in ((48, 52), (60, 61), (128, 144), (168, 177), (184, 192), (196, 200)):
        head[start:end] = bytes(end - start)
    assert not any(head)


@pytest.mark.parametrize("code", [40, 45])
def test_a_login_has_no_session_yet(code: int) -> None:
    head = request_head(unregistered(ME.client), code, 0)
    assert struct.unpack_from("<QB7xQ4xI", head, 168) == (0, 1, 0, 0)


def test_a_login_by_password_names_the_version_the_user_and_the_password() -> None:
    code, body = login_request(IggyAddress(host="h", port=1, username="iggy", password="sécret"))
    assert code == 40
    assert body == (
        struct.pack("<I", 11 << 10) + b"\x06bridge\x060.11.0" + b"\x04iggy" + b"\x07s\xc3\xa9cret" + bytes(4)
    )


def test_a_login_by_token_names_no_user() -> None:
    code, body = login_request(IggyAddress(host="h", port=1, token="t0ken"))
    assert code == 45
    assert body.endswith(b"0.11.0\x05t0ken" + bytes(4))


def test_a_login_gives_session_and_version() -> None:
    body = struct.pack("<IQIB", 3, 48, 11 << 10, 5) + b"0.9.0"
    assert logged_in(ME.client, body) == (Identity(ME.client, 48), "0.9.0")


def test_a_login_without_a_session_is_none() -> None:
    # What the server answers when it gave up for good: an empty body.
    with pytest.raises(FrameError, match="Unauthenticated"):
        logged_in(ME.client, body_of(_reply(operation=1)))


@given(st.binary(max_size=40))
def test_a_reply_without_a_list_of_results_is_its_body(body: bytes) -> None:
    assert body_of(_reply(body)) == body
    assert body_of(_reply(body, operation=160)) == body


@pytest.mark.parametrize("operation", [1, 161, 162])
def test_an_empty_list_of_results_is_left_out(operation: int) -> None:
    assert body_of(_reply(bytes(4) + b"rest", operation=operation)) == b"rest"


@pytest.mark.parametrize(
    "reply, verdict",
    [
        (_reply(status=20), Verdict.PLACE_MISSING),
        (_reply(status=1009), Verdict.STREAM_MISSING),
        (_reply(status=2010), Verdict.TOPIC_MISSING),
        (_reply(status=3007), Verdict.PARTITION_MISSING),
        (_reply(status=41), Verdict.FORBIDDEN),
        (_reply(status=57), Verdict.NOT_COMMITTED),
        (_reply(status=58), Verdict.NOT_ACCEPTED),
        (_reply(status=59), Verdict.NOT_COMMITTED),
        (_reply(status=4039), Verdict.UNEXPLAINED),
        (_reply(struct.pack("<III", 1, 0, 4100), operation=161), Verdict.OFFSET_BEYOND_END),
        (_reply(struct.pack("<III", 1, 0, 3021), operation=162), Verdict.OFFSET_MISSING),
        (_reply(struct.pack("<I", 1), operation=161), Verdict.BROKEN),
        (_reply(command=13, reason=1), Verdict.LOGGED_OUT),
        (_reply(command=13, reason=9), Verdict.CREDENTIALS),
        (_reply(command=13, reason=10), Verdict.CREDENTIALS),
        (_reply(command=13, reason=13), Verdict.LOGGED_OUT),
        (_reply(command=13, reason=14), Verdict.OTHER_PROTOCOL),
        (_reply(command=13, reason=200), Verdict.UNEXPLAINED),
        (_reply(command=1), Verdict.BROKEN),
    ],
)
def test_what_was_not_to_be_is_said_in_the_words_of_the_sdk(reply: bytes, verdict: Verdict) -> None:
    with pytest.raises(FrameError) as caught:
        body_of(reply)
    assert explain(str(caught.value), Operation.SEND, write=True).verdict is verdict


@pytest.mark.parametrize("size_bytes", [0, HEAD_BYTES - 1, IGGY_REPLY_BYTES_MAX + 1])
def test_a_size_that_no_reply_has_is_refused(size_bytes: int) -> None:
    head = bytearray(_reply())
    struct.pack_into("<I", head, 48, size_bytes)
    with pytest.raises(FrameError):
        reply_bytes(bytes(head))
    assert reply_bytes(_reply(b"four")) == HEAD_BYTES + 4
