"""Claims about the documents (shell): what is typed works, in the order of the page, and prints what is shown."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bridge.process import shutdown
from tests.readme.generated import ROOT
from tests.readme.pages import PAGES, Block, blocks_of, steady, steps_of

STOP_TIMEOUT_S: Final = 60.0
STEP_TIMEOUT_S: Final = 120.0
CURL_TIMED_OUT: Final = 28
#: Blocks that say why they are not run, by page. One more is to be argued for here.
NOT_RUN: Final = {"README.md": 1, "docs/deployment.md": 3}
#: Of what is long only because it is meant to be seen, the test does less.
LESS: Final = {"docs/recipes.md": ("1000000", "20000")}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def less(page: Path, text: str) -> str:
    return text.replace(*LESS[name_of(page)]) if name_of(page) in LESS else text


RUN: Final = [page for page in PAGES if any(block.runs for block in blocks_of(page))]


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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the reader sees: a directory with the `.venv` of `make run`."""
    work = tmp_path / "checkout"
    work.mkdir()
    (work / ".venv").symlink_to(sys.prefix)
    # As on a terminal, where curl shows no progress.
    (work / ".curlrc").write_text("silent\n")
    return work


def run(block: Block, port: int, work: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(work), "PORT": str(port), "LC_ALL": "C.UTF-8"}
    for step in steps_of(block):
        command = step.command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        done = subprocess.run(
            ["bash", *(("-eu",) if step.output is None else ()), "-o", "pipefail", "-c", command],
            check=False,
            cwd=work,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_TIMEOUT_S,
        )
        told = f"{step.command}\n{done.stdout}"
        assert done.returncode in ({CURL_TIMED_OUT} if " -m " in command else {0}), told
        if step.output is not None:
            assert steady(done.stdout) == steady(step.output), step.command


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")),
    reason="pages are told with curl and jq, which are not here",
)
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_what_a_page_tells_to_type_works_and_prints_what_is_shown(
    page: Path, tmp_path: Path, checkout: Path
) -> None:
    with running_bridge(tmp_path / "data") as port:
        for block in blocks_of(page):
            if block.runs:
                run(block._replace(text=less(page, block.text)), port, checkout)


def test_each_block_says_its_language() -> None:
    assert [name_of(page) for page in PAGES for block in blocks_of(page) if not block.language] == []


def test_what_is_not_run_is_known() -> None:
    found = {name_of(page): sum(block.not_run is not None for block in blocks_of(page)) for page in PAGES}
    assert {name: count for name, count in found.items() if count} == NOT_RUN
