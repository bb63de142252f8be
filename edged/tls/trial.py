"""Whether workers can use a certificate or a trust, tried by the very code that they run. They take what control sends as a whole, so one
that they cannot use would keep all others from them.
"""

from cryptography import x509
from OpenSSL import crypto

from edged._fast.run.material import Authority, Chain, Material
from edged.model.certificate import Certificate, Trust
from edged.tls import openssl

__all__ = ["certificate_fault", "trust_fault"]

_KNOWN_MOST = 65536
_good: dict[object, None] = {}                   # ids of what was found good


def certificate_fault(certificate: Certificate) -> str:
    """What is wrong with a certificate; empty: nothing, or there is nothing to try it with."""
    if certificate.id in _good or not _is_loaded():
        return ""
    try:
        leaf, *issuers = certificate.chain
        Material(leaf, certificate.key, Chain([Authority(der) for der in issuers]) if issuers else None).served(certificate.ocsp)
    except ValueError as why:
        return str(why)
    _remember(certificate.id)
    return ""


def trust_fault(trust: Trust) -> str:
    """What is wrong with a trust; empty: nothing."""
    if trust.id in _good:
        return ""
    store = crypto.X509Store()
    try:
        for der in trust.authorities:
            store.add_cert(crypto.X509.from_cryptography(x509.load_der_x509_certificate(der)))
    except (ValueError, crypto.Error) as why:
        return f"an authority is no certificate: {why}"
    _remember(trust.id)
    return ""


def _is_loaded() -> bool:
    """A worker that needs OpenSSL and cannot have it says so itself."""
    try:
        openssl.load()
    except openssl.NoOpenSSL:
        return False
    return True


def _remember(number: object) -> None:
    if len(_good) >= _KNOWN_MOST:
        _good.clear()
    _good[number] = None
