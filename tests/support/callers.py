"""A bridge whose caller a test chooses, and requests for each of its routes, made of the OpenAPI document."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from yarl import URL

from bridge.config import HttpConfig, LogConfig
from bridge.errors import AlreadyExists, NotFound
from bridge.messagelog import TopicRef
from bridge.policy.access import Principal, parse_permissions
from bridge.policy.key_ring import Key, KeyRing
from bridge.policy.key_texts import plain_digest
from bridge.web.handlers.access import Route
from tests.support.bridge_app import Answer, BridgeApp, bridge_app
from tests.support.described import DOCUMENT, resolved
from tests.support.keys import numbered_key
from tests.support.ws_client import SocketClient, open_socket

__all__ = ("GROUP", "STREAM", "TOPIC", "Asked", "CalledBridge", "asked", "called_bridge", "somebody")

STREAM, TOPIC, GROUP = "shop-1", "events", "mailer"
PLACES: Final = {"stream": STREAM, "topic": TOPIC, "group": GROUP, "consumer": "c-1", "partition": "0"}
#: What the examples of the document make.
MADE_STREAM, MADE_TOPIC = "shop", TopicRef(STREAM, "orders")

_API_KEY: Final = "a key of tests, and of no use"
_KEY: Final = numbered_key(0)


def somebody(*permissions: str) -> Principal:
    """Who has these, and nothing else."""
    return Principal(name="somebody", key_id=_KEY.id, permissions=parse_permissions(permissions))


class Asked(NamedTuple):
    """A request for a route."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


def asked(route: Route, **places: str) -> Asked:
    """The first example that the document has for *route*, of the place that there is."""
    path = route.path.format(**(PLACES | places))
    bodies = resolved(DOCUMENT["paths"][route.path][route.method.lower()]).get("requestBody")
    if bodies is None:
        return Asked(route.method, path, None, {})
    kind, content = next(iter(bodies["content"].items()))
    example = next(iter(content["examples"].values()))["value"]
    return Asked(route.method, path, json.dumps(example).encode(), {"Content-Type": kind})


class CalledBridge:
    """
    A bridge with one key in its ring, whose owner calls; or with `None` as *caller*, who has the one key that opens
    everything.

    Attributes:
        caller: of all that comes from now on, what was opened before too.
    """

    def __init__(self, app: BridgeApp, ring: KeyRing) -> None:
        self.app = app
        self._ring = ring
        self._caller: Principal | None = None

    @property
    def caller(self) -> Principal | None:
        return self._caller

    @caller.setter
    def caller(self, caller: Principal | None) -> None:
        self._caller = caller
        self._ring.replace(() if caller is None else (Key(principal=caller, digest=plain_digest(_KEY.text)),))

    @property
    def credentials(self) -> dict[str, str]:
        """The header that says who calls."""
        return {"X-API-Key": _API_KEY if self._caller is None else _KEY.text}

    async def call(self, asked: Asked, **headers: str) -> Answer:
        """The whole answer, which must be as the document says."""
        sent = {**self.credentials, **asked.headers, **headers}
        return await self.app.call(asked.method, asked.path, asked.body, headers=sent)

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Likewise, of a path as it is sent."""
        return await self.call(Asked(method, path, None, {}), **headers)

    async def status(self, asked: Asked) -> int:
        """Of an answer that need have no end."""
        url, headers = URL(self.app.base + asked.path, encoded=True), {**self.credentials, **asked.headers}
        async with self.app.session.request(asked.method, url, data=asked.body, headers=headers) as response:
            return response.status

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[SocketClient]:
        async with open_socket(self.app.session, self.app.base, headers=self.credentials) as client:
            yield client

    @contextmanager
    def by_the_owner(self) -> Iterator[None]:
        """Whoever calls in here may do everything."""
        caller, self.caller = self.caller, None
        yield
        self.caller = caller

    async def make_anew(self) -> None:
        """What requests of all routes need, and nothing of what they make."""
        log, deadline = self.app.log, self.app.deadline()
        for topic in (self.app.topic, TopicRef(STREAM, "other")):
            with suppress(AlreadyExists):
                await log.create_stream(topic.stream, deadline=deadline)
            with suppress(AlreadyExists):
                await log.create_topic(topic, partitions_count=3, deadline=deadline)
        with suppress(NotFound):
            await log.delete_topic(MADE_TOPIC, deadline=deadline)
        with suppress(NotFound):
            await log.delete_stream(MADE_STREAM, deadline=deadline)
        with self.by_the_owner():
            group = f"/streams/{STREAM}/topics/{TOPIC}/groups/{GROUP}"
            received = await self.get(f"{group}/receive", "POST")
        assert received.status == 200, received

    async def tell(self, payload: Any, topic: str = TOPIC) -> None:
        """Store *payload* as a message in its first partition, whoever calls."""
        with self.by_the_owner():
            path = f"/streams/{STREAM}/topics/{topic}/messages?partition_id=0"
            text = {"Content-Type": "text/plain"}
            stored = await self.call(Asked("POST", path, json.dumps(payload).encode(), text))
        assert stored.status == 201, stored


@asynccontextmanager
async def called_bridge(directory: Path) -> AsyncIterator[CalledBridge]:
    """Over an embedded log, with `make_anew` done; its owner calls."""
    ring = KeyRing()
    defaults, http = LogConfig(stream=STREAM, topic=TOPIC), HttpConfig(rate_limit_rps=0, api_key=_API_KEY)
    async with bridge_app(directory, http=http, defaults=defaults, key_ring=ring) as app:
        called = CalledBridge(app, ring)
        await called.make_anew()
        yield called
