import asyncio
import gc
from typing import Any

import pytest

from bridge.iggy.client import SdkCalls, refusal


@pytest.mark.parametrize("ends_first", [False, True])
async def test_the_late_error_of_a_call_that_was_given_up_is_not_reported_as_forgotten(
    ends_first: bool,
) -> None:
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    calls = SdkCalls()
    of_the_sdk: asyncio.Future[None] = loop.create_future()
    waiter = asyncio.create_task(calls.answer(of_the_sdk))
    await asyncio.sleep(0)

    if ends_first:
        # Both in one turn of the loop: the answer is there, but the cancellation strikes first.
        waiter.cancel()
        of_the_sdk.set_exception(RuntimeError("Disconnected"))
    else:
        waiter.cancel()
        await asyncio.wait([waiter])
        assert len(calls) == 1
        of_the_sdk.set_exception(RuntimeError("Disconnected"))
    await asyncio.wait([waiter])
    await asyncio.sleep(0)

    assert len(calls) == 0
    del of_the_sdk, waiter
    gc.collect()
    assert reported == []


def test_a_server_that_hangs_up_where_one_of_our_protocol_was_is_not_there_and_speaks_no_other() -> None:
    assert refusal("Disconnected").detail.startswith("server speaks another protocol")
    assert refusal("Disconnected", spoke_before=True).detail == "The Iggy server cannot be reached."
    assert refusal("Incompatible binary protocol version: 0.8", spoke_before=True).detail.startswith(
        "server speaks another protocol"
    )


class Panic(BaseException):
    """As the SDK's bindings make of a panic."""


async def test_a_panic_of_the_sdk_is_a_client_that_broke_and_ends_nothing_else() -> None:
    calls = SdkCalls()
    call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(calls.answer(call))
    await asyncio.sleep(0)
    call.set_exception(Panic("session already bound"))
    with pytest.raises(RuntimeError, match="Disconnected"):
        await waiting
