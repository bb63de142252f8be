"""Certificates made by hand, byte by byte: with what no library would write into one."""

from base64 import encodebytes
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CN, ORGANIZATION = "2.5.4.3", "2.5.4.10"
UTF8, T61, IA5, BMP = 0x0C, 0x14, 0x16, 0x1E                     # sorts of texts
Attribute = tuple[str, int, bytes]                               # which, its sort, its bytes

_ECDSA_SHA256, _BASIC_CONSTRAINTS = "1.2.840.10045.4.3.2", "2.5.29.19"


def tlv(tag: int, body: bytes) -> bytes:
    n = len(body)
    wide = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag, n] if n < 128 else [tag, 0x80 | len(wide), *wide]) + body


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, b"".join(parts))


def oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    body = [first * 40 + second]
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(0x80 | number & 127)
        body += reversed(groups)
    return tlv(6, bytes(body))


def integer(number: int) -> bytes:
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def name(attributes: Iterable[Attribute]) -> bytes:
    return seq(*(tlv(0x31, seq(oid(which), tlv(sort, text))) for which, sort, text in attributes))


def time(text: bytes) -> bytes:
    return tlv(0x17 if len(text) == 13 else 0x18, text)


class Maker:
    """One key for all: the authority's, the server's and the clients'."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name([(CN, UTF8, b"the CA")])
        constraint = seq(oid(_BASIC_CONSTRAINTS), tlv(1, b"\xff"), tlv(4, seq(tlv(1, b"\xff"))))
        self.authority = self.certificate(self.name, extensions=constraint)

    def certificate(
        self, subject: bytes | Iterable[Attribute], *, serial: int = 1, before: bytes = b"240101000000Z", after: bytes = b"490101000000Z",
        version: int = 3, extensions: bytes = b"",
    ) -> bytes:
        der = serialization.Encoding.DER
        algorithm = seq(oid(_ECDSA_SHA256))
        body = seq(
            tlv(0xA0, integer(version - 1)) if version > 1 else b"", integer(serial), algorithm, self.name, seq(time(before), time(after)),
            subject if isinstance(subject, bytes) else name(subject),
            self.key.public_key().public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo),
            tlv(0xA3, seq(extensions)) if extensions else b"",
        )
        return seq(body, algorithm, tlv(3, b"\0" + self.key.sign(body, ec.ECDSA(hashes.SHA256()))))

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + encodebytes(der) + b"-----END CERTIFICATE-----\n"
