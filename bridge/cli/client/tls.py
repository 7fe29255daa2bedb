"""TLS of the command line's connections (shell): whom it believes, and how it shows who it is."""

import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

from bridge.cli.client.failures import CommandFailed, ExitCode

CA_VARIABLE: Final = "BRIDGE_CA_FILE"
CERT_VARIABLE: Final = "BRIDGE_CERT_FILE"
CERT_KEY_VARIABLE: Final = "BRIDGE_CERT_KEY_FILE"


class TlsFiles(NamedTuple):
    """Paths of PEM files; None where it goes without.

    Attributes:
        ca: authorities that are believed in place of the system's.
        cert: of the certificate that is shown to the bridge.
        key: of its key; None where it is in *cert*.
        is_own: *ca* is the very certificate of a bridge on this machine, whatever names it has.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    is_own: bool = False

    def or_of(self, environ: Mapping[str, str]) -> "TlsFiles":
        """These, and where there are none those that the environment names; a certificate and its key go together."""
        ca = self.ca or environ.get(CA_VARIABLE, "").strip() or None
        if self.cert is not None:
            return self._replace(ca=ca)
        cert = environ.get(CERT_VARIABLE, "").strip() or None
        return self._replace(
            ca=ca, cert=cert, key=self.key or environ.get(CERT_KEY_VARIABLE, "").strip() or None
        )

    @property
    def curl_words(self) -> list[str]:
        named = (("--cacert", self.ca), ("--cert", self.cert), ("--key", self.key))
        return [word for option, path in named if path is not None for word in (option, path)]

    def context(self) -> ssl.SSLContext | None:
        """What connections are made with; None for the usual.

        Raises:
            CommandFailed: if a file cannot be used.
        """
        if self == AS_USUAL:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.is_own:
                context.check_hostname = False
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        except OSError as error:
            raise CommandFailed(
                f"The authorities cannot be read: {_why(error)}.", ExitCode.USAGE, hint=f"See {self.ca}."
            ) from None
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
            except (OSError, ValueError) as error:
                raise CommandFailed(
                    f"The certificate cannot be used: {_why(error)}.",
                    ExitCode.USAGE,
                    hint=f"See {self.cert} and its key.",
                ) from None
        return context


#: The authorities of the system, and no certificate.
AS_USUAL: Final = TlsFiles()


def _no_passphrase() -> str:
    # Else OpenSSL asks the terminal, also where there is nobody.
    raise ValueError("its key has a passphrase")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
