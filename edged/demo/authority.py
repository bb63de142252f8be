"""The demo's own certificate authority: made anew at each start, gone with it, its keys for nobody else."""

import datetime
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Authority"]

A_WEEK = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Authority:
    """Who signs; `folder` has its certificate, and what it issues."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named("edged demo authority")
        certificate = _signed(name, name, key.public_key(), key, x509.BasicConstraints(ca=True, path_length=0), None)
        made = cls(folder, key, certificate)
        made.file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return made

    @property
    def file(self) -> Path:
        """Its certificate, for clients to trust."""
        return self.folder / "ca.pem"

    def issue(self, file: str, hosts: list[str]) -> Path:
        """A certificate for these hosts and its key, in one file for its owner alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        certificate = _signed(
            _named(hosts[0]), self.certificate.subject, key.public_key(), self.key, x509.BasicConstraints(ca=False, path_length=None), names
        )
        path = self.folder / file
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(certificate.public_bytes(Encoding.PEM))
            out.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    def server(self, file: str, hosts: list[str]) -> ssl.SSLContext:
        """What a backend shows that speaks TLS itself."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(file, hosts))
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePrivateKey,
    constraints: x509.BasicConstraints, names: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + A_WEEK)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(by, hashes.SHA256())
