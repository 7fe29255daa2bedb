"""Claims about heads that are remembered."""

import pytest
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bridge import limits
from bridge.web.server import heads as heads_module
from bridge.web.server.heads import Known, KnownHeads

HEAD = b"POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


def message(
    path: str = "/messages", *, version: tuple[int, int] = HttpVersion11, **others: object
) -> RawRequestMessage:
    headers = CIMultiDictProxy(CIMultiDict({"Host": "x", **others.pop("headers", {})}))  # type: ignore[dict-item]
    fields = {"should_close": False, "upgrade": False, "chunked": False, **others}
    return RawRequestMessage(
        "POST",
        path,
        version,  # type: ignore[arg-type]
        headers,
        (),
        fields["should_close"],  # type: ignore[arg-type]
        None,
        fields["upgrade"],  # type: ignore[arg-type]
        fields["chunked"],  # type: ignore[arg-type]
        URL(path),
    )


def knowing(*learned: bytes) -> KnownHeads:
    heads = KnownHeads()
    for head in learned:
        heads.learn(head, message(), 2)
    return heads


def test_a_whole_request_with_a_known_head_is_found_with_its_body() -> None:
    known = knowing(HEAD).find(HEAD + b"{}")
    assert isinstance(known, Known)
    assert (known.head.message.path, known.body) == ("/messages", b"{}")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + b"{",
        HEAD + b"{} ",
        HEAD + b"{}" + HEAD,
        HEAD[1:] + b"{}",
        b" " + HEAD + b"{}",
        HEAD[:-2] + b"{}",
        HEAD.replace(b"Host", b"host") + b"{}",
        HEAD.replace(b"x", b"y") + b"{}",
    ],
)
def test_anything_else_is_for_the_parser(data: bytes) -> None:
    assert knowing(HEAD).find(data) is None


def test_nothing_is_known_at_first() -> None:
    assert KnownHeads().find(HEAD + b"{}") is None


@pytest.mark.parametrize(
    "parsed,body_bytes",
    [
        (message(version=HttpVersion10), 2),
        (message(should_close=True), 2),
        (message(upgrade=True), 2),
        (message(chunked=True), 2),
        (message(headers={"Expect": "100-continue"}), 2),
        (message("/messages?api_key=k"), 2),
        (message("http://x/messages"), 2),
        (message(), limits.KNOWN_BODY_BYTES_MAX + 1),
    ],
)
def test_what_means_more_than_its_bytes_say_is_not_kept(parsed: RawRequestMessage, body_bytes: int) -> None:
    heads = KnownHeads()
    heads.learn(HEAD, parsed, body_bytes)
    assert heads.find(HEAD + bytes(body_bytes)) is None


def test_a_head_longer_than_the_bound_is_not_found() -> None:
    long = HEAD[:-2] + b"X-A: " + b"a" * limits.KNOWN_HEAD_BYTES_MAX + b"\r\n\r\n"
    heads = knowing(long)
    assert heads.find(long + b"{}") is None


def test_of_too_many_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "KNOWN_HEADS_MAX", 2)
    others = [HEAD.replace(b"Host: x", b"Host: %d" % number) for number in range(3)]
    heads = knowing(*others)
    assert [heads.find(head + b"{}") is not None for head in others] == [False, True, True]
