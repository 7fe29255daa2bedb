"""How much may be in flight (pure): a bound on requests that follows what the machine can do, one on bytes, and shares of both.

Requests taken in beyond what the event loop gets through make all others wait, probes too. How late the loop is says which
it is: the bound goes down when it is late, and up again when it is not and somebody found no place. Who finds none waits in
line for a moment, as with HAProxy's `timeout queue`: to refuse costs nearly what the work does.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from bridge.limits import (
    ADDRESS_BYTES_ALPHA,
    ADDRESS_REQUESTS_ALPHA,
    ADMITTED_REQUESTS_MIN,
    ADMITTED_REQUESTS_START,
    LOOP_LATE_S,
    REFUSALS_PER_S_MAX,
    REFUSALS_PER_S_MIN,
    REFUSED_REST_S_MAX,
)
from bridge.policy.client_address import limit_key


class FairShare:
    """Slots, or bytes, shared by a dynamic threshold (Choudhury and Hahne, 1998): who has some may have more as long as all
    he has is within *alpha* times what is free.

    One who comes alone gets alpha / (1 + alpha) of it, each of n as much as the other, and something is always free for
    the next; nothing is kept apart for anybody.

    Args:
        alpha: 1 leaves a half to others, 3 a quarter.
        least: that anybody may have while it is free.
    """

    def __init__(self, amount_max: int, *, alpha: float, least: int = 1) -> None:
        self.amount_max = amount_max
        self._alpha = alpha
        self._least = least
        self._by_holder: dict[str, int] = {}
        self.taken = 0

    def take(self, holder: str, amount: int = 1) -> bool:
        """Whether *holder* may have so much more, and has it now."""
        free = self.amount_max - self.taken
        held = self._by_holder.get(holder, 0)
        if amount > free or held + amount > max(self._least, self._alpha * free):
            return False
        self.add(holder, amount)
        return True

    def add(self, holder: str, amount: int) -> None:
        """*holder* has so much more, whether he may or not."""
        self.taken += amount
        self._by_holder[holder] = self._by_holder.get(holder, 0) + amount

    def give_back(self, holder: str, amount: int = 1) -> None:
        """*holder* has so much less."""
        self.taken -= amount
        left = self._by_holder[holder] - amount
        if left:
            self._by_holder[holder] = left
        else:
            del self._by_holder[holder]


_DOWN = 0.75
# Up again slowly, twice as much in 0.2 s: with a quarter each time the bound swung between 64 and 440, and each swing
# was a turn of the loop of 30 to 50 ms.
_UP = 1 / 32


class Admission:
    """Places for requests, and bytes of bodies that came in pieces.

    Of both an address has a share (`FairShare`); of the places only beyond the first, so that nothing is counted by
    address while there is little to do.

    Args:
        body_bytes_max: of one body, which an address may hold whatever its share is.

    Attributes:
        refusals: how fast they may come.
        bound: how many requests may be in flight now; never above *requests_max*, and those that wait for a place neither.
    """

    def __init__(self, *, requests_max: int, bytes_max: int, body_bytes_max: int = 1) -> None:
        self._requests_max = requests_max
        self._requests_min = min(requests_max, ADMITTED_REQUESTS_MIN)
        self._bytes = FairShare(bytes_max, alpha=ADDRESS_BYTES_ALPHA, least=body_bytes_max)
        # Whether somebody found no place since the last look.
        self._wanted = False
        self.bound = min(requests_max, ADMITTED_REQUESTS_START)
        self._shared = FairShare(0, alpha=ADDRESS_REQUESTS_ALPHA)
        self._waits = FairShare(0, alpha=ADDRESS_REQUESTS_ALPHA)
        # By holder, whose turn is next first, and of each who came first, with what is called when it has a place.
        self._lines: OrderedDict[str, OrderedDict[Grant, Callable[[], None]]] = OrderedDict()
        self.refusals = RefusalPace()
        self.in_flight = 0

    @property
    def held_bytes(self) -> int:
        """Of bodies; those that came in one piece with their head (64 KiB) are bounded by the requests."""
        return self._bytes.taken

    @property
    def crowded(self) -> bool:
        """Whether a place is counted by address."""
        return self.in_flight >= self._requests_min

    @property
    def busy(self) -> bool:
        """Whether it is worth looking how late the loop is."""
        return self._wanted or self.crowded or self.refusals.per_s < REFUSALS_PER_S_MAX

    def enter(self, holder: str = "") -> bool:
        """Take a place; False if there is none.

        Args:
            holder: who has no more than his share of the places that are counted by address; "" where none is counted.
        """
        if holder:
            self._shared.amount_max = self.bound - self._requests_min
        if (
            self.in_flight < self.bound
            and not (self._lines and self.is_full)
            and (not holder or self._shared.take(holder))
        ):
            self.in_flight += 1
            return True
        self._wanted = True
        return False

    def leave(self, holder: str = "") -> None:
        """Give a place back, that of *holder* where it was taken so; who is next in line has it."""
        self.in_flight -= 1
        if holder:
            self._shared.give_back(holder)
        if self._lines:
            self._call()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._waits.taken

    @property
    def is_full(self) -> bool:
        """Whether nobody else may wait."""
        return self.in_flight + self._waits.taken >= self._requests_max

    def line_up(self, grant: "Grant", holder: str, on_place: Callable[[], None]) -> bool:
        """Whether *grant* waits now; *on_place* is called once it has a place.

        Addresses take turns, so that many of one do not hold up one of another, and of the room each has a share.
        """
        self._waits.amount_max = self._requests_max - self.in_flight
        if not self._waits.take(holder):
            return False
        self._lines.setdefault(holder, OrderedDict())[grant] = on_place
        return True

    def withdraw(self, grant: "Grant", holder: str) -> None:
        """*grant* waits no more."""
        line = self._lines[holder]
        del line[grant]
        if not line:
            del self._lines[holder]
        self._waits.give_back(holder)

    def _call(self) -> None:
        """Give what places there are to who is next."""
        while self._lines and self.in_flight < self.bound:
            holder, line = next(iter(self._lines.items()))
            placed_as = holder if self.crowded else ""
            if placed_as:
                self._shared.amount_max = self.bound - self._requests_min
                if not self._shared.take(holder):
                    # All of its share is taken; others who wait have their turn when one of these comes back.
                    return
            self.in_flight += 1
            self._lines.move_to_end(holder)
            grant, on_place = next(iter(line.items()))
            self.withdraw(grant, holder)
            grant.placed(placed_as)
            on_place()

    def hold(self, holder: str, count: int) -> bool:
        """Take so many bytes; False if that is too much. The first may always be held, however many they are."""
        if self._bytes.taken:
            return self._bytes.take(holder, count)
        self._bytes.add(holder, count)
        return True

    def release(self, holder: str, count: int) -> None:
        """Give so many bytes back."""
        self._bytes.give_back(holder, count)

    def lagged(self, seconds: float) -> None:
        """The loop was so late."""
        self.refusals.lagged(late=seconds > LOOP_LATE_S)
        if seconds > LOOP_LATE_S:
            self.bound = max(self._requests_min, int(self.bound * _DOWN))
        elif self._wanted and seconds < LOOP_LATE_S / 2:
            self.bound = min(self._requests_max, self.bound + max(1, int(self.bound * _UP)))
        self._wanted = bool(self._lines)
        self._call()


class Grant(msgspec.Struct, gc=False, eq=False):
    """What one request has taken; `close` gives all of it back, once."""

    _admission: Admission
    _client: str = ""
    _held_bytes: int = 0
    _placed: bool = False
    # Of the share of its address; "" where it has none.
    _placed_as: str = ""
    _waits: bool = False

    def take_place(self) -> bool:
        """Whether the request has a place now; it has one at most."""
        if not self._placed:
            self._placed_as = limit_key(self._client) if self._admission.crowded else ""
            self._placed = self._admission.enter(self._placed_as)
        return self._placed

    def wait(self, on_place: Callable[[], None]) -> bool:
        """Whether it waits in line for a place now, until it is closed; *on_place* is called when it has one."""
        self._waits = self._admission.line_up(self, limit_key(self._client), on_place)
        return self._waits

    def placed(self, placed_as: str) -> None:
        """It has waited for its place, and has it, of the share of *placed_as*."""
        self._waits, self._placed, self._placed_as = False, True, placed_as

    def hold(self, count: int) -> bool:
        """Whether so many bytes more may be held."""
        if not self._admission.hold(limit_key(self._client), count):
            return False
        self._held_bytes += count
        return True

    def close(self) -> None:
        """The request has ended."""
        if self._waits:
            self._waits = False
            self._admission.withdraw(self, limit_key(self._client))
        if self._placed:
            self._placed = False
            self._admission.leave(self._placed_as)
        if self._held_bytes:
            self._admission.release(limit_key(self._client), self._held_bytes)
            self._held_bytes = 0


class RefusalPace:
    """How long a connection rests after it was refused something, so that refusals together take a small share of a core.

    Who waits as `Retry-After` says does not notice. Who asks again at once on many connections would otherwise keep the
    loop busy with saying no: at ten times the load, saying no costs more than the work. While the loop is late there is less
    of a core, so there are fewer of them, too.
    """

    def __init__(self) -> None:
        self._next_at_s = 0.0
        self.per_s = float(REFUSALS_PER_S_MAX)

    def rest_s(self, now_s: float) -> float:
        """A refusal was sent: for so long nothing more is read from its connection."""
        at_s = max(self._next_at_s, now_s)
        self._next_at_s = min(at_s + 1 / self.per_s, now_s + REFUSED_REST_S_MAX)
        return at_s - now_s

    def next_rest_s(self, now_s: float) -> float:
        """What the next one will be told."""
        return max(0.0, self._next_at_s - now_s)

    def lagged(self, *, late: bool) -> None:
        """The loop was late, or it was not."""
        per_s = self.per_s * (_DOWN if late else 1 + _UP)
        self.per_s = min(max(per_s, float(REFUSALS_PER_S_MIN)), float(REFUSALS_PER_S_MAX))
