"""Groups, dead letters and stored offsets from the command line."""

import json
from typing import Any

import pytest

from tests.support.bridge_cli import Cli
from tests.support.bridge_process import connected, get


def receive(port: int, topic: str, group: str, **order: Any) -> list[dict[str, Any]]:
    stream, name = topic.split("/")
    with connected(port) as connection:
        path = f"/streams/{stream}/topics/{name}/groups/{group}/receive"
        connection.request("POST", path, json.dumps(order), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        found: list[dict[str, Any]] = json.loads(answer.read())["messages"]
        return found


def nack(port: int, topic: str, group: str, tokens: list[str]) -> None:
    stream, name = topic.split("/")
    with connected(port) as connection:
        path = f"/streams/{stream}/topics/{name}/groups/{group}/nack"
        body = json.dumps({"tokens": tokens})
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200


def give_up(port: int, topic: str, group: str, count: int) -> None:
    """All messages of the topic are given back until the group gives them up."""
    received = receive(port, topic, group, count=count, max_deliveries=1)
    assert len(received) == count
    nack(port, topic, group, [each["token"] for each in received])
    assert receive(port, topic, group, count=count, max_deliveries=1, wait_ms=100) == []
    stream, name = topic.split("/")
    # It does so beside requests.
    while json.loads(get(port, f"/streams/{stream}/topics/{name}/groups/{group}")[1])["lag"]:
        pass


def test_a_group_is_listed_shown_moved_and_removed(cli: Cli, topic: str) -> None:
    assert cli("pub", "-t", topic, given="1\n2\n3\n").returncode == 0
    assert len(cli.lines("sub", "-t", topic, "--group", "workers", "-c", "2")) == 2
    assert [(each["name"], each["lag"]) for each in cli.json("groups", "ls", topic)] == [("workers", 1)]
    shown = cli("groups", "info", topic, "workers").stdout.splitlines()
    assert shown[0].split() == ["GROUP", "workers"]
    assert shown[-1].split() == ["0", "1", "3", "1", "0", "0"]
    assert max(map(len, shown)) <= 80
    dry = cli("groups", "reset", topic, "workers", "--to", "first", "--dry-run")
    assert dry.stdout.splitlines()[1].split() == ["0", "2", "0"]
    assert dry.stderr == "Nothing was moved.\n"
    assert cli("groups", "reset", topic, "workers", "--to", "first").returncode == 2
    assert cli.lines("groups", "reset", topic, "workers", "--offset", "0=1", "--yes") == [
        {"partition_id": 0, "from_offset": 2, "to_offset": 1}
    ]
    assert [each["payload"] for each in cli.lines("sub", "-t", topic, "--group", "workers", "-c", "2")] == [
        2,
        3,
    ]
    assert cli("groups", "reset", topic, "workers", "--to", "1h", "-y").returncode == 0
    assert cli("groups", "rm", topic, "workers", "-y").returncode == 0
    assert cli.json("groups", "ls", topic) == []
    assert cli("groups", "info", topic, "workers").returncode == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("groups", "reset", "a/b", "g"),
        ("groups", "reset", "a/b", "g", "--to", "first", "--offset", "0=1"),
        ("groups", "reset", "a/b", "g", "--offset", "0"),
        ("groups", "reset", "a/b", "g", "--to", "soon"),
        ("offsets", "set", "a/b", "c", "x=1"),
    ],
)
def test_a_place_that_is_none_is_a_usage_error(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).returncode == 2


def test_dead_letters_are_listed_and_sent_back_once(cli: Cli, topic: str, port: int) -> None:
    cli.json("pub", "-t", topic, '{"a" : 1.50}', "-H", "kind=first")
    cli.json("pub", "-t", topic, "second")
    before = cli.lines("tail", "-t", topic)
    give_up(port, topic, "workers", 2)
    letters = cli.json("groups", "dlq", "ls", topic, "workers")
    assert [(each["came_from"], each["deliveries"]) for each in letters] == [("0:0", 1), ("0:1", 1)]
    assert cli("groups", "dlq", "redrive", topic, "workers").returncode == 2
    assert cli.json("groups", "dlq", "redrive", topic, "workers", "--yes") == {"sent": 2, "found": 0}
    after = cli.lines("tail", "-t", topic)
    kept = ("id", "headers", "payload", "text")
    assert [{name: each.get(name) for name in kept} for each in after[2:]] == [
        {name: each.get(name) for name in kept} for each in before
    ]
    assert '{"a" : 1.50}' in cli("tail", "-t", topic).stdout.splitlines()[2]
    assert cli.json("groups", "dlq", "ls", topic, "workers") == []
    assert cli.json("groups", "dlq", "redrive", topic, "workers", "-y") == {"sent": 0, "found": 0}
    assert len(cli.lines("tail", "-t", topic)) == 4


