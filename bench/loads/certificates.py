"""The certificates of a comparison: an authority of its own, a leaf for each sort of key that is compared, and a crowd to be kept."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

A_WEEK = datetime.timedelta(days=7)
CERTIFICATES_ONLY = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
    key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)


class Authority:
    """Signs for as long as a comparison lasts."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named("bench authority")
        self.certificate = self.sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=0), CERTIFICATES_ONLY)

    def sign(self, name: x509.Name, key: Key, *extensions: x509.ExtensionType) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(self.name, name, key.public_key(), serial, now - A_WEEK, now + A_WEEK)
        for extension in (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), *extensions):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
        return builder.sign(self.key, hashes.SHA256())

    def leaf(self, key: Key, *names: str) -> bytes:
        """A server's certificate and its key, in one PEM text."""
        certificate = self.sign(
            named(names[0]), key,
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            x509.BasicConstraints(ca=False, path_length=None),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
        )
        return certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass(frozen=True)
class Certificates:
    """PEM files, a certificate and its key each; `authority` is the certificate of who signed them, alone."""

    authority: Path
    ecdsa: Path                  # P-256
    rsa: Path                    # 2048 bits
    backend: Path                # P-256

    @classmethod
    def make(cls, folder: Path, authority: Authority, ecdsa: list[str], rsa_2048: list[str], backend: list[str]) -> "Certificates":
        """The names that each leaf is good for."""
        folder.mkdir(parents=True)
        files = cls(*(folder / f"{name}.pem" for name in ("authority", "ecdsa", "rsa", "backend")))
        files.authority.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
        files.ecdsa.write_bytes(authority.leaf(ec.generate_private_key(ec.SECP256R1()), *ecdsa))
        files.rsa.write_bytes(authority.leaf(rsa.generate_private_key(65537, 2048), *rsa_2048))
        files.backend.write_bytes(authority.leaf(ec.generate_private_key(ec.SECP256R1()), *backend))
        return files


def make_crowd(folder: Path, authority: Authority, names: list[str]) -> Path:
    """A directory with a file for each name, P-256."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.pem").write_bytes(authority.leaf(ec.generate_private_key(ec.SECP256R1()), name))
    return folder
