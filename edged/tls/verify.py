"""Whether a certificate can be shown: those of routes (openshift-routes.md 2.2), and those of the operator."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID
from OpenSSL import crypto

from edged.errors import EdgedError
from edged.tls.pem import BadPem, Found, Key, Material, read_material

__all__ = ["BadCertificate", "Weak", "authorities", "key_type", "pair", "route_certificate", "weakness"]

RSA_BITS_LEAST, RSA_BITS_MOST = 2048, 8192       # fewer are shown to nobody by OpenSSL; a handshake with more costs too much
EC_BITS_LEAST = 224

_NO_CHECK_TIME = 0x200000                        # X509_V_FLAG_NO_CHECK_TIME, which pyOpenSSL does not name
_WEAK = {
    SignatureAlgorithmOID.RSA_WITH_MD5.dotted_string: "MD5", SignatureAlgorithmOID.RSA_WITH_SHA1.dotted_string: "SHA-1",
    "1.2.840.113549.1.1.2": "MD2", "1.3.14.3.2.29": "SHA-1", SignatureAlgorithmOID.DSA_WITH_SHA1.dotted_string: "SHA-1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1.dotted_string: "SHA-1",
}
_ROUTE_TYPES = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)
_EVERY_TYPE = (*_ROUTE_TYPES, ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)
_NO_KEY = (ValueError, UnsupportedAlgorithm, InternalError)
_BAD_EXTENSION = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class BadCertificate(EdgedError):
    """A certificate that is not shown, and every reason."""

    def __init__(self, wrongs: Iterable[tuple[str, str]]) -> None:
        """`wrongs`: fields of spec.tls, and what is wrong with each. `message` tells all of them, that of the first field first."""
        self.wrongs = tuple(wrongs)
        (self.field, first), *more = self.wrongs
        self.message = "; ".join([first, *(message if field == self.field else f"{field}: {message}" for field, message in more)])
        super().__init__(f"{self.field}: {self.message}")


class Weak(ValueError):
    """Nobody should rely on this."""


def route_certificate(certificate: str, key: str, ca: str, *, extended: bool) -> tuple[tuple[bytes, ...], bytes] | None:
    """What is shown for a route: its chain and its key, in DER; None if it brings nothing to show. Raises BadCertificate.

    `extended`: all of openshift-routes.md 2.2. Otherwise only that it can be shown at all: that it parses, pairs and is strong enough."""
    wrongs: list[tuple[str, str]] = []
    main = _field("certificate", certificate, wrongs)
    keys = _field("key", key, wrongs)
    above = _field("caCertificate", ca, wrongs)
    wrongs += _misplaced(main, keys, above, bool(certificate), bool(ca))
    every_key = (*main.keys, *keys.keys)
    if main.certificates and not wrongs:
        wrongs += _unfit(main, every_key, above, extended=extended)
    if wrongs:
        raise BadCertificate(wrongs)
    if not main.certificates:
        return None
    return tuple(dict.fromkeys(found.der for found in (*main.certificates, *above.certificates))), every_key[0].der()


def authorities(pem: str, *, extended: bool = True) -> tuple[bytes, ...]:
    """The certificates of a destinationCACertificate, in DER; raises BadCertificate. `extended`: none of them may be weak."""
    wrongs: list[tuple[str, str]] = []
    material = _field("destinationCACertificate", pem, wrongs)
    if not material.certificates and not wrongs:
        wrongs.append(("destinationCACertificate", "there is no certificate in it"))
    if extended:
        wrongs += _weaknesses("destinationCACertificate", material.certificates)
    if wrongs:
        raise BadCertificate(wrongs)
    return tuple(found.der for found in material.certificates)


def _field(name: str, text: str, wrongs: list[tuple[str, str]]) -> Material:
    try:
        return read_material(text, lenient=True)
    except BadPem as why:
        wrongs.append((name, str(why)))
        return Material()


def _misplaced(main: Material, keys: Material, above: Material, certificate: bool, ca: bool) -> Iterator[tuple[str, str]]:
    """What is where it does not belong, or missing."""
    if certificate and not main.certificates:
        yield "certificate", "there is no certificate in it"
    if main.public_keys:
        yield "certificate", f"line {main.public_keys[0]}: a public key has no place here"
    if ca and not above.certificates:
        yield "caCertificate", "there is no certificate in it"
    if keys.certificates or keys.public_keys:
        line = min([found.line for found in keys.certificates] + list(keys.public_keys))
        yield "key", f"line {line}: only private keys have a place here"


def _unfit(main: Material, keys: tuple[Key, ...], above: Material, *, extended: bool) -> Iterator[tuple[str, str]]:
    if not keys:
        yield "key", "there is no private key for the certificate"
        return
    try:
        pair(main.certificates[0], keys[0], every_type=False)
    except ValueError as why:
        yield ("certificate" if isinstance(why, Weak) else "key"), str(why)
    yield from _weaknesses("certificate", main.certificates)
    yield from _weaknesses("caCertificate", above.certificates)
    if extended and above.certificates and (wrong := _not_issued(main.certificates[0], above.certificates)):
        yield "certificate", wrong


def pair(found: Found, key: Key, *, every_type: bool = True) -> None:
    """Whether a certificate and a key belong together and are of a kind that can be shown; raises ValueError. `every_type`: also
    Ed25519, which routes may not bring."""
    try:
        public = found.certificate.public_key()
    except _NO_KEY:
        raise Weak("its public key is of no kind that can be used") from None
    if not isinstance(public, _EVERY_TYPE if every_type else _ROUTE_TYPES):
        raise Weak(f"its key is {key_type(found.certificate)}: RSA and ECDSA can be used")
    if public != key.private.public_key():
        raise ValueError("this is not the key of the certificate")


def key_type(certificate: x509.Certificate) -> str:
    """Such as "RSA 2048" or "ECDSA secp256r1"."""
    try:
        public = certificate.public_key()
    except _NO_KEY:
        return "of an unknown kind"
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"ECDSA {public.curve.name}"
    return type(public).__name__.strip("_").removesuffix("PublicKey")


def weakness(certificate: x509.Certificate) -> str:
    """Why nobody should rely on a certificate; empty if there is no reason."""
    try:
        public = certificate.public_key()
    except _NO_KEY:
        return "its public key is of no kind that can be used"
    if isinstance(public, rsa.RSAPublicKey) and not RSA_BITS_LEAST <= public.key_size <= RSA_BITS_MOST:
        return f"an RSA key of {public.key_size} bits: {RSA_BITS_LEAST} to {RSA_BITS_MOST} can be used"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.key_size < EC_BITS_LEAST:
        return f"a key on {public.curve.name}: {EC_BITS_LEAST} bits are the least"
    digest = _weak_digest(certificate)
    return f"signed with {digest} by a CA" if digest and not _is_self_signed(certificate) else ""


def _weak_digest(certificate: x509.Certificate) -> str:
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return _WEAK.get(certificate.signature_algorithm_oid.dotted_string, "")
    try:
        return "SHA-1" if isinstance(certificate.signature_hash_algorithm, hashes.SHA1) else ""
    except _NO_KEY:
        return "an unknown digest"


def _weaknesses(field: str, certificates: Iterable[Found]) -> Iterator[tuple[str, str]]:
    for found in certificates:
        if wrong := weakness(found.certificate):
            yield field, f"line {found.line}: {wrong}"


def _is_self_signed(certificate: x509.Certificate) -> bool:
    """As names and key ids tell it: issuer equals subject, and the authority's key id is absent or the subject's."""
    if certificate.issuer != certificate.subject:
        return False
    try:
        extensions = certificate.extensions
    except _BAD_EXTENSION:
        return False
    try:
        above = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return True
    try:
        return above is None or above == extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return False


def _not_issued(leaf: Found, above: tuple[Found, ...]) -> str:
    """Why no chain leads from a certificate to one of these; empty if one does. Times do not count, and whoever is out of its own time
    is asked nothing further: so does the reference, which sees the date before the issuer (openshift-routes.md 2.2, QUIRK)."""
    if not is_in_time(leaf.certificate):
        return ""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | _NO_CHECK_TIME)
    try:
        for found in above:
            store.add_cert(crypto.X509.from_cryptography(found.certificate))
        context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf.certificate))
        context.verify_certificate()
        chain = [one.to_cryptography() for one in context.get_verified_chain()]
    except crypto.X509StoreContextError as why:
        return f"caCertificate does not lead to it: {why.args[0] if why.args else why}"
    except crypto.Error:
        return "OpenSSL does not read it"
    return next((wrong for one in chain if (wrong := _not_for_servers(one))), "")


def is_in_time(certificate: x509.Certificate, now_s: float | None = None) -> bool:
    now = datetime.fromtimestamp(time.time() if now_s is None else now_s, UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _not_for_servers(certificate: x509.Certificate) -> str:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    except _BAD_EXTENSION:
        return "its extensions do not parse"
    fit = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage)
    return "" if fit else "it is not meant for servers (its extended key usage)"
