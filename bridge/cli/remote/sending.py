"""Messages sent so that none is lost and none is there twice, whatever breaks in between (shell).

Every message has an id before it is sent. Before a block of them goes out, the end of the topic is looked at; where nobody
knows what became of the block, what came behind that place is read, and only those whose ids are not there are sent again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson

from bridge.cli.client.failures import CommandFailed
from bridge.cli.client.messages import packed
from bridge.cli.client.requests import Request
from bridge.cli.client.tries import transfer_tries
from bridge.cli.remote.partition_reading import end_of

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient


#: One request: as much as a bridge stores in one batch, so that a request is one append in nearly every case.
BLOCK_MESSAGES: Final = 1_000
BLOCK_BYTES: Final = 1024 * 1024
_LINES: Final = {"Content-Type": "application/x-ndjson"}
#: Half a minute to three minutes: a restart of the bridge fits in.
_WAIT_S: Final = 0.25


class Outgoing(NamedTuple):
    """A message on its way.

    Attributes:
        id: as a UUID is written, in lower case.
        line: the message as `lines=messages` takes it, with this id.
        partition_id: where it must go; None for anywhere.
        size_bytes: of its payload, 0 where nobody counts.
        place: where it came from, for people; nothing where they know.
    """

    id: str
    line: bytes
    partition_id: int | None = None
    size_bytes: int = 0
    place: str = ""

    @classmethod
    def of(cls, payload: bytes, id_: str) -> "Outgoing":
        """A message of these bytes: as JSON, as text or as what it is; an event keeps its own id."""
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            from base64 import b64encode  # noqa: PLC0415 (hardly ever)

            return cls(id_, b'{"id":"%b","payload_base64":"%b"}' % (id_.encode(), b64encode(payload)))
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return cls(id_, b'{"id":"%b","text":%b}' % (id_.encode(), orjson.dumps(text)))
        is_event = isinstance(value, dict) and "event_type" in value
        id_ = (is_event and plain_id(value.get("id"))) or id_
        return cls(id_, b'{"id":"%b","payload":%b}' % (id_.encode(), payload.replace(b"\n", b" ")))


class Stored(NamedTuple):
    """What a bridge said of a request: where its messages are, and what that means."""

    receipts: Sequence[Mapping[str, Any]]
    durability: str | None


class BlockSender:
    """Sends blocks to one topic.

    Args:
        path: of the topic; nothing for the default one.
        query: `partition_key` or `partition_id` of all messages.
        headers: of all messages.
    """

    def __init__(
        self,
        client: "BridgeClient",
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._path = path
        self._query = query
        self._headers = {f"Message-Header-{name}": value for name, value in (headers or {}).items()}

    async def place(self) -> str:
        """As `end_of` this topic."""
        return await end_of(self._client, self._path)

    async def missing(self, block: Sequence[Outgoing], cursor: str) -> list[Outgoing]:
        """Those of *block* that are not stored behind *cursor*.

        Raises:
            CommandFailed: if that cannot be read.
        """
        wanted = {each.id for each in block}
        found: Counter[str] = Counter()
        async with self._client.messages(self._path, (("cursor", cursor),)) as messages:
            async for message, _ in messages:
                if message.id in wanted:
                    found[message.id] += 1
        left = []
        for each in block:
            if found[each.id]:
                found[each.id] -= 1
            else:
                left.append(each)
        return left

    async def send(self, block: Sequence[Outgoing], cursor: str) -> list[Stored]:
        """Store all of *block*; what was stored is told, but for what was found to be there already.

        Args:
            cursor: `place`, from before the first try.

        Raises:
            CommandFailed: if not all of it is stored, after some tries where trying helps.
        """
        stored: list[Stored] = []
        left = list(block)
        looks = False
        async for attempt in transfer_tries(wait_s=_WAIT_S):
            with attempt:
                if looks:
                    left = await self.missing(left, cursor)
                looks = True
                runs = _runs(left)
                for partition_id, run in runs:
                    try:
                        stored.append(await self._send(run, partition_id))
                    except CommandFailed as failure:
                        failure.hint = failure.hint or _fault_told(run, failure, alone=len(runs) == 1)
                        raise
        return stored

    async def _send(self, run: Iterable[Outgoing], partition_id: int | None) -> Stored:
        query = (*self._query, ("lines", "messages"))
        if partition_id is not None:
            query = (("partition_id", str(partition_id)), *query)
        body = b"\n".join([packed(each.line) for each in run])
        answer = await self._client.ask_once(
            Request("POST", f"{self._path}/messages", query, body, {**_LINES, **self._headers})
        )
        return Stored(answer["partitions"], answer["durability"])


def _runs(block: Sequence[Outgoing]) -> list[tuple[int | None, list[Outgoing]]]:
    """By partition, each in order."""
    runs: dict[int | None, list[Outgoing]] = {}
    for each in block:
        runs.setdefault(each.partition_id, []).append(each)
    return list(runs.items())


def _fault_told(run: Sequence[Outgoing], failure: CommandFailed, *, alone: bool) -> str:
    """Which message of *run* is at fault, as the one who sends it knows it; nothing where none is."""
    word, _, number = failure.fault_at.partition(" ")
    if word != "line" or not number.isdecimal() or not run[int(number) - 1].place:
        return ""
    before = "all before it are stored" if alone else "those before it that go to its partition are stored"
    return f"That is {run[int(number) - 1].place}; {before}."


def plain_id(told: object) -> str:
    """The id that *told* spells, as bridges give it back: in lower case. Nothing where it spells none."""
    try:
        return str(UUID(told)) if isinstance(told, str) else ""
    except ValueError:
        return ""
