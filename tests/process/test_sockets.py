"""WebSockets through the end of a process, and on in the next one."""

import asyncio
from pathlib import Path
from typing import Any

from bridge.web.sockets.framing import Opcode
from tests.support.bridge_process import BridgeProcess
from tests.support.raw_ws import Dial, RawSocket
from tests.support.ws_frames import client_close

SETTINGS = {
    "CURSOR_KEY": "a key that both processes have",
    "RATE_LIMIT_RPS": "0",
    # A tenth of it is for what has to be cut: more than a busy machine needs.
    "SHUTDOWN_GRACE_SECS": "100",
}


async def said_goodbye(socket: RawSocket) -> dict[str, Any]:
    """The `bye` of a socket that then ends as it should."""
    bye = (await socket.frame()).told
    assert bye["op"] == "bye"
    end = await socket.frame()
    assert (end.opcode, end.code) == (Opcode.CLOSE, 1001)
    await socket.send(client_close(1001))
    assert await socket.connection.ended()
    return bye


async def test_a_client_that_comes_again_after_a_restart_misses_nothing_and_gets_nothing_twice(
    tmp_path: Path,
) -> None:
    with BridgeProcess(tmp_path, SETTINGS) as bridge:
        async with Dial(await asyncio.to_thread(bridge.started)) as dial:
            reader, writer = await dial.open(), await dial.open()
            await reader.say("subscribe", id="s", permits=7)
            assert (await reader.frame()).told["op"] == "subscribed"
            for index in range(20):
                await writer.say("publish", id=str(index), payload=index, partition_id=index % 3)
            seen = [(await reader.frame()).told for _ in range(7)]
            for _ in range(20):
                assert (await writer.frame()).told["op"] == "receipt"
            bridge.signal()
            (left,) = (await said_goodbye(reader))["subscriptions"]
            await said_goodbye(writer)
        assert await asyncio.to_thread(bridge.ended) == 0
        assert left == {"subscription": "s", "cursor": seen[-1]["cursor"]}
    with BridgeProcess(tmp_path, SETTINGS) as bridge:
        async with Dial(await asyncio.to_thread(bridge.started)) as dial:
            socket = await dial.open()
            await socket.say("subscribe", id="again", permits=100, cursor=left["cursor"])
            assert (await socket.frame()).told["cursor"] == left["cursor"]
            seen += [(await socket.frame()).told for _ in range(13)]
            await socket.alive()
    assert sorted(each["message"]["payload"] for each in seen) == list(range(20))


async def test_a_client_that_does_not_listen_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with BridgeProcess(tmp_path, SETTINGS) as bridge:
        async with Dial(await asyncio.to_thread(bridge.started)) as dial:
            deaf = await dial.open()
            await deaf.say("subscribe", id="s", permits=1)
            bridge.signal()
            assert await asyncio.to_thread(bridge.ended) == 0
            assert "shutdown_step_cut" not in bridge.events()
