"""
Who sends what many readers get (shell): as fast as answers come, or so many at a rate, over HTTP or by Iggy's SDK.

    python -m tests.bench.fanout_sender PORT flood SECONDS CONNECTIONS [HEADER ...]
    python -m tests.bench.fanout_sender PORT paced RATE COUNT [HEADER ...]
    python -m tests.bench.fanout_sender ADDRESS straight RATE COUNT TOPIC

Prints, as JSON, the moment of each acknowledgement on the clock that all processes share (`time.time`; over HTTP as the kernel
noted it); a flood only how many.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator

import uvloop
from apache_iggy import Partitioning, SendMessage

from tests.bench.caller import Caller
from tests.bench.cases import Dialect, case_named
from tests.bench.requests import STREAM, lines
from tests.bench.straight import connected

__all__ = ("naps_s",)


def naps_s(rate: float, count: int) -> Iterator[float]:
    """Before each of *count* messages. Uneven on purpose: a sender in step with a poll would always meet it at the same place."""
    for number in range(count):
        yield (0.6 + 0.8 * (number * 0.618034 % 1)) / rate


def http_caller(port: str, headers: list[str], connections: int) -> Caller:
    named = dict(header.split(": ", 1) for header in headers)
    return Caller(case_named("post-1"), Dialect.BRIDGE, int(port), named, connections=connections)


def flood(caller: Caller, seconds: float, connections: int) -> int:
    until_s, sent = time.monotonic() + seconds, 0
    while time.monotonic() < until_s:
        caller.ask()
        sent += connections
    return sent


def paced(caller: Caller, rate: float, count: int) -> Iterator[float]:
    for nap_s in naps_s(rate, count):
        time.sleep(nap_s)
        yield caller.ask()


async def straight(address: str, topic: str, rate: float, count: int) -> list[float]:
    client = await connected(address)
    acknowledged_s = []
    for nap_s, payload in zip(naps_s(rate, count), lines(count), strict=True):
        await asyncio.sleep(nap_s)
        await client.send_messages(STREAM, topic, Partitioning.partition_id(0), [SendMessage(payload)])
        acknowledged_s.append(time.time())
    return acknowledged_s


def main(where: str, manner: str, first: str, second: str, *more: str) -> None:
    told: dict[str, object]
    if manner == "flood":
        told = {"sent": flood(http_caller(where, [*more], int(second)), float(first), int(second))}
    elif manner == "paced":
        told = {"acknowledged_s": [*paced(http_caller(where, [*more], 1), float(first), int(second))]}
    else:
        told = {"acknowledged_s": uvloop.run(straight(where, more[0], float(first), int(second)))}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
