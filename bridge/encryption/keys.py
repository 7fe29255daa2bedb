"""The keys that payloads are encrypted under, and those made from them (pure)."""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.limits import DATA_KEYS_MAX, ENCRYPTION_KEY_ID_CHARS_MAX, ENCRYPTION_KEYS_MAX
from bridge.messagelog import TopicRef

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12

_ENTRY: Final = re.compile(
    rf"(?P<id>[A-Za-z0-9._-]{{1,{ENCRYPTION_KEY_ID_CHARS_MAX}}}):(?P<key>[A-Za-z0-9+/]{{43}}=)"
)
_INFO: Final = b"bridge payload A256GCM"


class MasterKeys(NamedTuple):
    """Master keys by id, 32 bytes each.

    Attributes:
        active: the id of the one that new messages are encrypted under; the others open old ones.
    """

    active: str
    keys: Mapping[str, bytes]


def parse_keys(text: str) -> MasterKeys:
    """The keys that *text* lists: `ID:BASE64` of 32 bytes each, apart by commas or white space; the first is the active one.

    Raises:
        ValueError: if one is malformed, an id is given twice, or there is none or more than `ENCRYPTION_KEYS_MAX`; the
            message never shows what was written.
    """
    entries = text.replace(",", " ").split()
    if not 1 <= len(entries) <= ENCRYPTION_KEYS_MAX:
        raise ValueError(f"must list 1 to {ENCRYPTION_KEYS_MAX} keys")
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(entries, 1):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"entry {number} is not ID:KEY, where KEY is the base64 of {KEY_BYTES} bytes")
        if match["id"] in keys:
            raise ValueError(f"entry {number} repeats an id")
        keys[match["id"]] = b64decode(match["key"])
    return MasterKeys(next(iter(keys)), keys)


class DataKey:
    """What the payloads of one topic are encrypted under in one process: made of a master key and a salt of its own.

    So nonces are counted, not drawn: with random ones a key is good for 2^32 messages (NIST SP 800-38D section 8.3), which
    a busy bridge passes in a day.
    """

    __slots__ = ("_nonces", "cipher", "key_id", "salt")

    def __init__(self, key_id: str, master: bytes, salt: bytes, topic: TopicRef) -> None:
        # HKDF, RFC 5869: a key for each salt and topic, so that no payload opens in the place of another topic's.
        info = b"\0".join((_INFO, topic.stream.encode(), topic.topic.encode()))
        self.key_id = key_id
        self.salt = salt
        self.cipher = AESGCM(HKDF(SHA256(), KEY_BYTES, salt, info).derive(master))
        self._nonces = count()

    def next_nonce(self) -> bytes:
        """12 bytes that were not given before; their number has no end that a process could reach."""
        return next(self._nonces).to_bytes(NONCE_BYTES, "big")


class DataKeys:
    """The data keys in use, at most `DATA_KEYS_MAX` to write with and as many to read with; the longest unused goes first.

    Args:
        random_bytes: gives so many of them, as `os.urandom` does.
    """

    def __init__(self, ring: MasterKeys, random_bytes: Callable[[int], bytes]) -> None:
        self._ring = ring
        self._random_bytes = random_bytes
        #: The key for new messages of a topic.
        self.to_write = lru_cache(DATA_KEYS_MAX)(self._new)
        #: The key that messages of a topic were encrypted under, by its id and salt; None where its master key is not here.
        self.to_read = lru_cache(DATA_KEYS_MAX)(self._old)

    def use(self, ring: MasterKeys) -> None:
        """Write under the active key of *ring* from now on, and read with all of them."""
        self._ring = ring
        self.to_write.cache_clear()
        self.to_read.cache_clear()

    def _new(self, topic: TopicRef) -> DataKey:
        active, masters = self._ring
        return DataKey(active, masters[active], self._random_bytes(SALT_BYTES), topic)

    def _old(self, topic: TopicRef, key_id: str, salt: bytes) -> DataKey | None:
        master = self._ring.keys.get(key_id)
        return None if master is None else DataKey(key_id, master, salt, topic)
