"""Topics and streams from the command line, and how any command ends."""

from pathlib import Path

import pytest

from tests.support.bridge_cli import Cli
from tests.support.bridge_process import BridgeProcess


def test_a_topic_is_added_listed_shown_emptied_and_removed(cli: Cli) -> None:
    assert cli("streams", "add", "shop").returncode == 0
    added = cli.json("topics", "add", "shop/orders", "-p", "2", "--max-age", "1h30m", "--max-bytes", "1GiB")
    assert (added["partitions_count"], added["retention"]["max_age_seconds"]) == (2, 5400)
    cli.json("pub", "-t", "shop/orders", "one")
    listed = cli("topics", "ls")
    assert listed.stdout.splitlines()[0].split()[:3] == ["TOPIC", "PARTITIONS", "MESSAGES"]
    row = next(line for line in listed.stdout.splitlines() if line.startswith("shop/orders"))
    assert row.split()[1:3] == ["2", "1"]
    assert max(map(len, listed.stdout.splitlines())) <= 80
    shown = cli("topics", "info", "shop/orders")
    assert "1h" not in shown.stdout
    assert "KEPT        90m, 1.0 GiB" in shown.stdout
    assert len(cli.json("topics", "info", "shop/orders")["partitions"]) == 2
    assert cli("topics", "purge", "shop/orders", "--yes").returncode == 0
    assert [each["messages_count"] for each in cli.lines("topics", "ls", "shop")] == [0]
    assert cli("topics", "rm", "shop/orders", "-y").returncode == 0
    assert cli.json("topics", "ls", "shop") == []
    assert cli("streams", "rm", "shop", "--yes").returncode == 0
    assert "shop" not in [each["name"] for each in cli.json("streams", "ls")]


def test_how_long_a_topic_keeps_its_messages_is_changed_and_what_is_not_given_stays(
    cli: Cli, topic: str
) -> None:
    def kept(*options: str) -> tuple[int | None, int | None]:
        found = cli.json("topics", "set", topic, *options)["retention"]
        return found["max_age_seconds"], found["max_bytes"]

    assert kept("--max-age", "7d") == (604_800, None)
    assert kept("--max-bytes", "1GiB") == (604_800, 1024**3)
    assert kept("--max-age", "forever") == (None, 1024**3)
    assert kept("--max-age", "1h", "--max-bytes", "all") == (3600, None)
    assert cli.json("topics", "info", topic)["retention"] == {"max_age_seconds": 3600, "max_bytes": None}
    assert cli("topics", "set", topic).returncode == 2
    assert cli("topics", "set", topic, "--max-age", "soon").returncode == 2


def test_a_topic_gets_more_partitions_and_never_fewer(cli: Cli, topic: str) -> None:
    assert cli.json("topics", "grow", topic, "--partitions", "3")["partitions_count"] == 3
    assert cli.json("topics", "grow", topic, "-p", "3")["partitions_count"] == 3
    fewer = cli("topics", "grow", topic, "-p", "2")
    assert (fewer.returncode, "has 3 partitions, and none can be removed" in fewer.stderr) == (2, True)
    assert cli("topics", "grow", topic).returncode == 2
    assert cli("topics", "grow", topic, "-p", "1001").returncode == 1


def test_a_stream_is_shown(cli: Cli, topic: str) -> None:
    stream = topic.split("/", maxsplit=1)[0]
    assert (cli.json("streams", "info", stream))["topics_count"] == 1
    assert cli("streams", "info", stream).stdout.splitlines()[0].split() == ["STREAM", stream]


def test_what_cannot_be_undone_is_not_done_without_a_word_and_nobody_to_ask(cli: Cli, topic: str) -> None:
    for command in (
        ("topics", "rm", topic),
        ("topics", "purge", topic),
        ("streams", "rm", topic.split("/", maxsplit=1)[0]),
    ):
        done = cli(*command)
        assert (done.returncode, done.stderr.splitlines()[1]) == (2, "  Confirm it with --yes.")
    assert cli("topics", "info", topic).returncode == 0


