"""Acks, nacks and longer leases (shell)."""

from collections.abc import Sequence

from bridge.clock import Deadline
from bridge.groups.ledger import AckResult
from bridge.groups.ledger_replica import LedgerReplica
from bridge.groups.partition import AckOutcome
from bridge.groups.records import Acknowledge, Hold, Scope, Verb
from bridge.groups.reservations import ranges_of
from bridge.groups.tokens import Token, Tokens
from bridge.groups.values import TokenResult

__all__ = ("answers", "read_tokens", "settle")


def read_tokens(tokens: Tokens, texts: Sequence[str]) -> list[Token]:
    """
    What *texts* name, of the group of *tokens*.

    Raises:
        BadRequest: if one is no token of this group; its path says which.
    """
    return [tokens.read(text, path=f"tokens[{index}]") for index, text in enumerate(texts)]


async def settle(
    replica: LedgerReplica,
    scope: Scope,
    tokens: Sequence[Token],
    *,
    verb: Verb,
    delay_ms: int,
    deadline: Deadline,
) -> tuple[tuple[AckOutcome, ...], int]:
    """
    What became of each of *tokens*, in their order, and the new end of those that were extended.

    Raises:
        LogError: if it could not be told, or it is not known whether it was; telling it again does no harm.
    """
    holds: dict[tuple[int, int], set[int]] = {}
    for token in tokens:
        holds.setdefault((token.partition_id, token.lease_id), set()).add(token.offset)
    record = Acknowledge(
        replica.new_id(),
        scope,
        verb,
        delay_ms,
        tuple(
            Hold(partition_id, lease_id, ranges_of(sorted(offsets)))
            for (partition_id, lease_id), offsets in holds.items()
        ),
    )
    result = await replica.tell(record, deadline=deadline)
    if not isinstance(result, AckResult):
        raise TypeError("an ack has another result")
    return tuple(result.outcomes[token] for token in tokens), result.until_us


def answers(
    texts: Sequence[str], outcomes: Sequence[AckOutcome], extended_until_us: int | None
) -> tuple[TokenResult, ...]:
    """The answer to each token; with the new end where it was extended."""
    return tuple(
        TokenResult(text, outcome, extended_until_us if outcome is AckOutcome.DONE else None)
        for text, outcome in zip(texts, outcomes, strict=True)
    )
