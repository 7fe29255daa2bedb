"""How the topic is named that gets what a group gives up (leaf, pure): the bridge makes it, the command line looks for it."""

from hashlib import blake2b
from typing import Final

from bridge.limits import NAME_CHARS_MAX

_SUFFIX: Final = ".dlq"
# What is kept of each name where both together are too long, so that an operator still knows them.
_PART_CHARS: Final = 100


def dead_letter_name(stream: str, topic: str, group: str) -> str:
    """`<topic>.<group>.dlq`; parts of the names and a digest of them where that is too long."""
    name = f"{topic}.{group}{_SUFFIX}"
    if len(name) > NAME_CHARS_MAX:
        digest = blake2b(f"{stream}\0{topic}\0{group}".encode(), digest_size=8).hexdigest()
        parts = (each[:_PART_CHARS].rstrip("._-") for each in (topic, group))
        name = ".".join((*parts, digest)) + _SUFFIX
    return name
