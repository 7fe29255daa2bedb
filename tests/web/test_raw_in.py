"""Messages that come in as they are: one body, or one compressed body."""

import base64
import gzip
import json
import sys
import uuid
from typing import Any

import pytest

from bridge.messagelog import partition_of_key
from tests.support.bridge_app import BridgeApp
from tests.support.bulk import bomb, everything, post, stored
from tests.support.events import user_event

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("application/octet-stream", bytes(range(256))),
        ("text/plain", "gr\u00fc\u00df\r\n".encode()),
        ("text/csv; charset=utf-8", b"a,b\n1,2\n"),
        ("application/octet-stream", b'{"event":1}'),
    ],
)
async def test_a_body_of_any_bytes_is_one_message(bridge: BridgeApp, content_type: str, body: bytes) -> None:
    path = f"/streams/{bridge.topic.stream}/topics/{bridge.topic.topic}/messages"
    answer = await post(bridge, body, "?partition_id=2", path=path, Content_Type=content_type)
    assert answer.status == 201
    told = answer.json
    assert (told["success"], told["stream"], told["topic"]) == (True, *bridge.topic)
    assert (told["partition_id"], told["offset"], told["durability"]) == (2, 0, "persisted")
    (message,) = await stored(bridge, 2)
    assert message.payload == body
    assert message.id == uuid.UUID(told["id"]).int


async def test_what_is_no_text_is_read_back_as_base64(bridge: BridgeApp) -> None:
    await post(bridge, b"\xff\x00", "?partition_id=0", Content_Type="application/octet-stream")
    page = (await bridge.call("GET", "/messages?partition_id=0&offset=0")).json
    assert base64.b64decode(page["messages"][0]["payload_base64"]) == b"\xff\x00"


async def test_a_key_places_and_headers_go_along(bridge: BridgeApp) -> None:
    headers = {"Message-Header-Trace": "t-1", "message-header-B": "\u00e9"}
    for content_type in ("text/plain", "application/x-ndjson"):
        answer = await post(
            bridge, b"1", "?partition_key=k%20%C3%A9", **(headers | {"Content-Type": content_type})
        )
        assert answer.status == 201
    found = await stored(bridge, partition_of_key("k \u00e9".encode(), 3))
    assert [dict(message.headers) for message in found] == [{"trace": "t-1", "b": "\u00e9"}] * 2


@pytest.mark.parametrize(
    "content_type, body, query, headers, status, path",
    [
        ("text/plain", b"", "", {}, 400, "body"),
        ("application/octet-stream", b"", "", {}, 400, "body"),
        ("text/plain", b"\xff", "", {}, 400, "body"),
        ("text/plain; charset=latin-1", b"x", "", {}, 415, "Content-Type"),
        ("application/xml", b"x", "", {}, 415, "Content-Type"),
        ("text/plain", b"x", "?partition_key=a&partition_id=1", {}, 400, "partition_id"),
        ("text/plain", b"x", "?partition_id=-1", {}, 400, "partition_id"),
        ("text/plain", b"x", "?partition_id=1&partition_id=1", {}, 400, "partition_id"),
        ("text/plain", b"x", "?partition_key=", {}, 400, "partition_key"),
        ("text/plain", b"x", "?on_error=skip", {}, 400, "on_error"),
        ("application/x-ndjson", b"1", "?on_error=maybe", {}, 400, "on_error"),
        ("application/x-ndjson", b"1", "?colour=red", {}, 400, "colour"),
        ("text/plain", b"x", "", {"Message-Header-": "v"}, 400, "Message-Header"),
        ("text/plain", b"x", "", {"Message-Header-A": ""}, 400, "Message-Header"),
        ("text/plain", b"x", "", {"Message-Header-A": "v" * 256}, 400, "Message-Header"),
        ("text/plain", b"x", "", {"Origin": "https://elsewhere.example"}, 403, "Origin"),
        ("text/plain", b"x", "", {"Origin": "null"}, 403, "Origin"),
        ("text/plain", b"x", "", {"Content-Encoding": "br"}, 415, "Content-Encoding"),
        ("application/x-ndjson", b"1", "", {"Content-Encoding": "gzip, gzip"}, 415, "Content-Encoding"),
        ("application/x-ndjson", b"1", "", {"Content-Encoding": "gzip"}, 400, "body"),
        ("application/json", gzip.compress(b"{}", mtime=0)[:-1], "", {"Content-Encoding": "gzip"}, 400, "body"),
        ("text/plain", b"x", "?partition_id=17", {}, 404, None),
        ("application/x-ndjson", b"1", "?partition_id=17", {}, 404, None),
    ],
)  # fmt: skip
async def test_a_request_that_breaks_a_rule_is_refused_with_the_place(
    bridge: BridgeApp,
    content_type: str,
    body: bytes,
    query: str,
    headers: dict[str, str],
    status: int,
    path: str | None,
) -> None:
    answer = await post(bridge, body, query, **(headers | {"Content-Type": content_type}))
    assert (answer.status, answer.json.get("path")) == (status, path)
    assert await everything(bridge) == []


async def test_a_page_of_this_very_server_may_send_text(bridge: BridgeApp) -> None:
    assert (await post(bridge, b"x", Content_Type="text/plain", Origin=bridge.base)).status == 201


@pytest.mark.parametrize("encoding, compress", [("gzip", gzip.compress), ("zstd", zstd.compress)])
async def test_any_body_may_be_compressed(bridge: BridgeApp, encoding: str, compress: Any) -> None:
    event = json.dumps(user_event()).encode()
    for content_type, path, body in (
        ("application/json", "/messages", b'{"event":%b,"partition_key":"k"}' % event),
        ("application/json", "/messages/batch", b'{"events":[%b],"partition_key":"k"}' % event),
        ("application/x-ndjson", "/messages?partition_key=k", event),
        ("application/octet-stream", "/messages?partition_key=k", event),
    ):
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        assert (await post(bridge, compress(body), path=path, **headers)).status == 201
    found = await stored(bridge, partition_of_key(b"k", 3))
    assert [message.payload for message in found] == [event] * 4


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-ndjson"])
@pytest.mark.parametrize("mebibytes", [8, 200])
async def test_b35_b36_a_bomb_is_a_413(bridge: BridgeApp, content_type: str, mebibytes: int) -> None:
    answer = await post(bridge, bomb(mebibytes), **{"Content-Type": content_type, "Content-Encoding": "gzip"})
    assert (answer.status, answer.json["path"]) == (413, "body")
    assert answer.headers["Connection"] == "close"
