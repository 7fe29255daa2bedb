"""What a stored payload is, judged once and remembered, and which are events of some types (pure)."""

import secrets
from collections.abc import Callable, Sequence
from enum import Enum, auto
from itertools import islice
from typing import Final

import msgspec

from bridge.errors import SerializationError
from bridge.events import Steps, is_event_steps, is_well_formed, json_steps, known_ids, result_of
from bridge.limits import (
    JSON_STEP_BYTES,
    KNOWN_PAYLOAD_BYTES,
    KNOWN_PAYLOAD_LENGTH_MAX,
    KNOWN_PAYLOADS_BYTES_MAX,
)
from bridge.messagelog import ID_BYTES, Records

# Below, each is looked at by itself.
_SPLIT_MIN: Final = 8
# So many are judged together: with what is made of them on the way they stay in the processor's cache. A thousand at once
# take a sixth more each (measured at 440 bytes).
_TOGETHER_MAX: Final = 256
# As many as SipHash itself has.
_KEY_BYTES: Final = 16


class Form(Enum):
    """As what a payload goes out."""

    EVENT = auto()
    JSON = auto()
    TEXT = auto()
    BYTES = auto()


def form_of(payload: bytes) -> Form:
    """`form_steps` in one go."""
    return result_of(form_steps(payload))


def form_steps(payload: bytes) -> Steps[Form]:
    """What *payload*, which anybody may have written, is."""
    if (yield from is_event_steps(payload)):
        return Form.EVENT
    # Each of these takes its time of what is large.
    large = len(payload) > JSON_STEP_BYTES
    try:
        if large:
            yield
        yield from json_steps(payload)
        if large:
            yield
        if is_well_formed(payload):
            return Form.JSON
    except SerializationError:
        pass
    if large:
        yield
    try:
        payload.decode()
    except UnicodeDecodeError:
        return Form.BYTES
    return Form.TEXT


def fitting(payloads: Sequence[bytes], first: int, *, bytes_max: int) -> list[bytes]:
    """Those from *first* on that have so many bytes together; one at least."""
    run: list[bytes] = []
    run_bytes = 0
    for payload in islice(payloads, first, None):
        run_bytes += len(payload)
        if run and run_bytes > bytes_max:
            break
        run.append(payload)
    return run


class PayloadForms:
    """`form_of`, remembered for the payloads seen last.

    Finding one takes 0.2 us, judging it 6 us, or 2 us among many (measured at 330 bytes). Whoever writes into the log can mark
    a message with anything, so what is remembered is the payload's own hash: SipHash-1-3 (Python's for bytes) of 64 bits, under
    a key that never leaves this object. Nobody who lacks the key can aim at one that is known, and of what is written blindly
    one in 2^46 would meet one. Of payloads of 440 bytes five times as many are known as where they themselves were the keys.
    """

    def __init__(self, bytes_max: int = KNOWN_PAYLOADS_BYTES_MAX) -> None:
        # Half of it each: what is new, and what was new before.
        self._known_max = bytes_max // 2 // KNOWN_PAYLOAD_BYTES
        self._key: Final = secrets.token_bytes(_KEY_BYTES)
        self._young: dict[int | None, Form] = {}
        self._older: dict[int | None, Form] = {}

    def forms_of(self, payloads: Sequence[bytes], *, remember: bool = True) -> list[Form]:
        """The form of each, in one go.

        Args:
            remember: False for somebody who reads everything once, and would drive out what is read often.
        """
        # They come as runs: where neither end is known hardly any is, and to hash each takes 0.2 us.
        if not remember and not any(self._found(self._hashes((*payloads[:1], *payloads[-1:])))):
            return _judged(payloads)
        hashes = self._hashes(payloads)
        found = self._found(hashes)
        if None not in found:
            return found  # type: ignore[return-value]
        if any(found):
            judged = iter(_judged([p for form, p in zip(found, payloads, strict=True) if form is None]))
            forms = [form or next(judged) for form in found]
        else:
            forms = _judged(payloads)
        if remember:
            self._remember(hashes, forms)
        return forms

    def form_steps(self, payloads: Sequence[bytes], *, remember: bool = True) -> Steps[list[Form]]:
        """The same in pieces, of payloads that are large, one or together."""
        short = iter(self._hashes([p for p in payloads if len(p) <= KNOWN_PAYLOAD_LENGTH_MAX]))
        hashes = [next(short) if len(p) <= KNOWN_PAYLOAD_LENGTH_MAX else None for p in payloads]
        found = self._found(hashes)
        yield
        unknown = [p for form, p in zip(found, payloads, strict=True) if form is None]
        judged: list[Form] = []
        while len(judged) < len(unknown):
            run = fitting(unknown, len(judged), bytes_max=JSON_STEP_BYTES)
            judged += _judged(run) if len(run) > 1 else [(yield from form_steps(run[0]))]
            yield
        rest = iter(judged)
        forms = [form or next(rest) for form in found]
        if remember:
            self._remember(hashes, forms)
        return forms

    def _hashes(self, payloads: Sequence[bytes]) -> list[int]:
        return list(map(hash, map(self._key.__add__, payloads)))

    def _found(self, hashes: Sequence[int | None]) -> list[Form | None]:
        found = list(map(self._young.get, hashes))
        if self._older and None in found:
            found = [form or self._older.get(one) for form, one in zip(found, hashes, strict=True)]
        return found

    def _remember(self, hashes: Sequence[int | None], forms: Sequence[Form]) -> None:
        if len(self._young) + len(hashes) > self._known_max:
            self._older, self._young = self._young, {}
        self._young.update(zip(hashes, forms, strict=True))
        # What was too long to be hashed.
        self._young.pop(None, None)


def _judged(payloads: Sequence[bytes]) -> list[Form]:
    """`form_of` each; halves of what is mixed, as most of a topic mostly is of one form, and of what is long."""
    if len(payloads) <= _TOGETHER_MAX and known_ids(payloads) is not None:
        return [Form.EVENT] * len(payloads)
    if len(payloads) <= _SPLIT_MIN:
        return [form_of(payload) for payload in payloads]
    middle = len(payloads) // 2
    return _judged(payloads[:middle]) + _judged(payloads[middle:])


class _Typed(msgspec.Struct):
    event_type: str


_TYPED: Final = msgspec.json.Decoder(_Typed)


def of_types(
    records: Records, forms_of: Callable[[Records], Sequence[Form]], event_types: frozenset[str]
) -> Records:
    """Those that are events of one of *event_types*; all, as the same object, if that is empty.

    Args:
        forms_of: what each payload is (`PageEncoder.forms_of`).
    """
    if not event_types:
        return records
    payloads = records.payloads
    kept = [
        index
        for index, form in enumerate(forms_of(records))
        if form is Form.EVENT and _TYPED.decode(payloads[index]).event_type in event_types
    ]
    if len(kept) == len(payloads):
        return records
    # Nothing is kept but events.
    return Records(
        [records.offsets[index] for index in kept],
        [records.timestamps_us[index] for index in kept],
        b"".join([records.ids[index * ID_BYTES : (index + 1) * ID_BYTES] for index in kept]),
        [payloads[index] for index in kept],
        {place: records.headers[index] for place, index in enumerate(kept) if index in records.headers},
        events=True,
    )
