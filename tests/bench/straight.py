"""
The same work by a program that uses Iggy's SDK, without a bridge (shell).

    python -m tests.bench.straight ADDRESS TOPIC CASE SECONDS REQUESTS_MAX

As a program would do it: messages are made from payloads at each send; of what is read, each payload and offset is
taken out.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import uvloop
from apache_iggy import (
    AutoLogin,
    Consumer,
    IggyClient,
    Partitioning,
    PollingStrategy,
    SendMessage,
    TcpConfig,
)

from tests.bench.cases import Case, Kind, case_named
from tests.bench.requests import OFFSETS, STREAM, events, fill, read_query, same_event, zipf_key
from tests.bench.samples import percentile, report_line

__all__ = ("batches", "work_of")

#: One client runs one request at a time, and more than this many gain nothing on two cores.
_CLIENTS_MAX: Final = 4
_BATCH: Final = 1000
#: Events and keys are made beforehand, as those of the others are; events of bulk are read from somewhere, too.
_MADE: Final = 10_000

Work = Callable[[IggyClient, int], Awaitable[None]]


def batches(count: int) -> list[int]:
    """How *count* messages are cut for the SDK."""
    return [min(_BATCH, count - begin) for begin in range(0, count, _BATCH)]


def work_of(case: Case, topic: str) -> Work:
    """What one "request" of *case* is; it gets a client and the request's number."""
    random = Random(case.key)
    payloads, keys = [same_event(number) for number in range(_BATCH)], [Partitioning.balanced()]
    if not case.same:
        made = random.choices([*events(blanks=False), *events(blanks=True)], k=_MADE)
        payloads = [fill(event, number) for number, event in enumerate(made)]
        if case.kind is Kind.SEND:
            keys = [Partitioning.messages_key(zipf_key(random)) for _ in range(_MADE)]
    consumer = Consumer.Single("bench")

    async def send(client: IggyClient, number: int) -> None:
        for count in batches(case.messages):
            begin = number * count % (len(payloads) - count + 1)
            messages: list[Any] = [SendMessage(payload) for payload in payloads[begin : begin + count]]
            await client.send_messages(STREAM, topic, keys[number % len(keys)], messages)

    async def read(client: IggyClient, number: int) -> None:
        del number
        partition, wanted = 0, case.messages
        offset = 0
        if case.kind is Kind.READ:
            partition, place, wanted = read_query(case, random)
            offset = int(place) if place.isdecimal() else random.randrange(OFFSETS)
        for count in batches(wanted):
            page = await client.poll_messages(
                STREAM,
                topic,
                consumer=consumer,
                polling_strategy=PollingStrategy.Offset(offset),
                count=count,
                auto_commit=False,
                partition_id=partition,
            )
            offset += len([(message.offset(), message.payload()) for message in page])
            if len(page) != count:
                raise RuntimeError(f"{len(page)} messages of {count}")

    return send if case.kind in {Kind.SEND, Kind.BULK_IN} else read


async def connected(address: str) -> IggyClient:
    login = AutoLogin.username_password("iggy", "iggy")
    client = IggyClient(TcpConfig(server_address=address, auto_login=login, nodelay=True))
    await client.connect()
    return client


async def main(address: str, topic: str, key: str, seconds: str, requests_max: str) -> None:
    case = case_named(key)
    work = work_of(case, topic)
    clients = [await connected(address) for _ in range(min(_CLIENTS_MAX, case.connections))]
    numbers = iter(range(int(requests_max)))
    begun_s = time.perf_counter()
    until_s = begun_s + float(seconds)
    cpu_begun_s = time.process_time()
    times: list[int] = []

    async def one_task(client: IggyClient) -> None:
        while (sent_s := time.perf_counter()) < until_s and (number := next(numbers, None)) is not None:
            await work(client, number)
            times.append(round((time.perf_counter() - sent_s) * 1e6))

    await asyncio.gather(*(one_task(clients[one % len(clients)]) for one in range(case.connections)))
    took_s = time.perf_counter() - begun_s
    times.sort()
    sys.stdout.write(
        report_line(
            requests=len(times),
            seconds=took_s,
            p50_us=percentile(times, 50),
            p99_us=percentile(times, 99),
            refused=0,
            broken=0,
            cpu_s=time.process_time() - cpu_begun_s,
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )
    )


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
