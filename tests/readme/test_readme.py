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

from bridge import exit_codes
from bridge.web.handlers.routes import ROUTES
from tests.readme.generated import PARTS, README, part_of

ROOT = README.parent
TEXT = README.read_text()
STOP_TIMEOUT_S = 20.0
CHANGING = (
    (re.compile(r'"timestamp":"2\d{3}-[^"]+Z"'), '"timestamp":"TIME"'),
    (re.compile(r'"request_id":"[0-9a-f-]{36}"'), '"request_id":"ID"'),
)


class Step(NamedTuple):
    command: str
    output: str


def steps() -> list[Step]:
    block = part_of(TEXT, "first minute").strip().removeprefix("```console\n").removesuffix("\n```")
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
        assert process.returncode == exit_codes.EXIT_OK


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="the first minute is told with curl, which is not here"
)
def test_the_first_minute_happens_as_it_is_shown(tmp_path: Path) -> None:
    assert len(steps()) >= 5
    with running_bridge(tmp_path) as port:
        for step in steps():
            command = step.command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            done = subprocess.run(
                ["bash", "-c", command], check=True, capture_output=True, text=True, timeout=20
            )
            assert steady(done.stdout) == steady(step.output), step.command


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_is_made_from_the_code_is_the_newest(name: str) -> None:
    assert part_of(TEXT, name).strip() == PARTS[name].strip(), "run: python -m tests.readme.generated"


def test_every_exit_code_is_told() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \| ", TEXT, re.MULTILINE)}
    assert told == {value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")}


def test_every_route_is_told() -> None:
    table = TEXT[TEXT.index("| route |") : TEXT.index("Errors are `application/problem+json`")]
    for route in ROUTES:
        path = re.sub(r"\{(\w+)[^}]*\}", lambda place: "{" + place[1] + "}", route.path)
        told = f"{path}`" in table or ("under a topic" in table and path.endswith("/messages/batch"))
        assert told, path


def test_every_command_of_make_that_is_named_exists() -> None:
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE)) <= rules
