"""A bundle: the file of the operator's that holds a certificate, its chain and its key, with what lies beside it.

Beside `shop.pem` (or `shop.crt`) may lie, as for HAProxy: `shop.pem.key` or `shop.key`, the key, if it is not in the bundle;
`shop.pem.issuer`, the rest of the chain, if it is not in the bundle; `shop.pem.ocsp`, the answer of the authority that clients are
shown with it (DER). Each may also be named without the `.pem`.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from edged.errors import EdgedError
from edged.model.certificate import Certificate
from edged.model.origin import Origin, Problem
from edged.tls.folders import beside
from edged.tls.pem import BadPem, Found, Key, Material, read_material
from edged.tls.staple import Staple, staple_of
from edged.tls.trial import certificate_fault
from edged.tls.verify import pair, weakness

__all__ = ["BadBundle", "Bundle", "bundle_of", "names_of", "read_bundle", "read_text"]

_MOST_BYTES = 1 << 20
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_ADDRESS = re.compile(r"[0-9.]+")
_FOR_EVER = float("inf")


class BadBundle(EdgedError):
    """The certificate in a file cannot be shown. Says nothing of what a key is made of."""

    def __init__(self, where: str, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(Origin(where, line), "", message)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was read."""

    certificate: Certificate
    names: tuple[str, ...]                       # for which it is shown: "host" and "*.domain"
    begins_s: float                              # of its time, in seconds since the epoch
    ends_s: float
    again_s: float = _FOR_EVER                   # when to read it again, even if no file changes
    problem: Problem | None = None               # with the OCSP answer beside it; the certificate is shown all the same


def read_text(path: str) -> str:
    """A file that should be PEM; raises BadBundle."""
    raw = _read(path)
    if raw[:1] == b"\x30" and b"-----BEGIN" not in raw:
        raise BadBundle(path, 0, "this is no PEM: it is DER, as it seems")
    return raw.decode("utf-8", "replace")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size <= _MOST_BYTES:
                return file.read()
    except OSError as why:
        raise BadBundle(path, 0, f"cannot be read: {why.strerror}") from None
    raise BadBundle(path, 0, f"it is larger than {_MOST_BYTES} bytes")


def read_bundle(path: str, passphrase: bytes | None, now_s: float | None = None) -> Bundle:
    """A bundle, and what lies beside it; raises BadBundle."""
    main = _material(path, read_text(path), passphrase)
    keys, key_path = main.keys, path
    extra = _beside(path, ".key")
    if not keys and extra:
        keys, key_path = _material(extra, read_text(extra), passphrase).keys, extra
    issuer = _beside(path, ".issuer")
    above = _material(issuer, read_text(issuer), None).certificates if issuer else ()
    return _bundle(path, main, (key_path, keys), above, time.time() if now_s is None else now_s)


def bundle_of(where: str, text: str, passphrase: bytes | None, now_s: float | None = None) -> Bundle:
    """A bundle from a text that came from elsewhere; raises BadBundle."""
    main = _material(where, text, passphrase)
    return _bundle(where, main, (where, main.keys), (), time.time() if now_s is None else now_s)


def _beside(path: str, suffix: str) -> str:
    return next((other for other in beside(path, suffix) if os.path.exists(other)), "")


def _material(where: str, text: str, passphrase: bytes | None) -> Material:
    try:
        return read_material(text, passphrase=passphrase)
    except BadPem as why:
        raise BadBundle(where, why.line, why.message) from None


def _bundle(where: str, main: Material, keys: tuple[str, tuple[Key, ...]], above: tuple[Found, ...], now_s: float) -> Bundle:
    if not main.certificates:
        raise BadBundle(where, 0, "there is no certificate in it")
    leaf = main.certificates[0]
    key_where, found_keys = keys
    if not found_keys:
        raise BadBundle(where, 0, "there is no private key in it, and none beside it")
    try:
        pair(leaf, found_keys[0])
    except ValueError as why:
        raise BadBundle(key_where, found_keys[0].line, str(why)) from None
    for found in main.certificates:
        if wrong := weakness(found.certificate):
            raise BadBundle(where, found.line, wrong)
    chain = dict.fromkeys(found.der for found in main.certificates)
    if len(chain) == 1:
        chain |= dict.fromkeys(found.der for found in above if found.certificate.subject != found.certificate.issuer)
    staple = _staple(where, leaf, (*main.certificates[1:], *above), now_s)
    begins_s = leaf.certificate.not_valid_before_utc.timestamp()
    certificate = Certificate.of(tuple(chain), found_keys[0].der(), staple.answer, Origin(where, leaf.line))
    if wrong := certificate_fault(certificate):
        raise BadBundle(where, leaf.line, wrong)
    return Bundle(
        certificate, tuple(names_of(leaf.certificate)), begins_s, leaf.certificate.not_valid_after_utc.timestamp(),
        min(staple.ends_s, begins_s if begins_s > now_s else _FOR_EVER), staple.problem,
    )


def _staple(where: str, leaf: Found, above: tuple[Found, ...], now_s: float) -> Staple:
    path = _beside(where, ".ocsp") if where.startswith("/") else ""
    try:
        raw = _read(path) if path else b""
    except BadBundle as why:
        return Staple(problem=why.problem)
    return staple_of(path, raw, leaf.certificate, [found.certificate for found in above], now_s) if path else Staple()


def names_of(certificate: x509.Certificate) -> Iterator[str]:
    """The host names that a certificate bears, in lower case: of its subjectAltName, and its common name."""
    given: list[str] = []
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        given += names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        pass                                     # then it bears none of those
    given += (str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    for name in dict.fromkeys(one.lower().removesuffix(".") for one in given):
        if _NAME.fullmatch(name) and not _ADDRESS.fullmatch(name):
            yield name
