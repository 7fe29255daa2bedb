"""Why a live stream ends (pure): the words are the same in event streams and on sockets."""

from enum import StrEnum

from bridge.errors import BridgeError, NotFound

__all__ = ("EndReason", "reason_of")


class EndReason(StrEnum):
    """What `bye` and `ended` give as their `reason`."""

    #: The process drains: the same again goes on at the cursor, here or elsewhere.
    SHUTDOWN = "shutdown"
    #: The topic, or a partition asked for, is no more.
    GONE = "gone"
    #: Something else is wrong with it.
    FAILED = "failed"
    #: The client wanted it so.
    UNSUBSCRIBED = "unsubscribed"


def reason_of(error: BridgeError) -> EndReason:
    """The word for a stream that *error* ended; the problem, told beside it, says more."""
    return EndReason.GONE if isinstance(error, NotFound) else EndReason.FAILED
