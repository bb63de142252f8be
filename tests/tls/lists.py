"""Lists of revoked certificates, and authorities that say where theirs are."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from edged.model.listener import Listener, Mode
from tests.tls.odd import authority_extensions, made, name

START_S = 1_800_000_000.0                        # a moment for all that is made here


def points(*urls):
    """The extension that names them."""
    found = [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    return x509.CRLDistributionPoints(found), False


def authority(subject, key, *urls):
    return made(subject, key, days=(-1, 3650), extensions=[*authority_extensions(key), *([points(*urls)] if urls else [])])


def scope(**words):
    """The extension by which a list says what it is about."""
    whole = dict.fromkeys(("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs"), False)
    whole |= dict.fromkeys(("full_name", "relative_name", "only_some_reasons"), None)
    return x509.IssuingDistributionPoint(**whole | words), True


DELTA = x509.DeltaCRLIndicator(1), True
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def crl(issuer, key, *serials, made_s=START_S, next_s=START_S + 86400.0, extensions=()):
    """As DER."""
    moment = datetime.fromtimestamp(made_s, UTC)
    builder = x509.CertificateRevocationListBuilder(name(issuer), moment, datetime.fromtimestamp(next_s, UTC))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    for serial in serials:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, moment - timedelta(days=1)).build())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def as_pem(*ders):
    return b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in ders)


def listener(number=1, **more):
    return Listener(**{"name": f"l{number}", "number": number, "address": "127.0.0.1:0", "mode": Mode.HTTPS, "tls": True, **more})