@pytest.mark.parametrize(
    "arguments,code,words",
    [
        (("topics", "info", "sample-stream/evnts"), 4, "Did you mean, in sample-stream, events?"),
        (("topics", "info", "sampel-stream/events"), 4, "Did you mean sample-stream?"),
        (("topics", "ls", "zzzz"), 4, "`bridge streams ls` lists all streams."),
        (("tail", "-t", "sample-stream/zzzz"), 4, "`bridge topics ls sample-stream` lists its topics."),
        (("topics", "info", "events"), 2, "A topic is named STREAM/TOPIC."),
        (("topics", "add", "sample-stream/x", "--max-age", "soon"), 2, "A length of time is like"),
        (("topics", "add", "sample-stream/x", "--max-bytes", "much"), 2, "A size is like"),
        (("topics", "add", "sample-stream/events"), 1, "409 already_exists"),
        (("topcs", "ls"), 2, "Did you mean 'topics'"),
        (("topics", "lss"), 2, "Did you mean 'ls'?"),
        (("topics", "ls", "--url", "ftp://x"), 2, "The address of a bridge is"),
        (("topics", "ls", "--url", "http://a:b@127.0.0.1:1"), 2, "An address holds no user"),
        (("topics", "ls", "--url", "http://127.0.0.1:1"), 5, "No bridge answers at http://127.0.0.1:1."),
        (("topics", "ls", "--key-file", "/nowhere"), 2, "The key file cannot be read"),
        (("topics", "ls", "-o", "xml"), 2, "xml"),
    ],
)
def test_a_failure_has_its_exit_code_and_says_what_to_do(
    cli: Cli, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in " ".join(done.stderr.split())


def test_a_wrong_or_missing_key_is_3_and_a_key_is_never_shown(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("right-key\n")
    key_file.chmod(0o600)
    with BridgeProcess(tmp_path / "data", {"API_KEY": "right-key"}) as bridge:
        cli = Cli(f"http://127.0.0.1:{bridge.started()}", tmp_path)
        missing = cli.process("topics", "ls")
        assert (missing.returncode, missing.stderr.splitlines()[1]) == (
            3,
            "  Set BRIDGE_API_KEY or give --key-file.",
        )
        wrong = cli.process("topics", "ls", environ={"BRIDGE_API_KEY": "wrong-key"})
        assert (wrong.returncode, wrong.stderr.splitlines()[1]) == (3, "  The key is wrong.")
        assert "wrong-key" not in wrong.stderr
        assert cli("topics", "ls", environ={"BRIDGE_API_KEY": "right-key"}).returncode == 0
        assert cli("topics", "ls", "--key-file", str(key_file)).returncode == 0
        shown = cli("streams", "add", "x", "--curl", "--key-file", str(key_file))
        assert shown.stdout == (
            f"curl -sS {cli.url}/streams -H \"X-API-Key: $BRIDGE_API_KEY\" -H 'Content-Type: application/json'"
            ' --data-binary \'{"name":"x"}\'\n'
        )


def test_curl_prints_the_request_and_does_nothing(cli: Cli) -> None:
    done = cli("streams", "rm", "sample-stream", "--curl")
    assert (done.returncode, done.stdout) == (0, f"curl -sS -X DELETE {cli.url}/streams/sample-stream\n")
    assert cli("sub", "--curl", "--since", "10m").stdout.startswith("curl -sS -N 'http://127.0.0.1:")
    assert "sample-stream" in [each["name"] for each in cli.json("streams", "ls")]


def test_an_answer_that_is_of_no_bridge_is_told_so(cli: Cli) -> None:
    done = cli.process("topics", "ls", "--url", f"{cli.url}/elsewhere")
    assert done.returncode == 4
