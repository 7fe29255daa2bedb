"""What callers may ask of groups (pure)."""

from bridge import limits
from bridge.errors import BadRequest
from bridge.groups.records import Scope
from bridge.messagelog import TopicRef
from bridge.policy.names import check_name

__all__ = ("bounded", "scope_of")


def bounded(name: str, value: int, minimum: int, maximum: int) -> int:
    """
    *value*, if it is from *minimum* to *maximum*.

    Raises:
        BadRequest: if it is not; its path is *name*.
    """
    if not minimum <= value <= maximum:
        raise BadRequest(f"'{name}' takes {minimum} to {maximum}.", path=name, limit=maximum)
    return value


def scope_of(topic: TopicRef, group: str) -> Scope:
    """
    The group of that name of *topic*, whose own names are taken as valid.

    Raises:
        BadRequest: if groups may not be called so.
    """
    check_name(group, kind="group")
    if len(group) > limits.GROUP_NAME_CHARS_MAX:
        raise BadRequest(
            f"The group name has more than {limits.GROUP_NAME_CHARS_MAX} characters.",
            path="group",
            limit=limits.GROUP_NAME_CHARS_MAX,
        )
    return Scope(topic.stream, topic.topic, group)
