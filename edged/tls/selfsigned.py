"""The certificate of a site that has none: made at the first start, kept, and trusted by nobody (openshift-routes.md 7.2)."""

import datetime
import logging
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.durable import replace_file
from edged.tls.bundle import BadBundle, Bundle, bundle_of, read_bundle

__all__ = ["FILE", "kept", "made"]

log = logging.getLogger(__name__)

FILE = "self-signed.pem"
COMMON_NAME = "edged-self-signed"

_BITS = 2048
_BEFORE = datetime.timedelta(hours=1)            # clocks of clients are not always right
_YEARS_TEN = datetime.timedelta(days=3652)


def kept(state_dir: str, domain: str) -> Bundle | None:
    """The one that was made before for this domain, if it still holds."""
    try:
        bundle = read_bundle(str(Path(state_dir, FILE)), None)
    except BadBundle:
        return None
    return bundle if bundle.ends_s > time.time() and _name(domain) in bundle.names else None


def made(state_dir: str, domain: str) -> Bundle:
    """A new one, kept in a file for its owner alone; only in memory, with a line in the log, if that cannot be written."""
    text = _text(_name(domain))
    path = Path(state_dir, FILE)
    try:
        replace_file(path, text.encode())
    except OSError as why:
        log.warning("%s: %s; the self-signed certificate will be another one after each restart", path, why.strerror)
    return bundle_of(str(path), text, None)


def _name(domain: str) -> str:
    return f"*.{domain}" if domain else "localhost"


def _text(name: str) -> str:
    key = rsa.generate_private_key(65537, _BITS)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE).not_valid_after(now - _BEFORE + _YEARS_TEN)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (key_pem + certificate.public_bytes(Encoding.PEM)).decode()
