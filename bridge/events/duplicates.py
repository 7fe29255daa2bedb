"""No key that decides what an event is may be there twice (pure): parsers differ on which of the two counts."""

import json
from typing import Final

import msgspec

from bridge.errors import SerializationError
from bridge.events.json_marks import comma_steps
from bridge.events.json_rules import Steps, result_of
from bridge.limits import JSON_STEP_BYTES

__all__ = ("are_surely_single", "doubled_key_steps", "duplicate_steps", "refuse_doubled_keys")

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WHITESPACE: Final = b" \t\r\n"
# Spelled without escapes, as all but a writer with intent spells them.
_DECIDING_KEYS: Final = (
    b'"id"', b'"event_type"', b'"timestamp"', b'"payload"', b'"type"', b'"data"', b'"action"', b'"correlation_id"',
    b'"source"',
)  # fmt: skip


def duplicate_steps(event: bytes, *, at: str) -> Steps[None]:
    """
    Let an event pass that names each of its own and its payload's keys once.

    Args:
        event: bytes of an object that was decoded as an event.
        at: its JSON path, for the fault.

    Raises:
        SerializationError: if a key of the event, of its payload, or of the data of a user or an order is doubled.
    """
    large = len(event) > JSON_STEP_BYTES
    single = b"\\u" not in event
    for key in _DECIDING_KEYS:
        if large:
            yield
        if not single or event.count(key) > 1:
            single = False
            break
    if single:
        return
    payload = (yield from doubled_key_steps(event, at=at))["payload"]
    fields = yield from doubled_key_steps(bytes(payload), at=f"{at}.payload")
    if msgspec.json.decode(fields["type"]) != "Generic":
        yield from doubled_key_steps(bytes(fields["data"]), at=f"{at}.payload.data")


def are_surely_single(written: bytes, quoted_keys: tuple[bytes, ...]) -> bool:
    """Whether none of these keys can be there twice, anywhere in *written*; False says nothing."""
    if b"\\u" in written:
        return False
    # A loop, since a generator would double the price.
    for key in quoted_keys:  # noqa: SIM110
        if written.count(key) > 1:
            return False
    return True


def refuse_doubled_keys(written: bytes | msgspec.Raw, *, at: str) -> dict[str, msgspec.Raw]:
    """`doubled_key_steps` in one go."""
    return result_of(doubled_key_steps(bytes(written), at=at))


def doubled_key_steps(written: bytes, *, at: str) -> Steps[dict[str, msgspec.Raw]]:
    """
    The members of an object in which no key is there twice.

    Args:
        written: a well-formed JSON object that passed `json_rules.check_json`.
        at: its JSON path, for the fault.

    Raises:
        SerializationError: if one is.
    """
    members = _OBJECT.decode(written)
    if len(written) > JSON_STEP_BYTES:
        if (yield from comma_steps(written, level=1)) >= max(1, len(members)):
            raise SerializationError("An object names a key twice.", path=at)
        return members
    # Between the braces stand, for each key, two quotes and a colon, and commas between them. A doubled key leaves
    # more than that, since the decoder kept only its last value.
    expected = (
        2
        + max(0, len(members) - 1)
        + sum(_ink(key.encode()) + 3 + _ink(value) for key, value in members.items())
    )
    if _ink(written) != expected and _has_doubled_key(written):
        raise SerializationError("An object names a key twice.", path=at)
    return members


def _ink(text: bytes | msgspec.Raw) -> int:
    return len(bytes(text).translate(None, _WHITESPACE))


def _has_doubled_key(written: bytes) -> bool:
    """The same for keys that may be spelled with escapes, at the price of building the whole value."""
    doubled = False

    def look(pairs: list[tuple[str, object]]) -> None:
        # Called from the inside out, so the last call is for the object itself.
        nonlocal doubled
        doubled = len(pairs) != len({key for key, _ in pairs})

    json.loads(written, object_pairs_hook=look, parse_int=str, parse_float=str)
    return doubled
