"""Bodies of events, read as the bridge reads them, in one go."""

from bridge.events import result_of
from bridge.web.wire.submissions import Submission, batch_steps

__all__ = ("read_batch",)


def read_batch(body: bytes, *, messages_max: int) -> Submission:
    """What `POST /messages/batch` asks to store."""
    return result_of(batch_steps(body, messages_max=messages_max))
