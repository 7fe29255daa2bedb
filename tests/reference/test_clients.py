"""Clients that generators make of the document go through the first minute: topic, message, page, offset, problem."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.web.handlers.reference import document_json
from tests.support.bridge_process import BridgeProcess

HERE = Path(__file__).parent / "clients"
KEY = "a key of tests, and of no use"
TIMEOUT_S = 400
PYTHON_GENERATOR = "openapi-python-client==0.29.1"
NPM_PACKAGES = (
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    "typescript@5.9.3",
    "@types/node@22.19.1",
)
TSC = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "first_minute.ts")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with BridgeProcess(tmp_path / "data", {"API_KEY": KEY}) as bridge:
        yield f"http://127.0.0.1:{bridge.started()}"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_bytes(document_json())
    return path


def run(*command: str | Path, cwd: Path) -> str:
    """What the command says; one that fails fails the test."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout + done.stderr)


def installed(*command: str | Path, cwd: Path, what: str) -> None:
    """Run what installs *what*, or skip the test."""
    try:
        run(*command, cwd=cwd)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{what} cannot be installed here: {str(error)[-200:]}")


@pytest.mark.timeout(TIMEOUT_S * 2)
def test_a_client_in_python_goes_through_the_first_minute(url: str, document: Path, tmp_path: Path) -> None:
    # An environment of its own: it asks for another typer than the bridge.
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    installed(python, "-m", "pip", "install", "-q", PYTHON_GENERATOR, cwd=tmp_path, what=PYTHON_GENERATOR)
    client = tmp_path / "bridge_client"
    generator = python.with_name("openapi-python-client")
    said = run(
        generator, "generate", "--path", document, "--meta", "none", "--output-path", client, cwd=tmp_path
    )
    # Of bodies it knows no lines and no text; no operation is left out.
    assert "will not be generated" not in said, said
    shutil.copy(HERE / "first_minute.py", tmp_path)
    run(python, "first_minute.py", url, KEY, cwd=tmp_path)


@pytest.mark.timeout(TIMEOUT_S * 2)
@pytest.mark.skipif(not (shutil.which("npm") and shutil.which("node")), reason="no npm and node on PATH")
def test_a_client_in_typescript_goes_through_the_first_minute(
    url: str, document: Path, tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text('{"type": "module", "private": true}')
    npm = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
    installed(*npm, *NPM_PACKAGES, cwd=tmp_path, what="openapi-typescript")
    tools = tmp_path / "node_modules" / ".bin"
    run(tools / "openapi-typescript", document, "-o", "schema.d.ts", cwd=tmp_path)
    shutil.copy(HERE / "first_minute.ts", tmp_path)
    run(tools / "tsc", *TSC, cwd=tmp_path)
    run("node", "first_minute.js", url, KEY, cwd=tmp_path)


def test_what_installs_nothing_skips_by_name(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="a generator cannot be installed here"):
        installed(sys.executable, "-c", "raise SystemExit(1)", cwd=tmp_path, what="a generator")
