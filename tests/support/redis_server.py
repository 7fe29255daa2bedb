"""A `redis-server` of a test's own, on a free loopback port."""

import contextlib
import socket
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.support.ports import held_port
from tests.support.programs import program

ENOUGH_S: Final = 20.0


class RedisServer:
    """One that keeps nothing on disk; it is started on entry, and always on the same port."""

    def __init__(self) -> None:
        self._holding = contextlib.ExitStack()
        self.port = self._holding.enter_context(held_port())
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        command = [program("redis-server") or "redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no", *options],
            stdout=subprocess.DEVNULL,
            cwd=Path("/tmp"),
        )
        while not self.told("PING"):
            if self.process.poll() is not None:
                raise RuntimeError("redis-server did not start")

    def told(self, *words: str) -> bytes:
        """The answer to a command; nothing where it does not serve."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), ENOUGH_S) as it:
            it.sendall(" ".join(words).encode() + b"\r\n")
            return it.recv(65536)
        return b""

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(ENOUGH_S)
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._holding.close()
