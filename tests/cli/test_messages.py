"""Messages sent and read from the command line."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.cli.remote import merged_reading
from tests.support.bridge_cli import Cli
from tests.support.bridge_process import ROOT, BridgeProcess
from tests.support.ports import held_port
from tests.support.tcp_proxy import fault_proxy

ENOUGH_S = 120.0
EVENT = {
    "id": "7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11",
    "event_type": "order.paid",
    "timestamp": "2026-01-02T03:04:05Z",
    "payload": {"type": "Generic", "data": {"amount": 19.90}},
}


def payloads(cli: Cli, topic: str) -> list[object]:
    return [
        each.get("payload", each.get("text", each.get("event")))
        for each in cli.lines("tail", "-t", topic, "--from", "first")
    ]


def test_a_message_is_text_json_or_an_event_and_has_its_headers(cli: Cli, topic: str) -> None:
    sent = cli.json("pub", "-t", topic, "hello", "-H", "trace=a=b", "--partition", "0")
    assert (sent["partition_id"], sent["offset"], sent["durability"]) == (0, 0, "persisted")
    cli.json("pub", "-t", topic, '{"a" : 1.50}', "--key", "k")
    assert cli.json("pub", "-t", topic, json.dumps(EVENT))["id"] == EVENT["id"]
    found = cli.lines("tail", "-t", topic)
    assert (found[0]["text"], found[0]["headers"], found[0]["id"]) == ("hello", {"trace": "a=b"}, sent["id"])
    assert (found[2]["event"], found[2]["id"]) == (EVENT, EVENT["id"])
    lines = cli("tail", "-t", topic, "-n", "2").stdout.splitlines()
    assert lines[0].startswith("0:1  20")
    assert lines[0].endswith('  {"a" : 1.50}')
    assert [each["offset"] for each in cli.lines("tail", "-t", topic, "--where", "type=order.paid")] == [2]


def test_each_line_of_stdin_is_a_message_whatever_it_holds(cli: Cli, topic: str) -> None:
    done = cli("pub", "-t", topic, "-o", "json", given=b'plain\n\n{"n": 1}\r\n\xff\xfe\n"last"')
    assert done.returncode == 0
    assert {k: v for k, v in json.loads(done.stdout).items() if k != "durability"} == {
        "stored": 4,
        "found": 0,
        "lines": 5,
        "partitions": [{"partition_id": 0, "count": 4}],
    }
    found = cli.lines("tail", "-t", topic)
    assert [each.get("text", each.get("payload", each.get("payload_base64"))) for each in found] == [
        "plain",
        {"n": 1},
        "//4=",
        "last",
    ]


def test_a_control_character_does_not_reach_the_terminal(cli: Cli, topic: str) -> None:
    cli.json("pub", "-t", topic, "\x1b[2Jgone")
    assert cli("tail", "-t", topic).stdout.endswith("  \\x1b[2Jgone\n")


@pytest.mark.parametrize(
    "arguments,words",
    [
        (("pub", "x", "--file", "y"), "Give a message or a file"),
        (("pub", "x", "--key", "a", "--partition", "0"), "Give --key or --partition"),
        (("pub", "x", "-H", "name"), "--header takes NAME=VALUE"),
        (("pub", ""), "at least one byte"),
        (("pub", "--file", "/nowhere"), "The file cannot be read"),
        (("tail", "--from", "last"), "What comes next is shown with -f."),
        (("tail", "--from", "first", "--since", "1m"), "Give --from or --since"),
        (("tail", "--from", "2026-01-02T03:04:05"), "A time has a zone"),
        (("tail", "--since", "9999999d"), "The length of time is too long."),
        (("tail", "--where", "colour=red"), "--where takes type=TYPE"),
        (("sub", "--group", "g"), "A group has its own place"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_line_that_is_refused_is_named_by_its_number_in_the_file(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    path.write_text("\n".join(["1", "2", "[" * 70 + "]" * 70, "4"]))
    done = cli("pub", "-t", topic, "--file", str(path))
    assert done.returncode == 1
    assert "That is line 3 of what was given; all before it are stored." in done.stderr
    assert "Mend it, and the same command goes on there." in done.stderr
    assert payloads(cli, topic) == [1, 2]
    path.write_text("1\n2\n3\n4\n")
    assert cli("pub", "-t", topic, "--file", str(path)).returncode == 0
    assert payloads(cli, topic) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "changed,told",
    [
        (["1", "7", "3", "4"], "What is stored has changed in the file: line 2 of what was given."),
        (["1", "3", "4"], "What is stored has changed in the file: line 2 of what was given."),
        (["1"], "What is stored is no more in the file."),
    ],
)
def test_a_file_in_which_what_is_stored_was_changed_is_not_gone_on_with(
    cli: Cli, topic: str, tmp_path: Path, changed: list[str], told: str
) -> None:
    path = tmp_path / "lines"
    path.write_text("\n".join(["1", "2", "[" * 70 + "]" * 70, "4"]))
    assert cli("pub", "-t", topic, "--file", str(path)).returncode == 1
    path.write_text("\n".join(changed))
    refused = cli("pub", "-t", topic, "--file", str(path))
    assert (refused.returncode, told in refused.stderr, "--restart" in refused.stderr) == (2, True, True)
    assert payloads(cli, topic) == [1, 2]
    assert cli("pub", "-t", topic, "--file", str(path), "--restart").returncode == 0
    assert payloads(cli, topic) == [1, 2, *map(int, changed)]


def test_a_file_that_was_changed_before_the_block_that_was_refused_is_not_gone_on_with(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    before = [str(number) for number in range(1_000)]
    path.write_text("\n".join([*before, "[" * 70 + "]" * 70]))
    assert cli("pub", "-t", topic, "--file", str(path)).returncode == 1
    for other in (["7777", *before[1:], "1000"], before[:10]):
        path.write_text("\n".join(other))
        refused = cli("pub", "-t", topic, "--file", str(path))
        assert refused.returncode == 2
        assert "The file has changed since it was sent up to line 1,000." in refused.stderr
    path.write_text("\n".join([*before, "1000", "1001"]))
    assert cli("pub", "-t", topic, "--file", str(path)).returncode == 0
    assert payloads(cli, topic) == list(range(1_002))


async def test_a_file_whose_sending_was_killed_is_sent_on_with_nothing_lost_and_nothing_twice(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines.ndjson"
    path.write_text("".join(f'{{"n":{number}}}\n' for number in range(5_000)))
    async with fault_proxy(cli.url.removeprefix("http://")) as proxy:
        through = Cli(f"http://{proxy.address}", tmp_path)
        # The block with this line is stored, and nobody hears of it.
        proxy.lose_reply_to = b'"payload":{"n":2500}'
        sending = await through.started("pub", "-t", topic, "--file", str(path))
        await asyncio.wait_for(proxy.swallowed.wait(), ENOUGH_S)
        sending.kill()
        await sending.wait()
        proxy.lose_reply_to = None
        done = await asyncio.to_thread(through, "pub", "-t", topic, "--file", str(path), "-o", "json")
    assert done.stderr == "bridge: going on behind line 2,000.\n"
    told = json.loads(done.stdout)
    assert (told["found"], told["stored"], told["lines"]) == (1_000, 5_000, 5_000)
    found = await asyncio.to_thread(cli.lines, "tail", "-t", topic, "--from", "first")
    assert [each["payload"]["n"] for each in found] == list(range(5_000))
    assert max(Counter(each["id"] for each in found).values()) == 1
    assert not list((tmp_path / "state" / "bridge").glob("*.json"))


@pytest.mark.parametrize("ahead_bytes", [merged_reading._AHEAD_BYTES, 1_000])
def test_what_is_kept_of_several_partitions_is_shown_in_the_order_it_came(
    cli: Cli, topic: str, ahead_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged_reading, "_AHEAD_BYTES", ahead_bytes)
    monkeypatch.setattr(merged_reading, "_AHEAD_BYTES_MIN", 100)
    cli.json("topics", "grow", topic, "-p", "4")
    begun = datetime.now(UTC).isoformat()
    for number in range(24):
        partition = str((number * number + number // 5) % 3)
        cli.json("pub", "-t", topic, str(number), "--partition", partition)
    for place in (("--from", "first"), ("--since", "1h"), ("--from", begun)):
        found = cli.lines("tail", "-t", topic, *place)
        assert [each["payload"] for each in found] == list(range(24))
        assert {each["partition_id"] for each in found} == {0, 1, 2}
    assert len(cli.lines("tail", "-t", topic, "--from", "first", "-c", "7")) == 7
    assert cli.lines("tail", "-t", topic, "--from", datetime.now(UTC).isoformat()) == []


async def test_a_reply_that_is_lost_while_sending_is_looked_for_and_nothing_is_twice(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines.ndjson"
    path.write_text("".join(f'{{"n":{number}}}\n' for number in range(3_000)))
    async with fault_proxy(cli.url.removeprefix("http://")) as proxy:
        proxy.lose_reply_to = b'"payload":{"n":1500}'
        sending = await Cli(f"http://{proxy.address}", tmp_path).started("pub", "-t", topic, "-F", str(path))
        await asyncio.wait_for(proxy.swallowed.wait(), ENOUGH_S)
        proxy.lose_reply_to = None
        proxy.cut()
        assert await asyncio.wait_for(sending.wait(), ENOUGH_S) == 0
    assert sending.stdout is not None
    # No word of the retry is among the results.
    assert (await sending.stdout.read()).startswith(b"STORED      3,000\n")
    found = await asyncio.to_thread(cli.lines, "tail", "-t", topic, "--from", "first")
    assert [each["payload"]["n"] for each in found] == list(range(3_000))


@pytest.fixture
def held() -> Iterator[int]:
    with held_port() as port:
        yield port


async def test_who_follows_goes_on_after_a_restart_and_misses_nothing(tmp_path: Path, held: int) -> None:
    with BridgeProcess(tmp_path / "data", {"PORT": str(held)}) as bridge:
        port = bridge.started()
        cli = Cli(f"http://127.0.0.1:{port}", tmp_path)
        for text in ("old", "a", "b"):
            await asyncio.to_thread(cli.json, "pub", text)
        tail = await cli.started("tail", "-f", "-n", "2", "-c", "4", "-o", "ndjson")
        assert tail.stdout is not None
        assert tail.stderr is not None
        first = [json.loads(await tail.stdout.readline())["text"] for _ in range(2)]
        await asyncio.to_thread(cli.json, "pub", "c")
        first.append(json.loads(await tail.stdout.readline())["text"])
        bridge.signal()
        assert await asyncio.to_thread(bridge.ended) == 0
    assert (await tail.stderr.readline()).startswith(b"bridge: ")
    with BridgeProcess(tmp_path / "data", {"PORT": str(port)}) as bridge:
        await asyncio.to_thread(bridge.started)
        await asyncio.to_thread(cli.json, "pub", "d")
        first.append(json.loads(await asyncio.wait_for(tail.stdout.readline(), ENOUGH_S))["text"])
        assert first == ["a", "b", "c", "d"]
        assert await asyncio.wait_for(tail.wait(), ENOUGH_S) == 0
        assert await tail.stderr.read() == b"bridge: connected again.\n"


async def test_a_topic_that_is_deleted_ends_its_readers_with_4(cli: Cli, topic: str) -> None:
    await asyncio.to_thread(cli.json, "pub", "-t", topic, "a")
    reading = await cli.started("sub", "-t", topic, "--from", "first", "-o", "ndjson")
    assert reading.stdout is not None
    assert json.loads(await asyncio.wait_for(reading.stdout.readline(), ENOUGH_S))["text"] == "a"
    assert (await asyncio.to_thread(cli, "topics", "rm", topic, "-y")).returncode == 0
    assert await asyncio.wait_for(reading.wait(), ENOUGH_S) == 4


async def test_members_of_a_group_share_the_messages_and_settle_them(cli: Cli, topic: str) -> None:
    numbers = [str(uuid.uuid4()) for _ in range(20)]
    sent = await asyncio.to_thread(cli, "pub", "-t", topic, given="\n".join(numbers))
    assert sent.returncode == 0
    first = await asyncio.to_thread(cli.lines, "sub", "-t", topic, "--group", "g", "-c", "5")
    rest = await asyncio.to_thread(cli.lines, "sub", "-t", topic, "--group", "g", "-c", "15")
    assert [each["text"] for each in (*first, *rest)] == numbers


def test_a_reader_who_has_enough_ends_it_quietly(cli: Cli, topic: str) -> None:
    assert cli("pub", "-t", topic, given="\n".join(map(str, range(3_000)))).returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "bridge", "sub", "-t", topic, "--from", "first"],
        env=cli.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline()
        reading.stdout.close()
        assert reading.wait(ENOUGH_S) == 0
        assert reading.stderr is not None
        assert reading.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments,environ",
    [
        (("pub", "x", "-H", "a b=c"), {}),
        (("pub", "x", "-H", "\u00e9=c"), {}),
        (("pub", "x", "-H", "a=c\r\nX: 1"), {}),
        (("pub", "x", "-t", "../x"), {}),
        (("topics", "ls"), {"BRIDGE_API_KEY": "k\r\nX: y"}),
        (("topics", "ls", "--url", "http://exa..mple:1"), {}),
        (("topics", "ls", "--url", f"http://{'a' * 64}.example:1"), {}),
        (("topics", "ls", "--url", "http://a b:1"), {}),
        (("topics", "ls", "--url", "http://127.0.0.1:1\n"), {}),
    ],
)
def test_what_can_be_no_request_is_a_usage_error_in_a_line(
    cli: Cli, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    ended = cli(*arguments, environ=environ)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("bridge: ")
    assert "k\r\nX" not in ended.stderr


def test_an_argument_that_is_no_text_is_stored_as_its_bytes(cli: Cli, topic: str) -> None:
    assert cli("pub", "-t", topic, "\udcff\udcfe").returncode == 0
    assert cli.lines("tail", "-t", topic)[0]["payload_base64"] == "//4="


def test_where_nothing_can_be_shown_the_message_is_stored_and_that_is_told(cli: Cli, topic: str) -> None:
    command = [sys.executable, "-m", "bridge", "pub", "-t", topic]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*command, "a"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=cli.environ(),
            cwd=ROOT,
            timeout=ENOUGH_S,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == b"bridge: What was done cannot be written: No space left on device.\n"
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command, "b"],
        stderr=subprocess.PIPE,
        env=cli.environ(),
        cwd=ROOT,
        timeout=ENOUGH_S,
        check=False,
    )
    assert (closed.returncode, closed.stderr) == (0, b"")
    assert payloads(cli, topic) == ["a", "b"]
