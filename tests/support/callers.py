"""A bridge whose caller a test chooses, and requests for each of its routes, made of the OpenAPI document."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.config import LogConfig
from bridge.errors import AlreadyExists, NotFound
from bridge.messagelog import TopicRef
from bridge.policy.access import ANONYMOUS, Principal, parse_permissions
from bridge.telemetry.metrics import Metrics
from bridge.web.handlers.routes import Route
from tests.support.bridge_app import Answer, BridgeApp, bridge_app, local_log
from tests.support.described import DOCUMENT, resolved

__all__ = ("GROUP", "STREAM", "TOPIC", "Asked", "CalledBridge", "asked", "called_bridge", "somebody")

STREAM, TOPIC, GROUP = "shop-1", "events", "mailer"
PLACES: Final = {"stream": STREAM, "topic": TOPIC, "group": GROUP, "consumer": "c-1", "partition": "0"}
#: What the examples of the document make.
MADE_STREAM, MADE_TOPIC = "shop", TopicRef(STREAM, "orders")


def somebody(*permissions: str) -> Principal:
    """Who has these, and nothing else."""
    return Principal(name="somebody", permissions=parse_permissions(permissions))


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
    A bridge, and who calls it.

    Attributes:
        caller: of all requests from now on.
    """

    def __init__(self, app: BridgeApp) -> None:
        self.app = app
        self.caller: Principal = ANONYMOUS

    async def call(self, asked: Asked, **headers: str) -> Answer:
        """The whole answer, which must be as the document says."""
        return await self.app.call(asked.method, asked.path, asked.body, headers={**asked.headers, **headers})

    async def status(self, asked: Asked) -> int:
        """Of an answer that need have no end."""
        async with self.app.session.request(
            asked.method, self.app.base + asked.path, data=asked.body, headers=asked.headers
        ) as response:
            return response.status

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
        before, self.caller = self.caller, ANONYMOUS
        received = await self.app.call("POST", f"/streams/{STREAM}/topics/{TOPIC}/groups/{GROUP}/receive")
        assert received.status == 200, received
        self.caller = before

    async def tell(self, payload: Any, topic: str = TOPIC) -> None:
        """Store one event with *payload*, whoever calls."""
        before, self.caller = self.caller, ANONYMOUS
        stored = await self.app.call(
            "POST",
            f"/streams/{STREAM}/topics/{topic}/messages?partition_id=0",
            json.dumps(payload).encode(),
            headers={"Content-Type": "text/plain"},
        )
        assert stored.status == 201, stored
        self.caller = before


@asynccontextmanager
async def called_bridge(directory: Path) -> AsyncIterator[CalledBridge]:
    """Over an embedded log, with `make_anew` done."""
    metrics, called = Metrics(), None

    def principal() -> Principal:
        return ANONYMOUS if called is None else called.caller

    async with (
        local_log(directory, metrics) as log,
        bridge_app(log, metrics, defaults=LogConfig(stream=STREAM, topic=TOPIC), principal=principal) as app,
    ):
        called = CalledBridge(app)
        await called.make_anew()
        yield called
