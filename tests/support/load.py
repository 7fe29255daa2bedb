"""Writers that write to a bridge in a process of its own until they are told to stop, and keep what was acknowledged."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.bridge_process import connected

__all__ = ("Load", "Stored", "under_load")


class Stored(NamedTuple):
    """A message that was acknowledged."""

    partition_id: int
    offset: int
    id: str
    text: str


class Load:
    """*stored* grows as acknowledgements come."""

    def __init__(self, port: int, path: str) -> None:
        self.stored: list[Stored] = []
        self._port = port
        self._path = path
        self._stop = threading.Event()
        self._more = threading.Condition()

    def until(self, count: int) -> None:
        """Wait for so many acknowledgements in all."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.stored) >= count, timeout=60)

    def write(self, writer: int) -> None:
        with connected(self._port) as connection:
            number = 0
            while not self._stop.is_set():
                text = f"writer {writer} number {number}"
                headers = {"Content-Type": "text/plain", "Message-Header-Writer": str(writer)}
                connection.request("POST", self._path, text, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
                assert response.status == 201, answer
                with self._more:
                    self.stored.append(Stored(answer["partition_id"], answer["offset"], answer["id"], text))
                    self._more.notify_all()
                number += 1

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def under_load(port: int, path: str, *, writers: int = 4) -> Iterator[Load]:
    load = Load(port, path)
    threads = [threading.Thread(target=load.write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()
