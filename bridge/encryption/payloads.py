"""Payloads as they are stored, and as they were (pure): AES-256-GCM, the key's id in a header.

A stored payload is salt (16 bytes), nonce (12), ciphertext, tag (16). What is authenticated with it: the header's value, and the
id of its message. Headers, ids, times and sizes are not hidden.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag

from bridge.encryption.keys import NONCE_BYTES, SALT_BYTES, DataKeys
from bridge.errors import BadRequest
from bridge.limits import ENCRYPTION_KEY_ID_CHARS_MAX, ENCRYPTION_OVERHEAD_BYTES
from bridge.messagelog import ID_BYTES, Headers, NewRecords, Records, TopicRef

#: The message header that says under which key a payload is encrypted. One who reads past the bridge finds it there; who
#: reads through the bridge only where the payload could not be opened.
ENCRYPTION: Final = "bridge-encryption"
#: The message header in which the bridge tells why it could not.
ENCRYPTION_ERROR: Final = "bridge-encryption-error"

_VALUE: Final = re.compile(rf"A256GCM (?P<key_id>[A-Za-z0-9._-]{{1,{ENCRYPTION_KEY_ID_CHARS_MAX}}})")
_HEAD_BYTES: Final = SALT_BYTES + NONCE_BYTES


class Unopened(StrEnum):
    """Why a payload is given as it is stored."""

    #: The key that it names is not among `ENCRYPTION_KEYS`.
    UNKNOWN_KEY = "unknown_key"
    #: It was changed, belongs to another message or topic, or was made with another key of that id.
    DAMAGED = "damaged"


class Opened(NamedTuple):
    """Messages as they were sent, but for those *unopened*: by index, why."""

    records: Records
    unopened: Mapping[int, Unopened]


class Payloads:
    """Encrypts and decrypts the payloads of topics; *keys* say under what."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    def sealed(self, topic: TopicRef, records: NewRecords) -> NewRecords:
        """*records* as they are to be stored in *topic*.

        Raises:
            BadRequest: if one has a header that is the bridge's own.
        """
        _refuse_own_headers(records)
        key = self._keys.to_write(topic)
        value = f"A256GCM {key.key_id}"
        aad, salt, encrypt, next_nonce = value.encode(), key.salt, key.cipher.encrypt, key.next_nonce
        header: Headers = {ENCRYPTION: value}
        payloads = []
        for payload, message_id in zip(records.payloads, _ids(records.ids), strict=True):
            nonce = next_nonce()
            payloads.append(b"".join((salt, nonce, encrypt(nonce, payload, aad + message_id))))
        headers = records.headers
        return NewRecords(
            payloads,
            records.ids,
            {
                index: {**headers[index], **header} if index in headers else header
                for index in range(len(payloads))
            },
        )

    def opened(self, topic: TopicRef, records: Records) -> Opened:
        """*records* of *topic*, decrypted where they are encrypted."""
        sealed = [index for index, headers in records.headers.items() if ENCRYPTION in headers]
        if not sealed:
            return Opened(records, {})
        payloads, headers, unopened = list(records.payloads), dict(records.headers), {}
        ids = records.ids
        for index in sealed:
            message_id = ids[index * ID_BYTES : (index + 1) * ID_BYTES]
            payload = self._payload(topic, headers[index][ENCRYPTION], payloads[index], message_id)
            if isinstance(payload, Unopened):
                unopened[index] = payload
                headers[index] = {**headers[index], ENCRYPTION_ERROR: payload.value}
                continue
            payloads[index] = payload
            left = {name: value for name, value in headers[index].items() if name != ENCRYPTION}
            if left:
                headers[index] = left
            else:
                del headers[index]
        return Opened(Records(records.offsets, records.timestamps_us, ids, payloads, headers), unopened)

    def _payload(self, topic: TopicRef, value: object, stored: bytes, message_id: bytes) -> bytes | Unopened:
        match = _VALUE.fullmatch(value) if isinstance(value, str) else None
        if match is None or len(stored) < ENCRYPTION_OVERHEAD_BYTES:
            return Unopened.DAMAGED
        key = self._keys.to_read(topic, match["key_id"], stored[:SALT_BYTES])
        if key is None:
            return Unopened.UNKNOWN_KEY
        try:
            return key.cipher.decrypt(
                stored[SALT_BYTES:_HEAD_BYTES], stored[_HEAD_BYTES:], match[0].encode() + message_id
            )
        except InvalidTag:
            return Unopened.DAMAGED


def _ids(ids: bytes) -> Sequence[bytes]:
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


def _refuse_own_headers(records: NewRecords) -> None:
    for index, headers in records.headers.items():
        for name in (ENCRYPTION, ENCRYPTION_ERROR):
            if name in headers:
                raise BadRequest(f"Message {index} has a header {name}, which is the bridge's own.")


#: Whether what is stored in a topic is encrypted.
Covers = Callable[[TopicRef], bool]
