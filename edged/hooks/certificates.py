"""Certificates of routes, checked. `edged.tls` and the library below it are loaded by who has a certificate to check, by nobody else."""

from collections.abc import Sequence

from edged.model.certificate import Certificate, Trust
from edged.model.origin import NOWHERE, Origin

__all__ = ["BadCertificate", "checked_certificate", "checked_trust"]


class BadCertificate(Exception):
    """What was given as certificate, key or authorities cannot be served."""

    def __init__(self, wrongs: Sequence[tuple[str, str]]) -> None:
        """`wrongs`: everything that is wrong: the field ("certificate", "key", "caCertificate" or "destinationCACertificate"), and what
        is wrong with it."""
        super().__init__("; ".join(f"{field}: {message}" for field, message in wrongs))
        self.wrongs = tuple(wrongs)


def checked_certificate(
    certificate: str, key: str = "", ca: str = "", *, extended: bool = True, origin: Origin = NOWHERE
) -> Certificate | None:
    """The certificate of a route, of PEM texts; None if they hold none. The key may stand in `key` or in `certificate`; `ca` is the rest
    of the chain. `extended`: by all the rules of openshift-routes.md 2.2, else only as far as it can be served at all. Raises
    BadCertificate. It may take a millisecond, so who has thousands keeps what came out."""
    from edged.tls import trial, verify

    try:
        made = verify.route_certificate(certificate, key, ca, extended=extended)
    except verify.BadCertificate as why:
        raise BadCertificate(why.wrongs) from None
    if made is None:
        return None
    checked = Certificate.of(*made, origin=origin)
    if wrong := trial.certificate_fault(checked):
        raise BadCertificate([("certificate", wrong)])
    return checked


def checked_trust(authorities: str, *, extended: bool = True) -> Trust:
    """Endpoints are believed that one of these certifies: certificates in PEM. `extended`: none of them may be weak. Raises
    BadCertificate."""
    from edged.tls import trial, verify

    try:
        checked = Trust.of(verify.authorities(authorities, extended=extended))
    except verify.BadCertificate as why:
        raise BadCertificate(why.wrongs) from None
    if wrong := trial.trust_fault(checked):
        raise BadCertificate([("destinationCACertificate", wrong)])
    return checked
