"""What a caller may do, and to what (pure): scopes, permissions, roles and the principal that has them.

A permission is written as OAuth scopes are, in one word: `produce:orders/*` (RFC 6749 section 3.3 leaves their form open).
Keys and tokens spell what they may in the same words.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from bridge.limits import PERMISSION_CHARS_MAX, PERMISSIONS_MAX, PERMISSIONS_REMEMBERED_MAX


class Scope(StrEnum):
    """What may be done."""

    #: Store messages.
    PRODUCE = "produce"
    #: Read messages; keep, move and delete offsets; receive and settle as a member of a group.
    CONSUME = "consume"
    #: Make, change, purge and delete streams and topics; delete groups.
    ADMIN = "admin"
    #: Read figures: `/metrics` and `/stats`. Has no topics.
    METRICS = "metrics"


_OF_TOPICS: Final = (Scope.PRODUCE, Scope.CONSUME, Scope.ADMIN)


class Reach(NamedTuple):
    """The topics that a permission is for.

    Attributes:
        streams, topics: patterns of names, in which `*` stands for any characters, also none.
        all_topics: every topic of a stream that matches is meant, those to come too.
        stream, topic: as they were written: most name one, and need no search.
    """

    streams: re.Pattern[str]
    topics: re.Pattern[str]
    all_topics: bool
    stream: str = "*"
    topic: str = "*"

    def has(self, stream: str, topic: str) -> bool:
        """Whether it is for this topic."""
        return (stream == self.stream or self.streams.fullmatch(stream) is not None) and (
            self.all_topics or topic == self.topic or self.topics.fullmatch(topic) is not None
        )


class Permission(NamedTuple):
    """One scope, and where it holds; *text* is how it was written."""

    scope: Scope
    reach: Reach
    text: str


# A `*` in a name's place is the only wildcard: no classes, no `?`, so that a pattern reads like a name.
_PATTERN: Final = r"[A-Za-z0-9._*-]{1,255}"
_REACH: Final = re.compile(rf"(?P<stream>{_PATTERN})/(?P<topic>{_PATTERN})")
_PERMISSION: Final = re.compile(rf"(?P<scope>{'|'.join(Scope)})(?::(?P<reach>.+))?")
_FORM: Final = (
    "a permission is produce, consume, admin or metrics, and where it is not for all topics "
    "a colon, a stream and a topic, as in produce:orders/*"
)
_ANY: Final = re.compile(r".*", re.DOTALL)
_EVERYWHERE: Final = Reach(_ANY, _ANY, all_topics=True)

#: Ready-made sets of permissions.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "admin": ("produce", "consume", "admin", "metrics"),
    "editor": ("produce", "consume"),
    "viewer": ("consume",),
    "auditor": ("metrics",),
}


def parse_reach(text: str) -> Reach:
    """The topics that `*` or `STREAM/TOPIC` is for.

    Raises:
        ValueError: if *text* is neither.
    """
    if text == "*":
        return _EVERYWHERE
    match = _REACH.fullmatch(text)
    if match is None:
        raise ValueError(
            "topics are * for all, or a stream and a topic, in which * stands for any characters: orders/*"
        )
    stream, topic = match["stream"], match["topic"]
    return Reach(_matcher(stream), _matcher(topic), topic == "*", stream, topic)


@lru_cache(PERMISSIONS_REMEMBERED_MAX)
def parse_permission(text: str) -> Permission:
    """What `SCOPE`, `SCOPE:*` or `SCOPE:STREAM/TOPIC` allows; the first two mean all topics of all streams.

    Raises:
        ValueError: if *text* is none of these; the message says what would be.
    """
    match = _PERMISSION.fullmatch(text) if len(text) <= PERMISSION_CHARS_MAX else None
    if match is None:
        raise ValueError(_FORM)
    scope, reach = Scope(match["scope"]), match["reach"] or "*"
    if scope is Scope.METRICS and reach != "*":
        raise ValueError("figures are of the whole bridge: metrics takes no topics")
    try:
        return Permission(scope, parse_reach(reach), text)
    except ValueError:
        raise ValueError(_FORM) from None


def parse_permissions(texts: Iterable[str]) -> tuple[Permission, ...]:
    """Each of *texts* parsed, once.

    Raises:
        ValueError: if one is none, or there are more than `PERMISSIONS_MAX`.
    """
    distinct = tuple(dict.fromkeys(texts))
    if len(distinct) > PERMISSIONS_MAX:
        raise ValueError(f"more than {PERMISSIONS_MAX} permissions")
    return tuple(parse_permission(text) for text in distinct)


def _matcher(pattern: str) -> re.Pattern[str]:
    # Of what `fnmatch` knows only `*` passes `_PATTERN`; its expressions do not go back over what a star has taken, so
    # that no pattern is slow.
    return re.compile(translate(pattern))


class Principal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who calls, and what they may.

    Attributes:
        name: for logs and the audit; of a key, a token's subject, or a certificate.
        key_id: of the key that was shown; None for other credentials.
        unrestricted: may everything, without a look at *permissions*.
        expires_at_s: seconds since 1970 at which it ends, and its live streams with it; None for never.
    """

    name: str
    permissions: tuple[Permission, ...] = ()
    key_id: str | None = None
    unrestricted: bool = False
    expires_at_s: float | None = None

    def may(self, scope: Scope, stream: str, topic: str) -> bool:
        """Whether *scope* holds for this topic."""
        # No generator: each request asks this.
        for each in self.permissions:
            if each.scope is scope and each.reach.has(stream, topic):
                return True
        return self.unrestricted

    def may_whole(self, scope: Scope, stream: str) -> bool:
        """Whether *scope* holds for every topic that this stream has or will have."""
        return self.unrestricted or any(
            each.scope is scope and each.reach.all_topics and each.reach.streams.fullmatch(stream) is not None
            for each in self.permissions
        )

    def has(self, scope: Scope) -> bool:
        """Whether *scope* holds anywhere."""
        return self.unrestricted or any(each.scope is scope for each in self.permissions)

    def sees(self, stream: str, topic: str) -> bool:
        """Whether the topic is there for this caller: whatever they may not see does not exist for them."""
        return self.unrestricted or any(
            each.scope is not Scope.METRICS and each.reach.has(stream, topic) for each in self.permissions
        )

    def sees_stream(self, stream: str) -> bool:
        """Whether the stream is there for this caller: a topic that it has or could have is."""
        return self.unrestricted or any(
            each.scope is not Scope.METRICS and each.reach.streams.fullmatch(stream) is not None
            for each in self.permissions
        )

    def sees_whole(self, stream: str) -> bool:
        """Whether every topic of the stream is there for this caller."""
        return any(self.may_whole(scope, stream) for scope in _OF_TOPICS)


#: Whoever calls where no credentials are asked for.
ANONYMOUS: Final = Principal(name="anonymous", unrestricted=True)
#: Whoever has `API_KEY`.
HOLDER_OF_API_KEY: Final = Principal(name="api-key", unrestricted=True)
