"""The outermost object of a request's body (pure)."""

from typing import TypeVar

import msgspec

from bridge.errors import PayloadTooLarge, SerializationError
from bridge.events import Steps, check_json, doubled_key_steps, fault_of, result_of
from bridge.limits import JSON_FAST_BYTES_MAX, JSON_STEP_BYTES

T = TypeVar("T")


def decode_envelope(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """The value that *body* spells, in one go.

    Args:
        body: of a request without messages, or a message of a socket; such are never long.
        decoder: of an object that takes no other fields.

    Raises:
        PayloadTooLarge: if it has more than `JSON_FAST_BYTES_MAX` bytes.
        SerializationError: if it is no such JSON, or names a key twice; `path` says where.
    """
    if len(body) > JSON_FAST_BYTES_MAX:
        raise PayloadTooLarge(
            f"A body without messages has at most {JSON_FAST_BYTES_MAX} bytes.",
            path="body",
            limit=JSON_FAST_BYTES_MAX,
        )
    check_json(body)
    return result_of(_decoded(body, decoder))


def outline_steps(body: bytes, decoder: "msgspec.json.Decoder[T]") -> Steps[T]:
    """The same for an object of any size in which numbers and depth are in `Raw` parts only, which the caller checks one by one.

    Raises:
        SerializationError: as `decode_envelope`.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise SerializationError(f"The JSON is not UTF-8 at byte {error.start}.") from None
    if len(body) > JSON_STEP_BYTES:
        yield
    try:
        return (yield from _decoded(body, decoder))
    except SerializationError:
        if len(body) <= JSON_FAST_BYTES_MAX:
            # There may be a better reason; for a large body it is not worth the time.
            check_json(body)
        raise


def _decoded(body: bytes, decoder: "msgspec.json.Decoder[T]") -> Steps[T]:
    try:
        value = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault_of(error, written=body) from None
    if len(body) > JSON_STEP_BYTES:
        yield
    yield from doubled_key_steps(body, at="$")
    return value
