"""Claims about the documents (shell): what is typed works, in the order of the page, and prints what is shown."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from bridge.process import shutdown
from tests.readme.generated import ROOT
from tests.readme.pages import PAGES, Step, blocks_of, steady, steps_of
from tests.support.iggy_server import NoServer, find_server
from tests.support.ports import held_port

STOP_TIMEOUT_S: Final = 60.0
STEP_TIMEOUT_S: Final = 120.0
CURL_TIMED_OUT: Final = 28
# What ends a stream for a reader; a machine that is shared needs more to show what there is.
_ONE_SECOND: Final = " -m 1 "
_MORE_SECONDS: Final = " -m 4 "
#: Blocks that say why they are not run, by page. One more is to be argued for here.
NOT_RUN: Final = {"README.md": 1, "docs/deployment.md": 5, "docs/recipes.md": 3}
#: Languages of blocks that nobody types.
NOT_TYPED: Final = ("js", "mermaid", "text")
RECIPES: Final = ROOT / "docs" / "recipes.md"
#: Of what is long only because it is meant to be seen, the test does less.
LESS: Final = {"1000000": "20000", "400000": "8000"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUN: Final = [page for page in PAGES if any(block.runs for block in blocks_of(page))]


@contextlib.contextmanager
def running_bridge(data: Path, **settings: str) -> Iterator[int]:
    """`bridge serve` with nothing set but port, directory and *settings*; gives its port once it says that it is ready."""
    environ = {"PATH": os.environ["PATH"], "PORT": "0", "DATA_DIR": str(data), **settings}
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


class Reader:
    """
    Who types what a page shows, in a checkout after `make run`; made by `reading`.

    Attributes:
        instead: what stands in the page, as a word of its own, and what is typed.
    """

    def __init__(self, work: Path, instead: Mapping[str, str]) -> None:
        self._work = work
        self._instead = instead
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "PORT": instead["8000"],
            "BRIDGE_URL": f"http://127.0.0.1:{instead['8000']}",
            "LC_ALL": "C.UTF-8",
        }
        self._output = work.with_name("output")
        self._sessions: list[int] = []
        (work / ".venv").symlink_to(sys.prefix)
        (work / "data").symlink_to(work.with_name("data"))
        # As on a terminal, where curl shows no progress.
        (work / ".curlrc").write_text("silent\n")

    def _typed(self, text: str) -> str:
        text = text.replace(_ONE_SECOND, _MORE_SECONDS)
        return re.sub(r"\b\d+\b", lambda found: self._instead.get(found[0], found[0]), text)

    def do(self, step: Step) -> None:
        """Type it, and compare what comes."""
        script = step.output is None
        options = ("-eu", "-o", "pipefail") if script else ("-o", "pipefail")
        # A file, since what goes on in the background keeps a pipe open.
        with self._output.open("w+") as output:
            shell = subprocess.Popen(
                ["bash", *options, "-c", self._typed(step.command)],
                cwd=self._work,
                env=self._environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._sessions.append(shell.pid)
            code = shell.wait(timeout=STEP_TIMEOUT_S)
        came = self._output.read_text()
        assert code == (CURL_TIMED_OUT if _ONE_SECOND in step.command else 0), f"{step.command}\n{came}"
        if step.output is not None:
            assert steady(came) == steady(self._typed(step.output)), step.command

    def end(self) -> None:
        """End what is left in the background."""
        for session in self._sessions:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)


@contextlib.contextmanager
def reading(page: Path, tmp_path: Path) -> Iterator[Reader]:
    """A reader of *page*, whose bridge has just begun; of the recipes, with what they ask for."""
    work = tmp_path / "checkout"
    work.mkdir()
    with contextlib.ExitStack() as stack:
        instead, settings = {}, {}
        if page == RECIPES:
            other = tmp_path / "other"
            instead = {**LESS, "8001": str(stack.enter_context(running_bridge(other, **on_iggy(stack))))}
            instead["8080"] = str(stack.enter_context(held_port()))
            settings = {"CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{instead['8080']}"}
        instead["8000"] = str(stack.enter_context(running_bridge(tmp_path / "data", **settings)))
        reader = Reader(work, instead)
        stack.callback(reader.end)
        yield reader


def on_iggy(stack: contextlib.ExitStack) -> dict[str, str]:
    """Where a bridge keeps its messages: on an Iggy for the length of *stack*, or nothing where there is none."""
    try:
        server = find_server()
    except NoServer:
        return {}
    stack.callback(server.close)
    return {"IGGY_CONNECTION_STRING": server.connection_string}


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")),
    reason="pages are told with curl and jq, which are not here",
)
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_what_a_page_tells_to_type_works_and_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    with reading(page, tmp_path) as reader:
        for block in blocks_of(page):
            if block.runs:
                for step in steps_of(block):
                    reader.do(step)


def test_what_could_be_typed_is_run() -> None:
    others = {
        (name_of(page), block.language)
        for page in PAGES
        for block in blocks_of(page)
        if block.language not in ("console", "sh", *NOT_TYPED)
    }
    # `tests/cli` runs these, each by itself.
    assert others <= {("docs/cli.md", "bash")}


def test_what_is_not_run_is_known() -> None:
    found = {name_of(page): sum(block.not_run is not None for block in blocks_of(page)) for page in PAGES}
    assert {name: count for name, count in found.items() if count} == NOT_RUN


@pytest.mark.parametrize("page", [ROOT / name for name in NOT_RUN], ids=name_of)
def test_what_is_not_run_is_a_script_all_the_same(page: Path) -> None:
    for block in blocks_of(page):
        if block.not_run is not None:
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
