"""The file of keys (pure): JSON with what each key may, and of the key itself its hash alone."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from bridge.limits import (
    KEY_BYTES_PER_S_MAX,
    KEY_NAME_CHARS_MAX,
    KEY_NETWORKS_MAX,
    KEY_REQUESTS_PER_S_MAX,
    KEYS_FILE_FAULTS_TOLD_MAX,
    KEYS_MAX,
)
from bridge.policy.access import Principal, parse_permission, parse_permissions
from bridge.policy.client_certificates import CERTIFICATE_NAME
from bridge.policy.key_limits import KeyLimits
from bridge.policy.key_ring import NO_TEXT, Key
from bridge.policy.key_texts import KEY_ID

KEY_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@-]{{0,{KEY_NAME_CHARS_MAX - 1}}}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MESSAGE_AT: Final = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)

_Time = Annotated[datetime, Meta(tz=True)]


class StoredKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, frozen=True):
    """One key as it stands in the file.

    Attributes:
        sha256, hmac_sha256: of the whole text of the key, in hex; the other needs `KEYS_PEPPER`.
        certificate: in the place of both, the name of a client certificate that is shown in the key's place, as
            `policy.client_certificates` spells names: `cn:billing`.
        permissions: as `policy.access` reads them.
        expires_at: from then on it is refused; None for never.
        networks: in CIDR form; calls from elsewhere are refused. Empty for anywhere.
        burst: requests at once; one second's where left out.
        bytes_per_s: of bodies and of messages on sockets.
        revoked_at: it is refused, whenever that was.
    """

    id: str
    name: str
    sha256: str | None = None
    hmac_sha256: str | None = None
    certificate: str | None = None
    permissions: list[str]
    created: _Time
    expires_at: _Time | None = None
    networks: Annotated[list[str], Meta(max_length=KEY_NETWORKS_MAX)] = []
    requests_per_s: Annotated[int, Meta(ge=1, le=KEY_REQUESTS_PER_S_MAX)] | None = None
    burst: Annotated[int, Meta(ge=1, le=KEY_REQUESTS_PER_S_MAX)] | None = None
    bytes_per_s: Annotated[int, Meta(ge=1, le=KEY_BYTES_PER_S_MAX)] | None = None
    revoked_at: _Time | None = None

    def ended(self, now: datetime) -> bool:
        """Whether it is refused from everywhere."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)


class _KeysFile(msgspec.Struct, forbid_unknown_fields=True):
    keys: Annotated[list[msgspec.Raw], Meta(max_length=KEYS_MAX)]
    version: Literal[1] = 1


class _WholeFile(msgspec.Struct):
    version: int
    keys: list[StoredKey]


