"""The keys in force, and what a request that shows one is worth (pure)."""

import hmac
import math
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from bridge.limits import ADDRESSES_REMEMBERED_MAX
from bridge.policy.access import HOLDER_OF_API_KEY, Principal
from bridge.policy.api_keys import KeyVerdict
from bridge.policy.client_address import Network, is_within
from bridge.policy.key_limits import NO_LIMITS, KeyLimits
from bridge.policy.key_texts import claimed_id, passing_digest, peppered_digest, plain_digest


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key.

    Attributes:
        digest: of its text; under the pepper where *is_peppered*. `NO_TEXT` where it is a certificate.
        certificate: the name of the client certificate that it is.
        networks: from where it may be used; empty for anywhere.
    """

    principal: Principal
    digest: bytes
    is_peppered: bool = False
    certificate: str | None = None
    is_revoked: bool = False
    networks: tuple[Network, ...] = ()
    limits: KeyLimits = NO_LIMITS

    def is_in_force(self, now_s: float) -> bool:
        """Whether it may be used, by who is where they should be."""
        expires_at_s = self.principal.expires_at_s
        return not self.is_revoked and (expires_at_s is None or now_s < expires_at_s)


#: The digest of no text that anybody could find.
NO_TEXT: Final = bytes(32)
# Compared with where there is no key of an id.
_NOBODY: Final = Key(principal=Principal(name="nobody"), digest=NO_TEXT)
_NO_DIGEST: Final = b""
# By names of their own: to find a member of an enumeration takes 800 instructions.
_MISSING, _WRONG = KeyVerdict.MISSING, KeyVerdict.WRONG
# A signed token is three parts (RFC 7515 section 3.1); nothing else is worth a closer look.
_TOKEN_DOTS: Final = 2


class KeyRing:
    """The keys of a file, replaced as a whole when the file is read again.

    A key is looked up by its id; whether there is one, and whether its text is right, takes the same steps: the same
    hashes, and one comparison in constant time. Only a text that was right before is known by its look.

    Args:
        pepper: under which some or all keys were hashed.
    """

    def __init__(self, keys: Iterable[Key] = (), *, pepper: bytes | None = None) -> None:
        self._pepper = pepper
        self.replace(keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """From now on these are in force, and no others."""
        self._keys = {each.principal.key_id or "": each for each in keys}
        # Those whose right text was shown, by a digest of it that is stored nowhere; each has one right text. Callers show it
        # again and again, and to look at its form and hash it through OpenSSL is most of a judgement.
        self._passed: dict[bytes, Key] = {}
        self._certificates: dict[str, list[Key]] = {}
        for each in self._keys.values():
            if each.certificate is not None:
                self._certificates.setdefault(each.certificate, []).append(each)
        # Callers come again and again; to parse an address and compare it took 1.5 us each time.
        self._is_from = lru_cache(ADDRESSES_REMEMBERED_MAX)(
            lambda key_id, client: is_within(client, self._keys[key_id].networks)
        )
        peppered = {each.is_peppered for each in self._keys.values()} or {self._pepper is not None}
        self._hashes_plain = False in peppered
        self._hashes_peppered = True in peppered
        self._nobody = msgspec.structs.replace(_NOBODY, is_peppered=self._hashes_peppered)

    def __len__(self) -> int:
        return len(self._keys)

    def in_force(self, now_s: float) -> int:
        """How many may be used now."""
        return sum(each.is_in_force(now_s) for each in self._keys.values())

    def next_end_s(self, now_s: float) -> float | None:
        """When the next holder is left without a key, in seconds since 1970; None where nobody is.

        Keys of one name have one holder: one of two may end, as after a rotation.
        """
        ends_s: dict[str, float] = {}
        for each in self._keys.values():
            if each.is_in_force(now_s):
                name, end_s = each.principal.name, each.principal.expires_at_s
                ends_s[name] = max(ends_s.get(name, 0.0), math.inf if end_s is None else end_s)
        next_s = min(ends_s.values(), default=math.inf)
        return None if next_s == math.inf else next_s

    @property
    def ids(self) -> Collection[str]:
        """Of all keys, revoked or not."""
        return self._keys.keys()

    def successor(self, key: Key) -> Key | None:
        """What *key* is by now, with another end maybe; None where it is over, or is for something or somewhere else."""
        now = self.key(key.principal.key_id)
        if now is None or now.is_revoked:
            return None
        same = (now.certificate, now.principal.permissions, now.networks) == (
            key.certificate,
            key.principal.permissions,
            key.networks,
        )
        return now if same else None

    def key(self, key_id: str | None) -> Key | None:
        """The key of this id, revoked or not; None where there is none, or no more."""
        return self._keys.get(key_id or "")

    def limits(self, key_id: str) -> KeyLimits:
        """What the holders of the key of this id may take by now; nothing is limited where it is gone."""
        key = self._keys.get(key_id)
        return NO_LIMITS if key is None else key.limits

    def judge(self, text: str, client: str, now_s: float) -> Principal | KeyVerdict:
        """Who shows *text*, or why it is refused to *client*, an address; *now_s* is seconds since 1970.

        Only who has the right text can find out that its key was revoked, has expired, or is for elsewhere.
        """
        passed = passing_digest(text)
        key = self._passed.get(passed)
        if key is not None:
            return self._judged(key, client, now_s)
        key = self._keys.get(claimed_id(text) or "", self._nobody)
        plain = plain_digest(text) if self._hashes_plain else _NO_DIGEST
        peppered = (
            peppered_digest(text, self._pepper)
            if self._hashes_peppered and self._pepper is not None
            else _NO_DIGEST
        )
        if not hmac.compare_digest(peppered if key.is_peppered else plain, key.digest):
            return KeyVerdict.WRONG
        self._passed[passed] = key
        return self._judged(key, client, now_s)

    def judge_certificate(self, names: Sequence[str], client: str, now_s: float) -> Principal | KeyVerdict:
        """Who shows a verified certificate of these *names*, by the first of them that is known and may be used; `MISSING`
        where none is known.
        """
        found: Principal | KeyVerdict = KeyVerdict.MISSING
        for name in names:
            for key in self._certificates.get(name, ()):
                found = self._judged(key, client, now_s)
                if isinstance(found, Principal):
                    return found
        return found

    def judge_id(self, key_id: str, client: str, now_s: float) -> Principal | KeyVerdict:
        """What the key of this id is worth by now to who has shown it before; `REVOKED` where it is gone."""
        key = self._keys.get(key_id)
        return KeyVerdict.REVOKED if key is None else self._judged(key, client, now_s)

    def _judged(self, key: Key, client: str, now_s: float) -> Principal | KeyVerdict:
        if key.is_revoked:
            return KeyVerdict.REVOKED
        expires_at_s = key.principal.expires_at_s
        if expires_at_s is not None and expires_at_s <= now_s:
            return KeyVerdict.EXPIRED
        if key.networks and not self._is_from(key.principal.key_id or "", client):
            return KeyVerdict.NETWORK
        return key.principal


class TokenJudge(Protocol):
    """Whoever knows the tokens of an issuer; *now_s* is seconds since 1970."""

    def judge(self, token: str, now_s: float) -> Principal | KeyVerdict:
        """Whose *token* it is, or why nobody's; `WRONG` for what is none."""

    async def judge_anew(self, token: str, now_s: float) -> Principal | KeyVerdict:
        """As `judge`, once the issuer was asked for its keys, if it is time to.

        Raises:
            SigningKeysUnavailable: if there are none to check any token with.
        """


