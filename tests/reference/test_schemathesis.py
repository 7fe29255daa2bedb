"""Schemathesis runs all of its checks against a live bridge: no 5xx, and no answer that the document does not tell."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.web.handlers.routes import ROUTES
from tests.support.bridge_process import BridgeProcess, environment
from tests.support.iggy_server import IggyServer, running_server

HERE = Path(__file__).parent
KEY = "a key of tests, and of no use"
#: A minute where nobody else works.
TIMEOUT_S = 600
#: Values at every bound are refused or taken before a log is asked: once is enough.
PHASES = {"local": "examples,coverage,fuzzing,stateful", "iggy": "examples,fuzzing,stateful"}
#: Fewer would mean that most of it was left out.
CASES_MIN = {"local": 1_500, "iggy": 200}
SETTINGS = {
    "API_KEY": KEY,
    # The limit would answer most of it, and each call comes from an address of its own, as wrong keys lock one out.
    "RATE_LIMIT_RPS": "0",
    "TRUSTED_PROXIES": "127.0.0.1",
    "OPERATION_TIMEOUT_SECS": "5",
    # A topic of a thousand partitions takes Iggy a while.
    "MAX_PARTITIONS": "60",
}


@pytest.fixture(scope="module")
def iggy_server() -> Iterator[IggyServer]:
    with running_server() as server:
        yield server


@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.parametrize("log", ["local", pytest.param("iggy", marks=pytest.mark.iggy)])
def test_whatever_is_asked_the_answer_is_one_that_the_document_tells(
    log: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    more = {"IGGY_STREAM": f"s-{uuid.uuid4()}"}
    if log == "iggy":
        more["IGGY_CONNECTION_STRING"] = request.getfixturevalue("iggy_server").connection_string
    with BridgeProcess(tmp_path / "data", SETTINGS | more) as bridge:
        port = bridge.started()
        printed = run_schemathesis(port, tmp_path, PHASES[log])
    summary = printed[printed.find("= SUMMARY =") :]
    # All but the one that it read the document from.
    assert f"Tested: {len(ROUTES) - 1}" in summary, printed
    cases = re.search(r"(\d+) generated, (\d+) passed", summary)
    assert cases is not None, printed
    assert cases[1] == cases[2], printed
    assert int(cases[1]) > CASES_MIN[log], printed


def run_schemathesis(port: int, directory: Path, phases: str) -> str:
    """All checks, the same cases at each run; what it printed."""
    command = [
        str(Path(sys.executable).with_name("st")),
        "--config-file",
        str(HERE / "schemathesis.toml"),
        "run",
    ]
    options = ["--checks", "all", "--phases", phases, "-n", "3", "--no-color"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/openapi.json", "-H", f"X-API-Key: {KEY}", *options],
        env=environment({"SCHEMATHESIS_HOOKS": "hooks"})
        | {"PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))},
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return str(done.stdout + done.stderr)