def test_the_letters_of_a_group_with_a_very_long_name_are_found(cli: Cli, topic: str, port: int) -> None:
    stream, group = topic.split("/", maxsplit=1)[0], f"g{'1' * 190}"
    long_topic = f"{stream}/t{'2' * 200}"
    assert cli("topics", "add", long_topic).returncode == 0
    cli.json("pub", "-t", long_topic, "lost")
    give_up(port, long_topic, group, 1)
    assert [each["came_from"] for each in cli.json("groups", "dlq", "ls", long_topic, group)] == ["0:0"]
    assert cli.json("groups", "dlq", "redrive", long_topic, group, "-y") == {"sent": 1, "found": 0}
    told = cli.json("groups", "info", long_topic, group)["dead_letter_topic"]
    assert told in [each["name"] for each in cli.json("topics", "ls", stream)]


@pytest.mark.parametrize("group", ["workers", f"g{'1' * 190}"])
def test_letters_outlive_their_group(cli: Cli, topic: str, port: int, group: str) -> None:
    topic += "2" * (250 - len(topic))
    assert cli("topics", "add", topic).returncode == 0
    cli.json("pub", "-t", topic, "lost")
    give_up(port, topic, group, 1)
    assert cli("groups", "rm", topic, group, "-y").returncode == 0
    assert len(cli.json("groups", "dlq", "ls", topic, group)) == 1


def test_a_redrive_that_was_cut_before_it_settled_sends_nothing_twice(
    cli: Cli, topic: str, port: int
) -> None:
    assert cli("pub", "-t", topic, given="1\n2\n").returncode == 0
    give_up(port, topic, "workers", 2)
    letters = f"{topic}.workers.dlq"
    # As a redrive does that is killed between sending the first back and settling both.
    taken = receive(port, letters, "redrive", count=2)
    sent = {name: taken[0][name] for name in ("id", "payload")}
    stream, name = topic.split("/")
    with connected(port) as connection:
        path = f"/streams/{stream}/topics/{name}/messages?lines=messages&partition_id=0"
        connection.request("POST", path, json.dumps(sent), {"Content-Type": "application/x-ndjson"})
        assert connection.getresponse().status == 201
    nack(port, letters, "redrive", [each["token"] for each in taken])
    assert cli.json("groups", "dlq", "redrive", topic, "workers", "-y") == {"sent": 1, "found": 1}
    assert [each["payload"] for each in cli.lines("tail", "-t", topic)] == [1, 2, 1, 2]


def test_offsets_are_stored_and_shown(cli: Cli, topic: str) -> None:
    assert cli("pub", "-t", topic, given="1\n2\n3\n").returncode == 0
    assert cli("offsets", "set", topic, "reader", "0=1").returncode == 0
    assert cli("offsets", "get", topic, "reader").stdout.splitlines()[1].split() == ["0", "1", "2", "1"]
    refused = cli("offsets", "set", topic, "reader", "0=9")
    assert (refused.returncode, "beyond the newest message" in refused.stderr) == (1, True)


def test_offsets_are_forgotten_of_a_partition_or_of_all(cli: Cli, topic: str) -> None:
    def stored() -> list[int | None]:
        return [each["offset"] for each in cli.json("offsets", "get", topic, "reader")]

    cli.json("topics", "grow", topic, "-p", "3")
    for partition in ("0", "1", "2"):
        cli.json("pub", "-t", topic, "x", "--partition", partition)
    cli.json("offsets", "set", topic, "reader", "0=0", "1=0", "2=0")
    assert cli("offsets", "rm", topic, "reader").returncode == 2
    assert stored() == [0, 0, 0]
    removed = cli("offsets", "rm", topic, "reader", "--partition", "0", "--partition", "2", "--yes")
    assert (removed.returncode, stored()) == (0, [None, 0, None])
    assert cli("offsets", "rm", topic, "reader", "-y").returncode == 0
    assert stored() == [None, None, None]
