"""What is open for longer than a short request ends with the credentials that it was opened with (shell)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bridge.clock import Clock
from bridge.errors import Unauthorized
from bridge.flow.timers import Timer, Timers, loop_timers
from bridge.limits import CREDENTIALS_LOOK_S
from bridge.policy.access import Principal
from bridge.policy.key_ring import Key, KeyRing


class _OpenOf:
    """What is open for one principal; *key* is the key as it is now, None for other credentials."""

    __slots__ = ("ends", "key", "principal")

    def __init__(self, principal: Principal, key: Key | None) -> None:
        self.principal = principal
        self.key = key
        self.ends: dict[object, Callable[[], None]] = {}


class Lifetimes:
    """One look a second at all principals who have something open: at the time when each ends, and at the ring, where a key
    may have been revoked, taken out, or given other rights.

    A key whose rights or networks were changed ends what is open as well: its client comes back, and is judged anew.

    Args:
        key_ring: None where there is no file of keys.
    """

    def __init__(self, clock: Clock, key_ring: KeyRing | None, *, timers: Timers = loop_timers) -> None:
        self._clock = clock
        self._key_ring = key_ring
        self._timers = timers
        self._timer: Timer | None = None
        # By the identity of the principal: all requests with one key, or one token, have the same.
        self._held: dict[int, _OpenOf] = {}

    @contextmanager
    def bound(self, principal: Principal, end: Callable[[], None]) -> Iterator[None]:
        """As long as this is open, *end* is called once when *principal* is let in no more; nothing for who always is.

        Args:
            end: says what is to be said and lets it end soon, without waiting for anything.
        """
        if principal.key_id is None and principal.expires_at_s is None:
            yield
            return
        held = self._held.get(id(principal))
        if held is None:
            key = None if self._key_ring is None else self._key_ring.key(principal.key_id)
            held = self._held[id(principal)] = _OpenOf(principal, key)
        place = object()
        held.ends[place] = end
        if self._timer is None:
            self._timer = self._timers(CREDENTIALS_LOOK_S, self.look)
        try:
            yield
        finally:
            held.ends.pop(place, None)
            if not held.ends and self._held.get(id(principal)) is held:
                del self._held[id(principal)]
            if not self._held and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    @contextmanager
    def of_request(self, principal: Principal) -> Iterator[None]:
        """As long as this is open, the running task is cut off when *principal* is let in no more.

        Raises:
            Unauthorized: if that came to pass.
        """
        task = asyncio.current_task()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if task is not None:
                is_over = True
                task.cancel()

        with self.bound(principal, end):
            try:
                yield
            except asyncio.CancelledError:
                # Of two who cancelled it, the other one has a reason of his own.
                if is_over and task is not None and task.uncancel() == 0:
                    raise Unauthorized from None
                raise

    def look(self) -> None:
        """End what may stay open no longer; done every second while anything is open."""
        now_s = self._clock.wall_s()
        self._timer = None
        for number, held in tuple(self._held.items()):
            if not self._is_let_in(held, now_s):
                # Nobody is told twice, and who comes from now on is refused at the door.
                del self._held[number]
                for end in tuple(held.ends.values()):
                    end()
        if self._held:
            self._timer = self._timers(CREDENTIALS_LOOK_S, self.look)

    def _is_let_in(self, held: _OpenOf, now_s: float) -> bool:
        expires_at_s = held.principal.expires_at_s
        if held.principal.key_id is not None and self._key_ring is not None:
            held.key = None if held.key is None else self._key_ring.successor(held.key)
            if held.key is None:
                return False
            expires_at_s = held.key.principal.expires_at_s
        return expires_at_s is None or now_s < expires_at_s
