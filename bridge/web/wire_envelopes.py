"""The outermost object of a request's body (pure)."""

from typing import TypeVar

import msgspec

from bridge.errors import SerializationError
from bridge.events import are_surely_single, check_json, fault_of, refuse_doubled_keys
from bridge.limits import JSON_FAST_BYTES_MAX

__all__ = ("decode_envelope", "decode_outline")

T = TypeVar("T")


def decode_envelope(body: bytes, decoder: "msgspec.json.Decoder[T]", keys: tuple[bytes, ...]) -> T:
    """
    The value that *body* spells.

    Args:
        decoder: of an object that takes no other fields.
        keys: of that object, with their quotes; none where doubled ones are looked for elsewhere.

    Raises:
        SerializationError: if it is no such JSON, or names a key twice; `path` says where.
    """
    check_json(body)
    return _decoded(body, decoder, keys)


def decode_outline(body: bytes, decoder: "msgspec.json.Decoder[T]", keys: tuple[bytes, ...]) -> T:
    """
    The same for an object in which numbers and depth are in `Raw` parts only, which the caller checks one by one.

    Raises:
        SerializationError: as `decode_envelope`.
    """
    try:
        body.decode()
        return _decoded(body, decoder, keys)
    except UnicodeDecodeError as error:
        raise SerializationError(f"The JSON is not UTF-8 at byte {error.start}.") from None
    except SerializationError:
        if len(body) <= JSON_FAST_BYTES_MAX:
            # There may be a better reason; for a large body it is not worth the time.
            check_json(body)
        raise


def _decoded(body: bytes, decoder: "msgspec.json.Decoder[T]", keys: tuple[bytes, ...]) -> T:
    try:
        value = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error, written=body) from None
    if keys and not are_surely_single(body, keys):
        refuse_doubled_keys(body, at="$")
    return value
