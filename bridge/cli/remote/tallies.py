"""What was sent, counted so that it can be compared with what is there (shell over a pure count)."""

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from bridge.cli.client.failures import CommandFailed

if TYPE_CHECKING:
    from bridge.cli.client.bridge_client import BridgeClient

#: A prime beyond 128 bits: sums of ids in it differ wherever the ids do, but by intent.
_MODULUS: Final = 2**130 - 5


class Tally(NamedTuple):
    """Messages in any order.

    Attributes:
        ids: the squares of their ids, added up.
        size_bytes: of their payloads; -1 where that of one is not known.
    """

    messages: int = 0
    ids: int = 0
    size_bytes: int = 0

    def plus(self, id_: str, size_bytes: int) -> "Tally":
        """With one message more; a size of 0, which no message has, is one that is not known."""
        number = UUID(id_).int
        known = size_bytes > 0 <= self.size_bytes
        return Tally(
            self.messages + 1,
            (self.ids + number * number) % _MODULUS,
            self.size_bytes + size_bytes if known else -1,
        )

    def state(self) -> list[str]:
        """As JSON keeps it, whose numbers are shorter."""
        return [str(each) for each in self]

    @classmethod
    def of(cls, state: Any) -> "Tally":
        """What `state` gave; an empty one of None."""
        return cls() if state is None else cls(*map(int, state))


async def check(client: "BridgeClient", path: str, cursor: str, sent: Tally) -> None:
    """Read the topic from *cursor* on, where it ended before anything was sent, and compare.

    Raises:
        CommandFailed: if other messages are there than were sent.
    """
    found = Tally()
    async with client.messages(path, (("cursor", cursor),)) as messages:
        async for message, _ in messages:
            found = found.plus(message.id, message.size)
    if sent.size_bytes < 0:
        found = found._replace(size_bytes=-1)
    if found == sent:
        return
    if found.messages > sent.messages:
        raise CommandFailed(
            f"{found.messages - sent.messages:,} messages more are there than the {sent.messages:,} that were sent.",
            hint="Somebody else writes to the topic, so this cannot be checked; or leave the check out with --no-check.",
        )
    raise CommandFailed(
        f"{found.messages:,} messages are there, {sent.messages:,} were sent, and they are not the same.",
        hint="Retention, or somebody, has removed some; or leave the check out with --no-check.",
    )
