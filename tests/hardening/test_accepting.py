"""Connections are taken promptly, and want of descriptors ends nothing."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bridge.web.server import accepting
from bridge.web.server.accepting import PromptSite
from tests.support.loops import BOTH_LOOPS
from tests.support.raw_http import ask, request_bytes

pytestmark = BOTH_LOOPS


class Listener(socket.socket):
    """Raises *errors* first, one at each attempt to accept."""

    def __init__(self, *errors: int) -> None:
        super().__init__()
        self.errors = list(errors)
        self.attempts = 0
        self.setblocking(False)
        self.bind(("127.0.0.1", 0))
        self.listen(1000)

    def accept(self) -> tuple[socket.socket, Any]:
        self.attempts += 1
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, "on purpose")
        return super().accept()


@asynccontextmanager
async def site_of(listener: Listener, failures: list[str]) -> AsyncIterator[PromptSite]:
    async def hello(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="hello")

    runner = web.ServerRunner(web.Server(hello))
    await runner.setup()
    site = PromptSite(runner, listener, failed=failures.append)
    await site.start()
    try:
        yield site
    finally:
        await runner.cleanup()


async def test_many_callers_who_come_at_once_are_taken_in_few_turns_of_the_loop() -> None:
    listener = Listener()
    # Those that are made stand in the queue.
    callers = [socket.create_connection(listener.getsockname()) for _ in range(100)]
    async with site_of(listener, []) as site:
        turns = 0
        while listener.attempts < 100:
            await asyncio.sleep(0)
            turns += 1
        assert turns < 20
        assert site.name.startswith("('127.0.0.1'")
        assert (await ask(site.port, request_bytes("GET", "/"))).body == b"hello"
        for caller in callers:
            caller.close()


async def test_without_descriptors_it_rests_and_then_takes_those_who_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "ACCEPT_REST_S", 0.0)
    failures: list[str] = []
    async with site_of(Listener(errno.EMFILE, errno.ENFILE), failures) as site:
        assert (await ask(site.port, request_bytes("GET", "/"))).body == b"hello"
    assert failures == ["EMFILE", "ENFILE"]


async def test_a_caller_who_is_gone_again_is_no_reason_to_rest() -> None:
    failures: list[str] = []
    async with site_of(Listener(errno.ECONNABORTED), failures) as site:
        assert (await ask(site.port, request_bytes("GET", "/"))).body == b"hello"
    assert failures == []


async def test_it_can_be_closed_while_it_rests() -> None:
    listener, failures = Listener(errno.EMFILE), list[str]()
    async with site_of(listener, failures):
        with socket.socket() as caller:
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
            while not failures:  # noqa: ASYNC110 (nothing tells)
                await asyncio.sleep(0)
    assert listener.fileno() == -1
