"""The certificates of a comparison: an authority of its own, a leaf for each sort of key that is compared, and one for the backend."""

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


@dataclass(frozen=True)
class Certificates:
    """PEM files, a certificate and its key each; `authority` is the certificate of who signed them, alone."""

    authority: Path
    ecdsa: Path                  # P-256
    rsa: Path                    # 2048 bits
    backend: Path                # P-256

    @classmethod
    def make(cls, folder: Path, ecdsa: list[str], rsa_2048: list[str], backend: list[str]) -> "Certificates":
        """The names that each leaf is good for."""
        folder.mkdir(parents=True)
        files = cls(*(folder / f"{name}.pem" for name in ("authority", "ecdsa", "rsa", "backend")))
        key = ec.generate_private_key(ec.SECP256R1())
        authority = signed(key, "bench authority", None, key, x509.BasicConstraints(ca=True, path_length=0), CERTIFICATES_ONLY)
        files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
        files.ecdsa.write_bytes(leaf(ec.generate_private_key(ec.SECP256R1()), ecdsa, authority, key))
        files.rsa.write_bytes(leaf(rsa.generate_private_key(65537, 2048), rsa_2048, authority, key))
        files.backend.write_bytes(leaf(ec.generate_private_key(ec.SECP256R1()), backend, authority, key))
        return files


def signed(key: Key, name: str, issuer: x509.Certificate | None, by: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
           ) -> x509.Certificate:
    """Without an issuer it is its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer.subject if issuer else subject, subject, key.public_key(), x509.random_serial_number(), now - A_WEEK, now + A_WEEK,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
    return builder.sign(by, hashes.SHA256())


def leaf(key: Key, names: list[str], issuer: x509.Certificate, by: ec.EllipticCurvePrivateKey) -> bytes:
    """A server's certificate and its key, in one text."""
    certificate = signed(
        key, names[0], issuer, by,
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.BasicConstraints(ca=False, path_length=None),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()),
    )
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
