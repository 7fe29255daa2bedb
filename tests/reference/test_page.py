"""The reference as a page: what it may run and load, who gets it, and what a browser makes of it."""

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web

from bridge.config import HttpConfig
from bridge.web.handlers.routes import ROUTES
from tests.support.bridge_app import BridgeApp, bridge_app
from tests.support.chromium import CHROMIUM, opened_page
from tests.support.described import DOCUMENT

KEY = "a key of tests, and of no use"
IN_A_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH, which shows the page")
#: Of what Swagger UI shows of an operation.
SHOWN = "document.querySelectorAll('.opblock').length"


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[BridgeApp]:
    async with bridge_app(tmp_path) as app:
        yield app


async def test_the_page_holds_the_document_and_names_no_other_place(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/docs")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    html = answer.body.decode()
    (held,) = re.findall(r'<script type="application/json" id="document">(.*?)</script>', html)
    assert json.loads(held) == DOCUMENT
    assert not re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="', html)


async def test_the_policy_lets_run_what_is_in_the_page_and_nothing_else(bridge: BridgeApp) -> None:
    answer = await bridge.call("GET", "/docs")
    policy = dict(each.split(" ", 1) for each in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    html = answer.body.decode()
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        held = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        hashes = [f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in held]
        assert policy[directive].split() == hashes
        assert len(hashes) == 2


async def test_where_a_key_is_set_the_page_and_the_document_take_it(tmp_path: Path) -> None:
    http = HttpConfig(api_key=KEY, rate_limit_rps=0)
    async with bridge_app(tmp_path, http=http) as app:
        for path in ("/docs", "/openapi.json"):
            assert (await app.call("GET", path)).status == 401
            assert (await app.call("GET", path, headers={"X-API-Key": KEY})).status == 200
            assert (await app.call("GET", path, params={"api_key": KEY})).status == 200


async def test_an_operator_may_let_both_in_without_a_key(tmp_path: Path) -> None:
    paths = ("/docs", "/openapi.json")
    http = HttpConfig(api_key=KEY, rate_limit_rps=0, auth_bypass_paths=paths)
    async with bridge_app(tmp_path, http=http) as app:
        assert [(await app.call("GET", path)).status for path in paths] == [200, 200]


@IN_A_BROWSER
@pytest.mark.parametrize("width", [1280, 390])
async def test_a_browser_shows_every_operation_and_complains_of_nothing(
    bridge: BridgeApp, width: int
) -> None:
    async with opened_page(f"{bridge.base}/docs", width=width) as page:
        await page.until(f"{SHOWN} === {len(ROUTES)}")
        await page.shown("document.querySelector('#operations-Messages-publish button').click()")
        await page.until("document.querySelectorAll('#operations-Messages-publish .response').length > 5")
        # Nobody has to scroll sideways.
        assert await page.shown("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.complaints == []


@IN_A_BROWSER
async def test_what_was_not_in_the_page_is_not_run_and_that_would_be_seen(bridge: BridgeApp) -> None:
    real = await bridge.call("GET", "/docs")
    before, end, after = real.body.rpartition(b"</body>")
    changed = before + b"<script>document.title = 'run'</script>" + end + after
    policy = real.headers["Content-Security-Policy"]

    async def serve(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy, "Content-Type": "text/html; charset=utf-8"}
        return web.Response(body=changed, headers=headers)

    app = web.Application()
    app.router.add_get("/docs", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with opened_page(f"http://127.0.0.1:{runner.addresses[0][1]}/docs", width=1280) as page:
            await page.until(f"{SHOWN} === {len(ROUTES)}")
            assert await page.shown("document.title") == "bridge: HTTP reference"
            assert any("Content Security Policy" in each for each in page.complaints)
    finally:
        await runner.cleanup()
