"""Messages on their way out that take long to look at and to encode: made ready in turns with all else (shell)."""

from bridge.clock import Deadline
from bridge.limits import PAGE_LIGHT_BYTES
from bridge.messagelog import Records
from bridge.web.server.turns import in_turns
from bridge.web.wire.pages import PageEncoder


async def made_ready(
    pages: PageEncoder, records: Records, *, deadline: Deadline | None, once: bool = False
) -> Records:
    """The same *records*, of which *pages* then knows all that takes long.

    Args:
        deadline: of the request that they are for; None where it has none.
        once: nobody is likely to read these again.

    Raises:
        DeadlineExceeded: if the time is up before the end.
    """
    if records.payload_bytes > PAGE_LIGHT_BYTES:
        await in_turns(pages.shown_steps(records, once=once), deadline=deadline)
    return records


async def judged(pages: PageEncoder, records: Records) -> Records:
    """The same *records*, of which *pages* then knows what they are; for those that live readers are given.

    How they are spelled is not kept with them: it may be six times as long, and they stay in memory for who falls behind.
    """
    await in_turns(pages.shown_steps(records, spelled=False), deadline=None)
    return records
