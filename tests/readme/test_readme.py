"""Claims about the documents (shell): what they list is what there is, and what is made from the code is the newest."""

import re
from typing import Final

import msgspec
import pytest

from bridge import limits
from bridge.events.event import Event
from bridge.process import shutdown
from bridge.web.handlers.routes import ROUTES
from bridge.web.openapi.headers import ANSWER_HEADERS, REQUEST_HEADERS
from bridge.web.wire import (
    answers,
    bulk,
    cursors,
    groups,
    live,
    offsets,
    pages,
    problems,
    queries,
    submissions,
    topics,
)
from tests.readme.generated import DOCS, PARTS, ROOT, part_of
from tests.readme.pages import PAGES

HTTP: Final = (DOCS / "http.md").read_text()


def section(title: str) -> str:
    """The section of the HTTP reference, at either level."""
    return re.split(r"^##+ ", HTTP.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_is_made_from_the_code_is_the_newest(name: str) -> None:
    page, text = PARTS[name]
    assert part_of(page.read_text(), name).strip() == text.strip(), "run: python -m tests.generated"


def test_every_exit_code_is_told() -> None:
    told = {
        int(code) for code in re.findall(r"^\| (\d+) \| ", (DOCS / "operations.md").read_text(), re.MULTILINE)
    }
    assert told == {value for name, value in vars(shutdown).items() if name.startswith("EXIT_")}


def test_every_route_is_told_with_its_method() -> None:
    told = {
        (method, path)
        for methods, path in re.findall(r"`((?:[A-Z]+ )+)(/[^`]*)`", section("Routes"))
        for method in methods.split()
    }
    assert told == {(route.method, re.sub(r"\{(\w+)[^}]*\}", r"{\1}", route.path)) for route in ROUTES}


@pytest.mark.parametrize(
    "title, body",
    [
        ("Lines in", bulk.SendParameters),
        ("Reading", queries.PollParameters),
        ("Lines out", queries.BulkParameters),
        ("All partitions", cursors.CursorParameters),
        ("One event", submissions.MessageBody),
        ("One event", Event),
        ("One event", answers.EventReceipt),
        ("A batch", submissions.BatchBody),
        ("Reading", pages.PageAnswer),
        ("A message as it is read", pages.PlacedMessage),
        ("Streams", topics.StreamBody),
        ("Streams", answers.StreamAnswer),
        ("Topics", topics.TopicBody),
        ("Topics", topics.RetentionBody),
        ("Topics", topics.TopicChangeBody),
        ("Topics", topics.PartitionsBody),
        ("Topics", answers.TopicAnswer),
        ("Stored offsets", offsets.OffsetBody),
        ("Stored offsets", offsets.OffsetsBody),
        ("Stored offsets", offsets.PlacedOffset),
        ("Stored offsets", offsets.ConsumerOffset),
        ("Stored offsets", offsets.ConsumerOffsets),
        ("Groups", groups.ReceiveRequest),
        ("Groups", groups.AckBody),
        ("Groups", groups.NackBody),
        ("Groups", groups.ExtendBody),
        ("Groups", groups.SeekBody),
        ("Groups", groups.TokenOutcome),
        ("Groups", groups.TokensAnswer),
        ("Groups", groups.GroupAnswer),
        ("Groups", groups.PartitionOfGroup),
        ("Groups", groups.SeekAnswer),
        ("Errors", problems.Problem),
        ("Probes and figures", answers.HealthAnswer),
        ("Probes and figures", answers.ReadyAnswer),
        ("Probes and figures", answers.StatsAnswer),
    ],
)
def test_every_field_of_a_body_and_of_an_answer_is_told(title: str, body: type[msgspec.Struct]) -> None:
    text = section(title)
    names = [field.encode_name for field in msgspec.structs.fields(body)]
    assert [name for name in names if not re.search(rf'[`"]{name}[`"]', text)] == []


def test_every_parameter_of_a_live_stream_is_told() -> None:
    rows = (DOCS / "live.md").read_text()
    assert [name for name in queries.names_of(live.LiveParameters) if f"`{name}`" not in rows] == []


def test_every_header_is_told() -> None:
    told = HTTP + (DOCS / "live.md").read_text()
    handshake = re.compile("Upgrade|Connection|Sec-WebSocket-")  # what a library of RFC 6455 does
    names = [name for name in (*REQUEST_HEADERS, *ANSWER_HEADERS) if not handshake.match(name)]
    # Behind a dot stands of which answers a form of the field is.
    assert [name for name in names if f"`{name.partition('.')[0]}" not in told] == []


def test_the_recipes_begin_with_a_list_of_all() -> None:
    text = (DOCS / "recipes.md").read_text()
    listed = re.findall(r"\| \[[^]]+\]\(#([\w-]+)\) \|", text)
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert listed == [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def test_the_concepts_are_twelve_words() -> None:
    assert len(re.findall(r"^\| \*\*", (DOCS / "concepts.md").read_text(), re.MULTILINE)) == 12


def test_every_command_of_make_that_is_named_exists() -> None:
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:`|^|\d )make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= rules


@pytest.mark.parametrize(
    "page, told",
    [
        ("http.md", f"up to {limits.WAIT_MS_MAX}, never past"),
        ("http.md", f"what others send to Iggy within {limits.TAIL_POLL_MS_MAX} ms"),
        ("http.md", f"message has {limits.MESSAGE_PAYLOAD_BYTES_MAX:,} bytes at most"),
        ("http.md", f"may have {limits.JSON_DEPTH_MAX} levels"),
        ("http.md", f"the first {limits.NDJSON_FAULTS_TOLD} of the failed"),
        ("http.md", f"1 to {limits.RETENTION_AGE_S_MAX}"),
        ("http.md", f"0 (default) to {limits.GROUP_NACK_DELAY_MS_MAX}"),
        ("http.md", f"{limits.GROUP_VISIBILITY_MS_MIN} to {limits.GROUP_VISIBILITY_MS_MAX}"),
        ("http.md", f"1 (default) to {limits.CONSUMER_ID_MAX}"),
        ("live.md", f"A stream is silent for {limits.LIVE_HEARTBEAT_S:.0f} s at most"),
        ("live.md", f"takes nothing for {limits.WRITE_PATIENCE_S:.0f} s is cut;"),
        ("live.md", f"is {limits.LIVE_RETRY_MS_MIN // 1000} to {limits.LIVE_RETRY_MS_MAX // 1000} s"),
        ("live.md", f"at most {limits.LIVE_STREAMS_MAX:,} streams in a process"),
        ("operations.md", f"the {limits.WS_PING_INTERVAL_S:.0f} s of a silent socket"),
        ("groups.md", f"look after them within {limits.GROUP_MEMBER_TTL_MS // 1000} s"),
    ],
)
def test_bounds_are_those_of_the_code(page: str, told: str) -> None:
    assert told in " ".join((DOCS / page).read_text().split())
