"""What a shell is told that completes a command line, by the process that its script starts."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.bridge_cli import Cli
from tests.support.bridge_process import ROOT

ENOUGH_S = 60.0


#: Waits for a bridge for longer than a shell's user would: that of a test may be busy.
PATIENT = (
    "from bridge.cli.remote import completing; completing._PATIENCE_S = 30.0; "
    "from bridge.__main__ import main; main()"
)


def completed(
    cli: Cli, line: str, shell: str = "bash", code: str | None = PATIENT, **environ: str
) -> list[str]:
    """What is offered behind *line*; nothing is ever said on stderr."""
    words = line.split(" ")
    asked = {
        "_BRIDGE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = cli.process(environ={**asked, **environ}, code=code)
    assert done.stderr == ""
    return done.stdout.split("\n") if done.stdout.strip() else []


def offered(cli: Cli, line: str, code: str | None = PATIENT, **environ: str) -> list[str]:
    return [each for each in completed(cli, line, code=code, **environ) if each]


def test_topics_streams_and_groups_are_those_of_the_bridge(cli: Cli, topic: str) -> None:
    stream = topic.split("/", maxsplit=1)[0]
    cli.json("topics", "add", f"{stream}/orders")
    cli.json("pub", "-t", topic, "x")
    assert len(cli.lines("sub", "-t", topic, "--group", "workers", "-c", "1")) == 1
    both = [f"{stream}/events", f"{stream}/orders"]
    assert offered(cli, f"bridge topics info {stream[:-2]}") == both
    assert offered(cli, f"bridge topics info {stream}/o") == [f"{stream}/orders"]
    assert offered(cli, f"bridge pub --topic {stream}/") == both
    assert offered(cli, f"bridge copy {topic} {stream}/") == both
    assert offered(
        cli, f"bridge copy --to-url {cli.url} {topic} {stream}/e", BRIDGE_URL="http://127.0.0.1:1"
    ) == [f"{stream}/events"]
    assert offered(cli, f"bridge topics ls {stream[:-2]}") == [stream]
    assert offered(cli, f"bridge groups info {topic} ") == ["workers"]
    assert offered(cli, f"bridge groups dlq ls {topic} w") == ["workers"]
    assert offered(cli, f"bridge sub --topic {topic} --group w") == ["workers"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_are_told_too(cli: Cli, topic: str, shell: str) -> None:
    assert topic in "".join(completed(cli, f"bridge topics info {topic[:-2]}", shell))


def test_contexts_are_those_of_this_user(cli: Cli) -> None:
    for name in ("here", "there"):
        assert cli("context", "add", name, cli.url).returncode == 0
    assert offered(cli, "bridge context use h") == ["here"]


def test_where_no_bridge_answers_nothing_is_offered_and_nobody_waits_for_long(
    cli: Cli, tmp_path: Path
) -> None:
    assert offered(cli, "bridge topics info ", BRIDGE_URL="http://127.0.0.1:1") == []
    assert offered(cli, "bridge topics info ", BRIDGE_URL="no address") == []
    assert offered(cli, "bridge topics info --key-file /nowhere ") == []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun_s = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert offered(cli, "bridge topics info ", code=None, BRIDGE_URL=url) == []
        assert time.monotonic() - begun_s < ENOUGH_S / 2
    key_file = tmp_path / "key"
    key_file.write_text("a-key\n")
    key_file.chmod(0o644)
    assert "sample-stream" in offered(cli, f"bridge streams rm --key-file {key_file} sample")


def test_a_name_that_a_shell_would_run_is_not_offered(cli: Cli, tmp_path: Path) -> None:
    names = ["good", "$(touch x)", "`x`", "a b", '"', "-rf", "", 7, None]
    answers = {"/streams": [{"name": name} for name in names]}
    server = (
        "import http.server, json, sys\n"
        "answers = json.loads(sys.argv[1])\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(json.dumps(answers.get(self.path, [])).encode())\n"
        "    def log_message(self, *_): pass\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", server, json.dumps(answers)], stdout=subprocess.PIPE
    ) as serving:
        assert serving.stdout is not None
        url = f"http://127.0.0.1:{int(serving.stdout.readline())}"
        assert offered(cli, "bridge streams rm ", BRIDGE_URL=url) == ["good"]
        serving.terminate()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes_a_topic_with_the_script(cli: Cli, topic: str, tmp_path: Path) -> None:
    (tmp_path / "bridge").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PATIENT}' \"$@\"\n")
    (tmp_path / "bridge").chmod(0o755)
    (tmp_path / "script").write_text(cli.process("completion", "bash").stdout)
    asked = (
        'export PATH="$1:$PATH"; . "$1/script"; COMP_WORDS=(bridge topics info "$2"); COMP_CWORD=3;'
        ' _bridge_completion bridge; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", asked, "bash", str(tmp_path), topic[:-2]],
        env=cli.environ(),
        capture_output=True,
        cwd=ROOT,
        timeout=ENOUGH_S,
        check=False,
    )
    assert (done.stdout.decode().split(), done.stderr) == ([topic], b"")
