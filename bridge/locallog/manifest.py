"""What a copy of the embedded log says of itself, as JSON beside it (pure)."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bridge.errors import ConfigError

MANIFEST_NAME: Final = "manifest.json"
#: Of the manifest and of which files lie beside it; what is in the database has its own version.
FORMAT: Final = 1

_DAMAGED: Final = f"The {MANIFEST_NAME} of the backup is damaged; use another backup."
_NEWER: Final = "The backup was made by a newer bridge; restore it with that version."

_Count = Annotated[int, Meta(ge=0)]


class Manifest(Struct, frozen=True, kw_only=True):
    """Attributes:
    made_at: moment whose log it is, RFC 3339: everything acknowledged before is in it.
    bridge_version: which made it.
    schema_version: of the tables.
    size_bytes, sha256: of the database file.
    messages_count: kept in all topics, those of the bridge's own streams too.
    """

    format: int
    made_at: str
    bridge_version: str
    schema_version: Annotated[int, Meta(ge=1)]
    size_bytes: _Count
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    streams_count: _Count
    topics_count: _Count
    messages_count: _Count


class _Format(Struct):
    format: Annotated[int, Meta(ge=1)]


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(content: bytes) -> Manifest:
    """The manifest in *content*.

    Raises:
        ConfigError: if it is none, or of a newer format.
    """
    try:
        if msgspec.json.decode(content, type=_Format).format > FORMAT:
            raise ConfigError((_NEWER,))
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError((_DAMAGED,)) from error
