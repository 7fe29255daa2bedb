"""Authorities, and certificates of theirs, in files as an operator has them."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM, and when the certificate ends, as Unix time."""

    certificate: bytes
    key: bytes
    not_after_s: int

    def write(self, directory: Path, name: str = "tls") -> tuple[Path, Path]:
        """The files `<name>.crt` and `<name>.key`."""
        paths = directory / f"{name}.crt", directory / f"{name}.key"
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.key)
        return paths


_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "an authority of tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        self._key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=400))
            .not_valid_after(now + dt.timedelta(days=400))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, name: str = "ca.crt") -> Path:
        path = directory / name
        path.write_bytes(self.pem)
        return path

    def revoke(self, *revoked: Pair, ends_in_s: float = DAY_S) -> bytes:
        """The list of them, as PEM, which is good for *ends_in_s*."""
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=self._name,
            last_update=now - dt.timedelta(days=365),
            next_update=now + dt.timedelta(seconds=ends_in_s),
        )
        for each in revoked:
            number = x509.load_pem_x509_certificate(each.certificate).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        common_name: str = "",
        *,
        dns: tuple[str, ...] = (),
        uris: tuple[str, ...] = (),
        ends_in_s: float = 90 * DAY_S,
        passphrase: bytes | None = None,
    ) -> Pair:
        """A pair for 127.0.0.1 and *dns*, of a server and a client at once."""
        key = ec.generate_private_key(ec.SECP256R1())
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ends_in_s)
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
        names += [x509.UniformResourceIdentifier(each) for each in uris]
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - dt.timedelta(days=365))
            .not_valid_after(ends)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            # From Python 3.13 on no certificate is believed without it (RFC 5280, section 4.2.1.1).
            .add_extension(self._key_id, critical=False)
        )
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        certificate = builder.sign(self._key, hashes.SHA256())
        protection = (
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        )
        return Pair(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection),
            int(certificate.not_valid_after_utc.timestamp()),
        )

    def client_context(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Believes this authority alone, and shows *pair* where one is given."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        if pair is not None:
            context.load_cert_chain(*pair)
        return context