class KeysFileFaults(Exception):
    """The file cannot be used; each fault with its place, without any value."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults[:KEYS_FILE_FAULTS_TOLD_MAX])
        if len(faults) > KEYS_FILE_FAULTS_TOLD_MAX:
            self.faults += (f"and {len(faults) - KEYS_FILE_FAULTS_TOLD_MAX} more",)
        super().__init__("; ".join(self.faults))


def decode_keys(data: bytes) -> list[StoredKey]:
    """What a file of keys holds, checked.

    Raises:
        KeysFileFaults: with all that is wrong.
    """
    try:
        file = msgspec.json.decode(data, type=_KeysFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KeysFileFaults([_told(error, "")]) from None
    found, faults = [], []
    met: dict[str, int] = {}
    for number, raw in enumerate(file.keys):
        place = f"keys[{number}]"
        try:
            key = msgspec.json.decode(raw, type=StoredKey)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            faults.append(_told(error, place))
            continue
        faults += [f"{place}.{fault}" for fault in _faults(key)]
        if met.setdefault(key.id, number) != number:
            faults.append(f"{place}.id: keys[{met[key.id]}] has it already")
        found.append(key)
    # Last, of what is otherwise sound: its depth and its numbers are then bounded.
    faults = faults or list(_doubled(data))
    if faults:
        raise KeysFileFaults(faults)
    return found


def _doubled(data: bytes) -> Iterator[str]:
    """Fields that are there twice: readers differ on which counts, so what somebody saw there may not be what holds."""
    file = json.loads(data, object_pairs_hook=list)
    keys = dict(file)["keys"]
    for place, members in (("", file), *((f"keys[{number}].", key) for number, key in enumerate(keys))):
        times = Counter(name for name, _ in members)
        yield from (f"{place}{name}: is there twice" for name, count in times.items() if count > 1)


def encode_keys(keys: list[StoredKey]) -> bytes:
    """The file of *keys*, for people too."""
    return msgspec.json.format(msgspec.json.encode(_WholeFile(1, keys)), indent=2) + b"\n"


def _told(error: Exception, place: str) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return f"{place}: no JSON" if place else "no JSON"
    match = _MESSAGE_AT.fullmatch(str(error))
    what, where = (str(error), place) if match is None else (match[1], place + match[2])
    where = where.removeprefix(".")
    return f"{where}: {what}" if where else what


def _faults(key: StoredKey) -> Iterator[str]:
    if not KEY_ID.fullmatch(key.id):
        yield "id: must be eight of a-z and 0-9"
    if not KEY_NAME.fullmatch(key.name):
        yield (
            f"name: must begin with a letter or digit and have at most {KEY_NAME_CHARS_MAX} characters, of letters, "
            "digits and . _ @ -"
        )
    hashes = [each for each in (key.sha256, key.hmac_sha256) if each is not None]
    if len(hashes) + (key.certificate is not None) != 1:
        yield "sha256: there must be this, or hmac_sha256, or certificate, and one of them alone"
    elif key.certificate is not None:
        if not CERTIFICATE_NAME.fullmatch(key.certificate):
            yield "certificate: must be uri:, dns: or cn: and a name that prints"
    elif not _HASH.fullmatch(hashes[0]):
        yield f"{'hmac_sha256' if key.sha256 is None else 'sha256'}: must be 64 of 0-9 and a-f"
    yield from _permission_faults(key.permissions)
    for number, network in enumerate(key.networks):
        try:
            ip_network(network)
        except ValueError:
            yield f"networks[{number}]: no network; write 10.0.0.0/8 with no bits set after the prefix, or one address"
    if key.burst is not None and key.requests_per_s is None:
        yield "burst: needs requests_per_s beside it"


def _permission_faults(texts: list[str]) -> Iterator[str]:
    if not texts:
        yield "permissions: must name one at least"
    wrong = False
    for number, text in enumerate(texts):
        try:
            parse_permission(text)
        except ValueError as error:
            wrong = True
            yield f"permissions[{number}]: {error}"
    if not wrong:
        try:
            parse_permissions(texts)
        except ValueError as error:
            yield f"permissions: {error}"


def keys_of(stored: list[StoredKey], *, has_pepper: bool) -> list[Key]:
    """The keys of a file that was checked, as callers are judged by.

    Raises:
        KeysFileFaults: if a key needs a pepper and there is none.
    """
    if not has_pepper:
        faults = [
            f"keys[{number}].hmac_sha256: needs KEYS_PEPPER or KEYS_PEPPER_FILE"
            for number, key in enumerate(stored)
            if key.hmac_sha256 is not None
        ]
        if faults:
            raise KeysFileFaults(faults)
    return [_key(each) for each in stored]


def _key(stored: StoredKey) -> Key:
    principal = Principal(
        name=stored.name,
        permissions=parse_permissions(stored.permissions),
        key_id=stored.id,
        expires_at_s=None if stored.expires_at is None else stored.expires_at.astimezone(UTC).timestamp(),
    )
    return Key(
        principal=principal,
        digest=bytes.fromhex(stored.sha256 or stored.hmac_sha256 or "") or NO_TEXT,
        is_peppered=stored.hmac_sha256 is not None,
        certificate=stored.certificate,
        is_revoked=stored.revoked_at is not None,
        networks=tuple(map(ip_network, stored.networks)),
        limits=KeyLimits.of(
            stored.id, stored.requests_per_s, stored.burst or stored.requests_per_s or 0, stored.bytes_per_s
        ),
    )
