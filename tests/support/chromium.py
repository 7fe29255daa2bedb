"""A headless Chromium that opens pages and is asked what they show, over its own debugging protocol."""

import asyncio
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
_START_TIMEOUT_S: Final = 60.0
_SHOW_TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.1
_LISTENING: Final = b"DevTools listening on "


class OpenedPage:
    """
    One page.

    Attributes:
        complaints: what the browser logged of it, CSP violations among it, and errors of its scripts.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; what was told meanwhile is looked through."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("id") == number:
                assert "error" not in told, told
                found: dict[str, Any] = told["result"]
                return found
            self._note(told)

    async def shown(self, expression: str) -> Any:
        """The value of *expression* in the page."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Return once *expression* holds in the page."""
        async with asyncio.timeout(_SHOW_TIMEOUT_S):
            while not await self.shown(expression):  # noqa: ASYNC110 (a page is asked, it tells of nothing by itself)
                await asyncio.sleep(_LOOK_S)

    def _note(self, told: dict[str, Any]) -> None:
        match told.get("method"):
            case "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["params"]["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if told["params"]["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(told["params"]["args"]))
            case _:
                pass


@asynccontextmanager
async def opened_page(url: str, *, width: int) -> AsyncIterator[OpenedPage]:
    """*url* in a browser of its own, in a window so wide."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--remote-debugging-port=0", f"--user-data-dir={Path(profile)}", f"--window-size={width},900"),
            "about:blank",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            address = await asyncio.wait_for(_address(process), _START_TIMEOUT_S)
            async with aiohttp.ClientSession() as session, session.get(address) as answer:
                (target,) = [each for each in await answer.json() if each["type"] == "page"]
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = OpenedPage(socket)
                    for domain in ("Log", "Runtime", "Page"):
                        await page.call(f"{domain}.enable")
                    await page.call(
                        "Emulation.setDeviceMetricsOverride",
                        width=width,
                        height=900,
                        deviceScaleFactor=1,
                        mobile=False,
                    )
                    await page.call("Page.navigate", url=url)
                    yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where the list of its pages is."""
    assert process.stderr is not None
    async for line in process.stderr:
        if line.startswith(_LISTENING):
            host = line.removeprefix(_LISTENING).decode().strip().split("/")[2]
            return f"http://{host}/json/list"
    raise EOFError("it ended before it listened")
