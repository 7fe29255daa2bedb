"""Claims about the README (shell): what it shows is what happens, and what it lists is what there is."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge import limits
from bridge.process import shutdown
from bridge.web.handlers.routes import ROUTES
from tests.readme.generated import PARTS, README, part_of

ROOT = README.parent
TEXT = README.read_text()
STOP_TIMEOUT_S = 60.0
CURL_TIMED_OUT = 28
CHANGING = (
    (re.compile(r'"timestamp":"2\d{3}-[^"]+Z"'), '"timestamp":"TIME"'),
    (re.compile(r'"request_id":"[0-9a-f-]{36}"'), '"request_id":"ID"'),
    (re.compile(r"^retry: \d{4}$", re.MULTILINE), "retry: MS"),
    (re.compile(r'"retry_ms":\d{4}'), '"retry_ms":MS'),
    (re.compile(r'((?:^id: |"(?:next_)?cursor":"))[A-Za-z0-9_-]{20,}', re.MULTILINE), r"\1CURSOR"),
    (re.compile(r'"token":"[0-9a-f]{74}"'), '"token":"TOKEN"'),
)


class Step(NamedTuple):
    command: str
    output: str


def steps(part: str) -> list[Step]:
    block = part_of(TEXT, part).strip().removeprefix("```console\n").removesuffix("\n```")
    return [Step(*part.split("\n", 1)) for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]


def steady(output: str) -> str:
    for pattern, text in CHANGING:
        output = pattern.sub(text, output)
    return output.strip()


@contextlib.contextmanager
def running_bridge(data: Path) -> Iterator[int]:
    """`bridge serve` with nothing set but port and directory; gives its port once it says that it is ready."""
    environ = {"PATH": os.environ["PATH"], "PORT": "0", "DATA_DIR": str(data)}
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "serve"], env=environ, cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = 0
        for line in process.stdout:
            said = json.loads(line)
            port = said.get("port", port)
            if said["event"] == "ready":
                break
        assert port, "it ended before it was ready"
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=STOP_TIMEOUT_S)
        assert process.returncode == shutdown.EXIT_OK


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")),
    reason="it is told with curl and jq, which are not here",
)
def test_the_first_minutes_happen_as_they_are_shown(tmp_path: Path) -> None:
    first, live = steps("first minute"), steps("live minute")
    assert len(first) >= 5
    assert len(live) >= 4
    with running_bridge(tmp_path) as port:
        for step in first + live:
            command = step.command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            done = subprocess.run(
                ["bash", "-c", command], check=False, capture_output=True, text=True, timeout=60
            )
            assert done.returncode in ({CURL_TIMED_OUT} if " -m " in command else {0}), step.command
            assert steady(done.stdout) == steady(step.output), step.command


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_is_made_from_the_code_is_the_newest(name: str) -> None:
    assert part_of(TEXT, name).strip() == PARTS[name].strip(), "run: python -m tests.readme.generated"


def test_every_exit_code_is_told() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \| ", TEXT, re.MULTILINE)}
    assert told == {value for name, value in vars(shutdown).items() if name.startswith("EXIT_")}


def test_every_route_is_told() -> None:
    table = TEXT[TEXT.index("| route |") : TEXT.index("Errors are `application/problem+json`")]
    for route in ROUTES:
        path = re.sub(r"\{(\w+)[^}]*\}", lambda place: "{" + place[1] + "}", route.path)
        told = f"{path}`" in table or ("under a topic" in table and path.endswith("/messages/batch"))
        assert told, path


def test_every_command_of_make_that_is_named_exists() -> None:
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE)) <= rules


@pytest.mark.parametrize(
    "told",
    [
        f"up to {limits.WAIT_MS_MAX}, never past",
        f"what others send to Iggy within {limits.TAIL_POLL_MS_MAX} ms",
        f"A stream is silent for {limits.LIVE_HEARTBEAT_S:.0f} s at most",
        f"takes nothing for {limits.WRITE_PATIENCE_S:.0f} s is cut;",
        f"is {limits.LIVE_RETRY_MS_MIN // 1000} to {limits.LIVE_RETRY_MS_MAX // 1000} s",
        f"at most {limits.LIVE_STREAMS_MAX:,} streams in a process",
        f"against {limits.LIVE_STREAMS_MAX:,} of all kinds",
        f"the {limits.WS_PING_INTERVAL_S:.0f} s of a silent socket",
        f"look after them within {limits.GROUP_MEMBER_TTL_MS // 1000} s",
    ],
)
def test_bounds_of_live_reading_are_those_of_the_code(told: str) -> None:
    assert told in " ".join(TEXT.split())
