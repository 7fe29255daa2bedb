"""Who a client's certificate says it is (pure), once TLS has verified it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from bridge.limits import CLIENT_CERTIFICATE_NAME_CHARS_MAX, CLIENT_CERTIFICATE_NAMES_MAX

_COMMON_NAME: Final = "commonName"
#: How names are spelled.
CERTIFICATE_NAME: Final = re.compile(
    rf"(?:uri|dns|cn):[^\W\d_]?[ -~]{{1,{CLIENT_CERTIFICATE_NAME_CHARS_MAX}}}"
)


class ClientCertificate(NamedTuple):
    """The names of a verified certificate, each with its kind: `uri:spiffe://cluster/billing`, `dns:billing.internal`,
    `cn:billing`. The kind is part of the name, so that nobody passes for another by a field that the authority checks less.

    Attributes:
        names: URIs first, then DNS names, then the common name of the subject; one or more.
    """

    names: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The one it goes by: the first."""
        return self.names[0]


def client_certificate(verified: Mapping[str, Any]) -> ClientCertificate | None:
    """Read what `ssl.SSLSocket.getpeercert` gives; None for a certificate without a name that can be used.

    A name with characters that do not print is none: whoever made it means to lead somebody astray.
    """
    names = tuple(dict.fromkeys(_names(verified)))[:CLIENT_CERTIFICATE_NAMES_MAX]
    return ClientCertificate(names) if names else None


def _names(verified: Mapping[str, Any]) -> Iterator[str]:
    alternatives = verified.get("subjectAltName", ())
    for kind in ("URI", "DNS"):
        for found, value in alternatives:
            if found == kind and _is_usable(value):
                yield f"{kind.lower()}:{value}"
    for part in verified.get("subject", ()):
        for name, value in part:
            if name == _COMMON_NAME and _is_usable(value):
                yield f"cn:{value}"


def _is_usable(value: str) -> bool:
    return bool(value) and value.isprintable() and len(value) <= CLIENT_CERTIFICATE_NAME_CHARS_MAX
