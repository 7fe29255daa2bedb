"""Topics copied, written to files and stored from them: all that belongs to a message is kept, whatever is cut."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bridge.cli.remote.tallies import Tally
from tests.support.bridge_cli import Cli
from tests.support.bridge_process import BridgeProcess
from tests.support.tcp_proxy import fault_proxy

ENOUGH_S = 120.0
KEPT = ("id", "headers", "size", "event", "payload", "text", "payload_base64", "partition_id")


def messages(cli: Cli, topic: str) -> list[dict[str, Any]]:
    """Of each partition in its order, which is all that a copy keeps."""
    found = cli.lines("tail", "-t", topic, "--from", "first")
    found.sort(key=lambda each: (each["partition_id"], each["offset"]))
    return [{name: each.get(name) for name in KEPT} for each in found]


@pytest.fixture
def source(cli: Cli, topic: str) -> str:
    """A topic of three partitions with messages of every kind."""
    name = f"{topic.split('/', maxsplit=1)[0]}/source"
    cli.json("topics", "add", name, "-p", "3", "--max-age", "7d")
    cli.json("pub", "-t", name, "hello", "-H", "kind=text", "--partition", "2")
    cli.json("pub", "-t", name, '{"a" : 1.50}', "-H", "kind=json", "--partition", "0")
    assert cli("pub", "-t", name, "--partition", "1", given=b"\xff\xfe\n").returncode == 0
    for key in ("a", "b", "c", "d"):
        assert cli("pub", "-t", name, "-k", key, given=f"{key}1\n{key}2\n").returncode == 0
    return name


def test_a_copy_has_the_ids_headers_and_partitions_of_its_source(cli: Cli, source: str) -> None:
    target = source.replace("/", "-copy/")
    refused = cli("copy", source, target)
    assert (refused.returncode, "--add" in refused.stderr) == (4, True)
    done = cli("copy", source, target, "--add")
    assert (done.returncode, done.stderr) == (0, "")
    assert "MESSAGES    11" in done.stdout
    assert "CHECKED     all are there, none is there twice" in done.stdout
    assert messages(cli, target) == messages(cli, source)
    assert cli.json("topics", "info", target)["retention"]["max_age_seconds"] == 604_800
    assert '{"a" : 1.50}' in cli("tail", "-t", target, "-n", "100").stdout


def test_a_copy_that_does_not_fit_says_so(cli: Cli, source: str, topic: str) -> None:
    assert cli("copy", source, source).returncode == 2
    fewer = cli("copy", source, topic)
    assert (fewer.returncode, "--spread" in fewer.stderr) == (2, True)
    assert cli.json("copy", source, topic, "--spread")["messages"] == 11
    assert {each["id"] for each in messages(cli, topic)} == {each["id"] for each in messages(cli, source)}
    missing = cli("copy", source.replace("source", "sorce"), topic)
    assert (missing.returncode, "source?" in missing.stderr) == (4, True)


def test_a_copy_goes_to_another_bridge_and_takes_no_key_along(cli: Cli, source: str, tmp_path: Path) -> None:
    with BridgeProcess(tmp_path / "other", {"API_KEY": "other-key"}) as bridge:
        url = f"http://127.0.0.1:{bridge.started()}"
        key_file = tmp_path / "key"
        key_file.write_text("other-key")
        refused = cli(
            "copy", source, "there/events", "--to-url", url, environ={"BRIDGE_API_KEY": "other-key"}
        )
        assert refused.returncode == 3
        target = ("--to-url", url, "--to-key-file", str(key_file))
        assert cli.json("copy", source, "there/events", "--add", *target)["messages"] == 11
        other = Cli(url, tmp_path)
        found = other(
            "tail", "-t", "there/events", "--from", "first", "-o", "ndjson", "--key-file", str(key_file)
        )
        assert sorted(json.loads(line)["id"] for line in found.stdout.splitlines()) == sorted(
            each["id"] for each in messages(cli, source)
        )


async def test_a_copy_that_was_killed_goes_on_with_nothing_lost_and_nothing_twice(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    lines = "".join(f'{{"n":{number}}}\n' for number in range(3_500))
    assert (await asyncio.to_thread(cli, "pub", "-t", topic, given=lines)).returncode == 0
    target = topic.replace("events", "copy")
    async with fault_proxy(cli.url.removeprefix("http://")) as proxy:
        # What it reads goes straight, what it writes does not; the reply to this block is lost.
        to = ("--to-url", f"http://{proxy.address}", "--add", "-o", "json")
        proxy.lose_reply_to = b'"payload":{"n":1500}'
        copying = await cli.started("copy", topic, target, *to)
        await asyncio.wait_for(proxy.swallowed.wait(), ENOUGH_S)
        copying.kill()
        await copying.wait()
        proxy.lose_reply_to = None
        done = await asyncio.to_thread(cli, "copy", topic, target, *to)
    assert (done.returncode, done.stderr) == (0, "bridge: going on behind 1,000 messages.\n")
    told = json.loads(done.stdout)
    assert (told["messages"], told["found"]) == (3_500, 1_000)
    assert await asyncio.to_thread(messages, cli, target) == await asyncio.to_thread(messages, cli, topic)


def test_a_copy_that_was_done_goes_on_with_what_came_since(cli: Cli, source: str) -> None:
    target = source.replace("/", "-copy/")
    assert cli.json("copy", source, target, "--add")["messages"] == 11
    again = cli("copy", source, target, "-o", "json")
    assert (again.returncode, json.loads(again.stdout)["messages"]) == (0, 0)
    assert "going on behind what was copied at 20" in again.stderr
    cli.json("pub", "-t", source, "one more", "--partition", "1")
    assert cli.json("copy", source, target)["messages"] == 1
    assert messages(cli, target) == messages(cli, source)
    assert cli.json("copy", source, target, "--restart")["messages"] == 12
    assert len(messages(cli, target)) == 24


def test_a_copy_into_a_topic_that_lost_what_was_copied_says_so(cli: Cli, source: str) -> None:
    target = f"{source}-copy"
    assert cli.json("copy", source, target, "--add")["messages"] == 11
    assert cli("topics", "purge", target, "--yes").returncode == 0
    refused = cli("copy", source, target)
    assert (refused.returncode, "--restart" in refused.stderr) == (2, True)
    assert cli.json("copy", source, target, "--restart")["messages"] == 11
    assert messages(cli, target) == messages(cli, source)


async def test_an_import_of_ids_in_upper_case_goes_on_with_nothing_lost_and_nothing_twice(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    ids = [str(UUID(int=number)) for number in range(10 << 100, (10 << 100) + 1_500)]
    path = tmp_path / "lines.ndjson"
    path.write_text(
        "".join(
            f'{{"id":"{id_.upper()}","text":"{number}"}}\n'
            if number % 2
            else f'{{"event":{{"id":"{id_.upper()}","n":"{number}"}}}}\n'
            for number, id_ in enumerate(ids)
        )
    )
    async with fault_proxy(cli.url.removeprefix("http://")) as proxy:
        through = Cli(f"http://{proxy.address}", tmp_path)
        proxy.lose_reply_to = b'"text":"1001"'
        importing = await through.started("import", str(path), topic)
        await asyncio.wait_for(proxy.swallowed.wait(), ENOUGH_S)
        importing.kill()
        await importing.wait()
        proxy.lose_reply_to = None
        done = await asyncio.to_thread(through, "import", str(path), topic, "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["found"] == 500
    assert [each["id"] for each in await asyncio.to_thread(messages, cli, topic)] == ids


def test_a_check_finds_what_was_not_sent(cli: Cli, source: str, topic: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.ndjson"
    assert cli.json("export", source, str(path))["messages"] == 11
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], *lines[:1]]))
    assert cli.json("import", str(path), topic, "--spread")["messages"] == 4
    sent = Tally().plus("7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11", 3)
    assert sent != Tally().plus("7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e12", 3)
    assert Tally.of(sent.state()) == sent
    assert sent.plus("7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11", 0).size_bytes == -1


def test_a_file_has_all_of_a_topic_and_gives_it_back(cli: Cli, source: str, tmp_path: Path) -> None:
    path = tmp_path / "topic.ndjson"
    told = cli.json("export", source, str(path))
    assert (told["messages"], len(path.read_text().splitlines())) == (11, 11)
    again = cli("export", source, str(path))
    assert (again.returncode, "--restart" in again.stderr) == (2, True)
    assert cli("export", source, str(path), "--restart").returncode == 0
    target = f"{source}-again"
    cli.json("topics", "add", target, "-p", "3")
    told = cli.json("import", str(path), target)
    assert (told["messages"], told["checked"]) == (11, "all are there, none is there twice")
    assert messages(cli, target) == messages(cli, source)


def test_lines_without_ids_get_them_and_what_is_no_line_is_named(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines.ndjson"
    event = '{"id":"7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11"}'
    path.write_text(f'{{"payload":1}}\n\n {{"text":"x","headers":{{"a":"b"}}}}\n{{"event":{event}}}\n')
    assert cli.json("import", str(path), topic)["size_bytes"] is None
    found = messages(cli, topic)
    assert [each["payload"] or each["text"] for each in found] == [1, "x", json.loads(event)]
    assert found[2]["id"] == "7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11"
    path.write_text('{"payload":1}\nnothing\n')
    refused = cli("import", str(path), topic)
    assert (refused.returncode, "That is line 2" in refused.stderr) == (1, True)
    assert cli("import", "/nowhere", topic).returncode == 2
    assert cli("import", str(path), "no/topic").returncode == 4


def test_a_file_that_was_stored_is_not_stored_again_by_mistake(cli: Cli, topic: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.ndjson"
    path.write_text('{"payload":1}\n')
    long_ago = tmp_path / "state" / "bridge" / "0.ended"
    long_ago.parent.mkdir(parents=True)
    long_ago.write_text("{}")
    os.utime(long_ago, (0, 0))
    assert cli("import", str(path), topic).returncode == 0
    assert not long_ago.exists()
    again = cli("import", str(path), topic)
    assert (again.returncode, "--restart" in again.stderr) == (2, True)
    assert "The file was stored there already, at 20" in again.stderr
    assert len(messages(cli, topic)) == 1
    assert cli("import", str(path), topic, "--restart").returncode == 0
    assert len(messages(cli, topic)) == 2
    path.write_text('{"payload":2}\n{"payload":3}\n')
    assert cli("import", str(path), topic).returncode == 0
    assert [each["payload"] for each in messages(cli, topic)] == [1, 1, 2, 3]


def test_an_import_goes_on_where_a_line_was_mended_with_nothing_lost_and_nothing_twice(
    cli: Cli, source: str, tmp_path: Path
) -> None:
    path = tmp_path / "topic.ndjson"
    assert cli("export", source, str(path)).returncode == 0
    lines = path.read_text().splitlines()
    place = next(
        number for number, line in enumerate(lines) if '"partition_id":1,' in line and '"text":"' in line
    )
    whole = lines[place]
    target = f"{source}-mended"
    cli.json("topics", "add", target, "-p", "3")
    lines[place] = whole.replace('"text":"', '"text":[],"x":"')
    path.write_text("\n".join(lines))
    done = cli("import", str(path), target)
    assert (done.returncode, "Mend it, and the same command goes on there." in done.stderr) == (1, True)
    # It tells the size of before.
    lines[place] = whole.replace('"text":"', '"text":"mended ')
    path.write_text("\n".join(lines))
    told = cli.json("import", str(path), target)
    assert (told["messages"], told["checked"]) == (11, "all are there, none is there twice")
    assert told["found"] > 0
    found, kept = messages(cli, target), messages(cli, source)
    different = [(a["text"], b["text"]) for a, b in zip(found, kept, strict=True) if a != b]
    assert different == [(f"mended {json.loads(whole)['text']}", json.loads(whole)["text"])]


def test_an_export_that_cannot_begin_anew_leaves_the_file_of_before(
    cli: Cli, source: str, tmp_path: Path
) -> None:
    path = tmp_path / "topic.ndjson"
    assert cli("export", source, str(path)).returncode == 0
    whole = path.read_bytes()
    assert cli("export", "no/topic", str(path), "--restart").returncode == 4
    assert cli("export", source, str(path), "--restart", "--curl").returncode == 0
    assert path.read_bytes() == whole


def test_what_cannot_be_gone_back_in_is_not_sent(cli: Cli, topic: str, tmp_path: Path) -> None:
    pipe, number = os.pipe()
    os.close(number)
    for command in (("import", f"/dev/fd/{pipe}", topic), ("pub", "-t", topic, "--file", f"/dev/fd/{pipe}")):
        refused = cli(*command)
        assert (refused.returncode, "A pipe cannot be read again" in refused.stderr) == (2, True)
    os.close(pipe)


async def test_an_export_that_was_killed_goes_on_behind_its_last_whole_line(
    cli: Cli, topic: str, tmp_path: Path
) -> None:
    lines = "".join(f'{{"n":{number}}}\n' for number in range(2_000))
    assert (await asyncio.to_thread(cli, "pub", "-t", topic, given=lines)).returncode == 0
    path = tmp_path / "topic.ndjson"
    assert (await asyncio.to_thread(cli, "export", topic, str(path))).returncode == 0
    whole = path.read_bytes()
    path.unlink()
    async with fault_proxy(cli.url.removeprefix("http://")) as proxy:
        through = Cli(f"http://{proxy.address}", tmp_path)
        proxy.lose_reply_to = b"until="
        exporting = await through.started("export", topic, str(path))
        await asyncio.wait_for(proxy.swallowed.wait(), ENOUGH_S)
        second = await asyncio.to_thread(through, "export", topic, str(path), "--restart")
        assert (second.returncode, "at work already" in second.stderr, path.exists()) == (1, True, True)
        exporting.kill()
        await exporting.wait()
        proxy.lose_reply_to = None
        # As it is when the disk took a part of what was written.
        path.write_bytes(whole[: len(whole) // 2])
        done = await asyncio.to_thread(through, "export", topic, str(path), "-o", "json")
    assert done.returncode == 0
    assert "going on behind" in done.stderr
    assert json.loads(done.stdout)["messages"] == 2_000
    assert path.read_bytes() == whole
