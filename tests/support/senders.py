"""Senders who write to a bridge in a process of its own until it ends or they are told to stop; an account of all of it."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.support.bridge_process import get
from tests.support.checker import Account, Stored

__all__ = ("Senders", "sending", "stored_texts")

_TIMEOUT_S = 60.0


class Senders:
    """
    Attributes:
        account: what they sent, and what they were told.
        answers: how many of each (status, code, outcome).
        without_wait: answers 503 that did not say when to come again.
        broken: senders who have ended because their connection did.
    """

    def __init__(
        self, port: int, path: str, account: Account, *, prefix: str = "", filler_bytes: int = 0
    ) -> None:
        self.account = account
        self.answers: Counter[tuple[int, str, str]] = Counter()
        self.without_wait = 0
        self.broken = 0
        self._port = port
        self._path = path
        self._prefix = prefix
        self._filler = "x" * filler_bytes
        self._stop = threading.Event()
        self._news = threading.Condition()

    def acknowledged(self, count: int) -> None:
        """Wait for so many acknowledgements in all."""
        with self._news:
            assert self._news.wait_for(lambda: self.account.acknowledged_count >= count, _TIMEOUT_S), (
                self.answers
            )

    def answered(self, status: int, count: int = 1) -> None:
        """Wait for so many answers of this status."""

        def holds() -> bool:
            return sum(n for (told, *_), n in self.answers.items() if told == status) >= count

        with self._news:
            assert self._news.wait_for(holds, _TIMEOUT_S), self.answers

    def run(self, sender: int) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        number = 0
        try:
            while not self._stop.is_set():
                self._send(connection, sender, f"{self._prefix}{sender} {number} {self._filler}")
                number += 1
        except (OSError, HTTPException):
            # The bridge has ended; what was on its way is unknown.
            with self._news:
                self.broken += 1
                self._news.notify_all()
        finally:
            connection.close()

    def _send(self, connection: HTTPConnection, sender: int, text: str) -> None:
        with self._news:
            self.account.send(text, text.encode(), writer=f"{self._prefix}{sender}")
        headers = {"Content-Type": "text/plain", "Message-Header-Writer": f"{self._prefix}{sender}"}
        connection.request("POST", self._path, text, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        with self._news:
            self._take(text, response.status, dict(response.getheaders()), answer)
            self._news.notify_all()

    def _take(self, text: str, status: int, headers: Mapping[str, str], answer: dict[str, Any]) -> None:
        if status == 201:
            self.account.acknowledge(text, answer["partition_id"], answer["offset"])
            return
        if answer.get("outcome") == "not_written":
            self.account.refuse(text)
        else:
            self.account.doubt(text)
        self.without_wait += status == 503 and "Retry-After" not in headers
        self.answers[status, answer["error"], answer.get("outcome", "")] += 1

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def sending(
    port: int,
    path: str,
    *,
    account: Account | None = None,
    senders: int = 8,
    prefix: str = "",
    filler_bytes: int = 0,
) -> Iterator[Senders]:
    """
    Senders for the length of a block.

    Args:
        account: goes on, where there were others before; *prefix* tells these from them.
        filler_bytes: each message has so many, beside what tells it from others.
    """
    load = Senders(port, path, account or Account("none"), prefix=prefix, filler_bytes=filler_bytes)
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(senders)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()


def stored_texts(port: int, path: str, partitions: int) -> dict[int, list[Stored]]:
    """Every message of a topic whose messages are texts, each of which is its own id."""
    found: dict[int, list[Stored]] = {}
    for partition_id in range(partitions):
        status, body = get(
            port, f"{path}?partition_id={partition_id}&offset=0", {"Accept": "application/x-ndjson"}
        )
        assert status == 200, body
        messages = [json.loads(line) for line in body.splitlines()]
        found[partition_id] = [
            Stored(each["offset"], each["text"], each["text"].encode()) for each in messages
        ]
    return found
