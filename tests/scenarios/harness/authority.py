"""A certificate authority of the tests' own: a root, an intermediate below it, and whatever a test lets it sign.

Keys are made once and shared, as making one takes longer than most tests; certificates differ by their serial numbers and names."""

import datetime
import functools
import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Certified", "common_name", "key_of"]

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

DAY = datetime.timedelta(days=1)
_serials = itertools.count(0x1000)


@functools.cache
def key_of(sort: str, number: int = 0) -> Key:
    """The same one for the same words. `sort`: "ec", "ec384", "rsa", "rsa1024" (too weak), "ed25519"."""
    if sort.startswith("rsa"):
        return rsa.generate_private_key(65537, int(sort[3:] or 2048))
    if sort == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP384R1() if sort == "ec384" else ec.SECP256R1())


def common_name(der: bytes) -> str:
    """By which tests tell certificates apart."""
    return str(x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@dataclass(frozen=True)
class Certified:
    """A certificate with its key and those between it and the root."""

    certificate: x509.Certificate
    key: Key
    between: tuple[x509.Certificate, ...] = ()

    @property
    def name(self) -> str:
        return common_name(self.der)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    @property
    def chain_pem(self) -> str:
        """The certificate and what is above it, as servers show it."""
        return "".join(map(_pem, (self.certificate, *self.between)))

    @property
    def between_pem(self) -> str:
        return "".join(map(_pem, self.between))

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def key_der(self) -> bytes:
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def locked_key_pem(self, passphrase: str) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())).decode()

    @property
    def bundle(self) -> str:
        """Key and chain in one text."""
        return self.key_pem + self.chain_pem

    def write(self, folder: Path, name: str = "") -> tuple[Path, Path]:
        """Files for programs: the chain and the key."""
        folder.mkdir(parents=True, exist_ok=True)
        chain, key = folder / f"{name or self.name}.crt", folder / f"{name or self.name}.key"
        chain.write_text(self.chain_pem)
        key.write_text(self.key_pem)
        return chain, key


class Authority:
    """A root that signs an intermediate that signs all others."""

    def __init__(self, name: str = "root") -> None:
        self.name = name
        self.root = self._root(name)
        self.intermediate = self._below(self.root, f"{name} intermediate", key=key_of("ec", _number(name, 1)), authority=True)

    @property
    def pem(self) -> str:
        """What clients trust."""
        return self.root.pem

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.ca"
        path.write_text(self.pem)
        return path

    def issue(
        self, name: str, names: Sequence[str] = (), *, sort: str = "ec", number: int = 0, days: int = 90, from_day: int = -1,
        client: bool = False, direct: bool = False, subject: Sequence[tuple[x509.ObjectIdentifier, str]] = (),
    ) -> Certified:
        """A certificate with this common name for these hosts and addresses. `direct`: signed by the root itself."""
        issuer = self.root if direct else self.intermediate
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = _builder([*subject, (NameOID.COMMON_NAME, name)], issuer.certificate.subject, key_of(sort, number), from_day, days)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        signed = self._sign(builder, issuer, key_of(sort, number))
        return Certified(signed, key_of(sort, number), () if direct else (self.intermediate.certificate,))

    def self_signed(self, name: str, names: Sequence[str] = ()) -> Certified:
        """By nobody's authority."""
        key = key_of("ec", 99)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder([(NameOID.COMMON_NAME, name)], subject, key, -1, 90)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names or [name]]), critical=False)
        return Certified(builder.sign(key, hashes.SHA256()), key)

    def vouches(self, one: Certified, *, good: bool = True, days: int = 1) -> bytes:
        """An OCSP answer for a certificate of the intermediate, for so many days."""
        now = _now()
        status, revoked = (ocsp.OCSPCertStatus.GOOD, None) if good else (ocsp.OCSPCertStatus.REVOKED, now - DAY)
        builder = ocsp.OCSPResponseBuilder().add_response(
            one.certificate, self.intermediate.certificate, hashes.SHA256(), status, now - DAY, now + days * DAY, revoked, None
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.intermediate.certificate)
        return builder.sign(self.intermediate.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def revocations(self, *revoked: Certified, days: float = 30, scope: x509.ExtensionType | None = None) -> str:
        """Lists of the intermediate, with these, and of the root, with nothing. The first one's next is due in so many days, and it may
        say what it is about."""
        return "".join(
            self._revocations(issuer, [one for one in revoked if one.certificate.issuer == issuer.certificate.subject], *more)
            for issuer, *more in ((self.intermediate, days, scope), (self.root, 30))
        )

    def _revocations(self, issuer: Certified, revoked: Sequence[Certified], days: float, scope: x509.ExtensionType | None = None) -> str:
        now = _now()
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject).last_update(now - DAY)
        builder = builder.next_update(now + days * DAY)
        if scope is not None:
            builder = builder.add_extension(scope, critical=True)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _root(self, name: str) -> Certified:
        key = key_of("ec", _number(name, 0))
        builder = _builder([(NameOID.COMMON_NAME, name)], x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, -2, 3650)
        builder = _as_authority(builder, key)
        return Certified(builder.sign(key, hashes.SHA256()), key)

    def _below(self, issuer: Certified, name: str, *, key: Key, authority: bool) -> Certified:
        builder = _builder([(NameOID.COMMON_NAME, name)], issuer.certificate.subject, key, -2, 3000)
        return Certified(self._sign(_as_authority(builder, key) if authority else builder, issuer, key), key)

    def _sign(self, builder: x509.CertificateBuilder, issuer: Certified, key: Key) -> x509.Certificate:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        return builder.add_extension(above, critical=False).sign(issuer.key, hashes.SHA256())


def _builder(
    subject: Sequence[tuple[x509.ObjectIdentifier, str]], issuer: x509.Name, key: Key, from_day: int, days: int
) -> x509.CertificateBuilder:
    now = _now()
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]))
    builder = builder.issuer_name(issuer).public_key(key.public_key()).serial_number(next(_serials))
    return builder.not_valid_before(now + from_day * DAY).not_valid_after(now + days * DAY)


def _as_authority(builder: x509.CertificateBuilder, key: Key) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.add_extension(usage, critical=True)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _number(name: str, step: int) -> int:
    """Of the shared key of an authority's own: two authorities never share one."""
    return 1000 + 2 * sum(name.encode()) + step


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