class Credentials:
    """All that a caller may show: the one key that opens everything, keys of a file, and tokens of an identity provider.

    Of the one key a digest alone is kept. Digests of equal length are compared in constant time, so neither its length nor
    a common beginning shows in the time that an answer takes.

    Args:
        api_key: None where there is none.
        ring: None where there is no file of keys.
        tokens: None where tokens are not taken; without any of these everyone may.
    """

    def __init__(
        self, api_key: str | None, ring: KeyRing | None = None, tokens: TokenJudge | None = None
    ) -> None:
        self._digest = None if api_key is None else passing_digest(api_key)
        self.ring = ring
        self.tokens = tokens
        #: Whether nothing is asked for.
        self.is_open = api_key is None and ring is None and tokens is None

    def judge(
        self,
        header: Sequence[str] = (),
        bearer: Sequence[str] = (),
        query: Sequence[str] = (),
        client: str = "",
        now_s: float = 0.0,
    ) -> Principal | KeyVerdict:
        """Who sends a request with these, or why it is refused; not to be asked where everyone may.

        Args:
            header: every `X-API-Key` line. Two of them are refused: a proxy in front may have checked the other one.
            bearer: as of `bearer_tokens`, likewise; beside a header it must be the same key.
            query: every `api_key` of the query; looked at only where there is neither.
            client: its address.
            now_s: seconds since 1970.
        """
        offered = header or bearer or query
        if not (offered and (offered[0] or any(offered))):
            return _MISSING
        if len(offered) > 1 or (header and bearer and header != bearer):
            return _WRONG
        text = offered[0]
        if self.tokens is not None and offered is bearer and text.count(".") == _TOKEN_DOTS:
            found = self.tokens.judge(text, now_s)
            if found is not _WRONG:
                return found
        found = _WRONG if self.ring is None else self.ring.judge(text, client, now_s)
        if (
            found is _WRONG
            and self._digest is not None
            and hmac.compare_digest(passing_digest(text), self._digest)
        ):
            return HOLDER_OF_API_KEY
        return found
