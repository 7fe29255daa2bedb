"""The command line with a home of its own, here or as a process of its own."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from bridge.cli.entry import main
from tests.support.bridge_process import ROOT, environment

_ENOUGH_S = 120.0


class Ended(NamedTuple):
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


class Cli:
    """`bridge ...` against one bridge."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        homes = {"XDG_CONFIG_HOME": str(self.home / "config"), "XDG_STATE_HOME": str(self.home / "state")}
        return environment({**homes, "BRIDGE_URL": self.url, "COLUMNS": "80", **(more or {})})

    def __call__(
        self, *arguments: str, given: str | bytes | None = None, environ: Mapping[str, str] | None = None
    ) -> Ended:
        """
        One command from start to end, in this very process: to start one takes a second.

        Args:
            given: its stdin.
        """
        stdin = io.TextIOWrapper(io.BytesIO(given.encode() if isinstance(given, str) else given or b""))
        stdout, stderr = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        with (
            patch.object(sys, "stdin", stdin),
            patch.object(sys, "stdout", stdout),
            patch.object(sys, "stderr", stderr),
            patch.dict(os.environ, self.environ(environ), clear=True),
        ):
            try:
                code = main(arguments, loop_factory=asyncio.new_event_loop)
            except SystemExit as end:
                code = int(end.code or 0)
            for stream in (stdout, stderr):
                stream.flush()
        return Ended(code, *(each.buffer.getvalue().decode() for each in (stdout, stderr)))

    def process(
        self,
        *arguments: str,
        given: str | bytes | None = None,
        environ: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> Ended:
        """
        The same as a process of its own.

        Args:
            code: Python that is run instead of `-m bridge`, to change something first.
        """
        entry = ["-m", "bridge"] if code is None else ["-c", code]
        done = subprocess.run(
            [sys.executable, *entry, *arguments],
            input=given.encode() if isinstance(given, str) else given or b"",
            env=self.environ(environ),
            capture_output=True,
            timeout=_ENOUGH_S,
            check=False,
            cwd=ROOT,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def json(self, *arguments: str, given: str | bytes | None = None) -> Any:
        """The value that a command shows as JSON."""
        done = self(*arguments, "-o", "json", given=given)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def lines(self, *arguments: str) -> list[Any]:
        """The values that a command shows, a line each."""
        done = self(*arguments, "-o", "ndjson")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    async def started(self, *arguments: str) -> asyncio.subprocess.Process:
        """A command that goes on while the test does."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge",
            *arguments,
            env=self.environ(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
