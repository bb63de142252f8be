"""Certificates that a decent authority would not sign, and texts of keys in every shape."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

RSA_WITH = {"MD2": "2a864886f70d010102", "MD5": "2a864886f70d010104", "SHA-1": "2a864886f70d010105"}
ECDSA_WITH = {"SHA-1": "2a8648ce3d0401"}
SHA256 = hashes.SHA256()
DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def made(subject, key, issuer="", issuer_key=None, *, days=(-1, 30), digest=SHA256, extensions=(), names=()):
    """A certificate; signed by itself without an issuer. `extensions`: with whether each is critical."""
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer or subject)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key or key, digest)


def authority_extensions(key):
    return [(x509.BasicConstraints(True, None), True), (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)]


def signed_by(key):
    return (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)


def weakly_signed(certificate, digest):
    """The same, as if it had been signed with a digest that no library signs with any more. Its signature is good for nothing."""
    rsa_signed = isinstance(certificate.signature_algorithm_parameters, padding.PKCS1v15)
    oid = bytes.fromhex((RSA_WITH if rsa_signed else ECDSA_WITH)[digest])
    algorithm = _tlv(0x30, _tlv(0x06, oid) + (_tlv(0x05, b"") if rsa_signed else b""))
    body, _, signature = _parts(_parts(certificate.public_bytes(Encoding.DER))[0][1])
    fields = _parts(body[1])
    fields[2] = (0x30, algorithm[2:])
    whole = _tlv(0x30, b"".join(_tlv(*one) for one in fields)) + algorithm + _tlv(*signature)
    return x509.load_der_x509_certificate(_tlv(0x30, whole))


def _parts(der):
    """Tags and contents of what stands one after the other."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            length, at = int.from_bytes(der[at:at + (length & 0x7F)], "big"), at + (length & 0x7F)
        found.append((tag, der[at:at + length]))
        at += length
    return found


def _tlv(tag, content):
    length = len(content)
    size = length.to_bytes((length.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if length < 0x80 else bytes([0x80 | len(size)]) + size) + content


def pem(*certificates):
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def key_pem(key, style="pkcs8", passphrase=None):
    """`style`: "pkcs8" or "old" (PKCS#1, SEC 1)."""
    shape = PrivateFormat.PKCS8 if style == "pkcs8" else PrivateFormat.TraditionalOpenSSL
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, shape, lock).decode()


def public_pem(key, style="spki"):
    shape = PublicFormat.SubjectPublicKeyInfo if style == "spki" else PublicFormat.PKCS1
    return key.public_key().public_bytes(Encoding.PEM, shape).decode()


def answer(one, issuer, *, status=ocsp.OCSPCertStatus.GOOD, days=(-1, 3), algorithm=None):
    """An OCSP answer of an issuer's (DER)."""
    now = datetime.datetime.now(datetime.UTC)
    revoked = {"revocation_time": now, "revocation_reason": None} if status is ocsp.OCSPCertStatus.REVOKED else {
        "revocation_time": None, "revocation_reason": None,
    }
    builder = ocsp.OCSPResponseBuilder().add_response(
        one.certificate, issuer.certificate, algorithm or hashes.SHA1(), status, now + days[0] * DAY, now + days[1] * DAY, **revoked
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
