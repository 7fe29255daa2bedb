"""What a body is, by its headers (pure)."""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final


class BodyKind(Enum):
    """How the bytes of a body become messages."""

    #: An envelope with one event, or a list of them.
    JSON = auto()
    #: A JSON value a line, each a message.
    NDJSON = auto()
    #: One message.
    TEXT = auto()
    #: One message, of any bytes.
    BYTES = auto()


class Coding(Enum):
    """What a `Content-Encoding` has to be undone with."""

    IDENTITY = auto()
    GZIP = auto()
    ZSTD = auto()


_KINDS: Final = {
    "application/json": BodyKind.JSON,
    "application/x-ndjson": BodyKind.NDJSON,
    "application/octet-stream": BodyKind.BYTES,
}
_CODINGS: Final = {
    "": Coding.IDENTITY,
    "identity": Coding.IDENTITY,
    "gzip": Coding.GZIP,
    # RFC 9110, section 8.4.1.3: the same thing.
    "x-gzip": Coding.GZIP,
    "zstd": Coding.ZSTD,
}


def body_kind(content_type: str) -> BodyKind | None:
    """The kind of body that this `Content-Type` announces; None for others, and for text that is not UTF-8."""
    if content_type in _KINDS:
        return _KINDS[content_type]
    media_type, _, rest = content_type.partition(";")
    media_type = media_type.strip().lower()
    kind = _KINDS.get(media_type)
    if kind is None and media_type.startswith("text/") and media_type != "text/":
        kind = BodyKind.TEXT
    if not rest or kind is BodyKind.BYTES:
        return kind
    for parameter in rest.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() != "utf-8":
            return None
    return kind


def coding_of(content_encodings: Iterable[str]) -> Coding | None:
    """The coding that these `Content-Encoding` headers name; None for one that is not undone here, or several."""
    return _CODINGS.get(",".join(content_encodings).strip().lower())


def is_json(content_type: str) -> bool:
    """Whether this `Content-Type` is `application/json`, with no charset or with utf-8 (RFC 8259, section 8.1)."""
    return body_kind(content_type) is BodyKind.JSON


def is_plain_encoding(content_encoding: str | None) -> bool:
    """Whether the body is sent as it is; no `Content-Encoding` is undone here."""
    return content_encoding is None or content_encoding.strip().lower() == "identity"
