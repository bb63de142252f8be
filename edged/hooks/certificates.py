"""Certificates of routes, checked. `edged.tls` and the library below it are loaded by who has a certificate to check, by nobody else."""

from edged.model.certificate import Certificate, Trust
from edged.model.origin import Origin

__all__ = ["BadCertificate", "checked_certificate", "checked_trust"]


class BadCertificate(Exception):
    """What was given as a certificate, key or authority cannot be served. `field`: which of them, as the function's argument is called."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def checked_certificate(certificate: str, key: str = "", ca: str = "", *, extended: bool = True, origin: Origin = Origin("")) -> Certificate:
    """The certificate of a route, of PEM texts; `key` may be within `certificate`, `ca` is the rest of its chain. `extended`: by all
    the rules of openshift-routes.md 2.2, else only as far as it can be served at all. Raises BadCertificate. It takes up to a
    millisecond, so who has thousands keeps what came out."""
    from edged.tls import verify

    try:
        chain, secret = verify.route_certificate(certificate, key, ca, extended=extended)
    except verify.BadCertificate as why:
        raise BadCertificate(why.field, why.message) from None
    return Certificate.of(chain, secret, origin=origin)


def checked_trust(authorities: str) -> Trust:
    """Endpoints are believed that one of these certifies, certificates in PEM. Raises BadCertificate."""
    from edged.tls import verify

    try:
        return Trust.of(verify.authorities(authorities))
    except verify.BadCertificate as why:
        raise BadCertificate("authorities", why.message) from None
