"""Names on the command line (pure): topics, times, sizes, and what was meant by a name that is not there."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.requests import path_of

_AGE: Final = re.compile(r"(\d+)(s|m|h|d|w)")
_AGE_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SIZE: Final = re.compile(r"(\d+)([KMGT]i?B?|B)?", re.IGNORECASE)
_SIZE_STEPS: Final = "KMGT"


def split_topic(topic: str) -> tuple[str, str]:
    """Stream and topic of `STREAM/TOPIC`.

    Raises:
        CommandFailed: if it is anything else.
    """
    stream, slash, name = topic.partition("/")
    if not slash or "/" in name or not {stream, name}.isdisjoint({"", ".", ".."}):
        raise CommandFailed("A topic is named STREAM/TOPIC.", ExitCode.USAGE)
    return stream, name


def topic_path(topic: str | None) -> str:
    """Where a topic is; nothing for the default topic of the bridge, so that `/messages` follows.

    Raises:
        CommandFailed: as `split_topic`.
    """
    if topic is None:
        return ""
    stream, name = split_topic(topic)
    return path_of("streams", stream, "topics", name)


def age_of(text: str) -> timedelta:
    """`90s`, `10m`, `2h`, `7d`, `1w`, and several of them one after the other.

    Raises:
        CommandFailed: if it is anything else.
    """
    if not text or _AGE.sub("", text):
        raise CommandFailed("A length of time is like 90s, 10m, 2h, 7d or 1h30m.", ExitCode.USAGE)
    with _not_too_long():
        return timedelta(seconds=sum(int(count) * _AGE_S[unit] for count, unit in _AGE.findall(text)))


@contextmanager
def _not_too_long() -> Iterator[None]:
    try:
        yield
    except OverflowError:
        raise CommandFailed("The length of time is too long.", ExitCode.USAGE) from None


def moment_of(text: str, now: datetime, *, ahead: bool = False) -> datetime:
    """An RFC 3339 time as it is, in UTC; a length of time as so long before *now*, or *ahead* of it.

    Raises:
        CommandFailed: if it is neither, or leads out of the years 1 to 9999.
    """
    with _not_too_long():
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = now + age_of(text) * (1 if ahead else -1)
        if moment.tzinfo is None:
            raise CommandFailed("A time has a zone: 2026-01-02T03:04:05Z.", ExitCode.USAGE)
        return moment.astimezone(UTC)


def time_text(moment: datetime) -> str:
    """*moment*, in UTC, as RFC 3339 has it."""
    return moment.isoformat().replace("+00:00", "Z")


def place_of(text: str) -> str:
    """`first` or `last` as they are, a time or an age as the time that is meant.

    Raises:
        CommandFailed: if it is none of them.
    """
    return text if text in {"first", "last"} else time_text(moment_of(text, datetime.now(UTC)))


def size_of(text: str) -> int:
    """Bytes: a number, or one with K, M, G or T (KiB and KB both mean 1,024 bytes).

    Raises:
        CommandFailed: if it is anything else.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise CommandFailed("A size is like 1048576, 64K, 10M or 1GiB.", ExitCode.USAGE)
    unit = (found[2] or "B")[0].upper()
    return int(found[1]) * (1 if unit == "B" else int(1024 ** (_SIZE_STEPS.index(unit) + 1)))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the names that are most like *name*, or nothing."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else ""
