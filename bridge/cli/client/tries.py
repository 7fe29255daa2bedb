"""How often a long transfer is tried again (shell over `stamina`)."""

from collections.abc import AsyncIterator
from typing import Final

import stamina

from bridge.cli.client.failures import wait_before_again

# Together one to two minutes: a bridge that is started anew is back by then.
_ATTEMPTS: Final = 12
_WAIT_S_MAX: Final = 20.0


def transfer_tries(*, wait_s: float) -> AsyncIterator[stamina.Attempt]:
    """Tries of one step of a transfer, for `async for`; each is a context that takes in what another try can mend.

    Args:
        wait_s: before the second one, where the bridge does not say; it doubles with each.
    """
    return aiter(
        stamina.retry_context(
            on=wait_before_again, attempts=_ATTEMPTS, wait_initial=wait_s, wait_max=_WAIT_S_MAX, timeout=None
        )
    )
