"""Lists of what authorities have revoked (CRLs), for certificates of clients (openshift-routes.md 7.8): where they are, and what they say.

Nothing of OpenSSL's verification is repeated here: a list is only kept if it can be of use to it. One that it would leave aside is refused
by name, as it would otherwise let in whom that list alone revokes, or nobody, and say no word of why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from edged.errors import EdgedError
from edged.model.listener import Listener

__all__ = ["FILE", "POINTS", "BadCrl", "Crl", "authorities_of", "check_signature", "points_of", "read_crls", "source_of"]

FILE, POINTS = "file:", "points:"
POINTS_MOST = 256                                # of one file of authorities

_END = b"-----END X509 CRL-----"
_AUTHORITY_END = b"-----END CERTIFICATE-----"


class BadCrl(EdgedError):
    """What should be a list of revoked certificates is none that can be used."""


@dataclass(frozen=True, slots=True)
class Crl:
    """One list. Equal if all bytes are."""

    der: bytes
    issuer: bytes                                # its name as DER
    made_s: float                                # seconds since the epoch
    next_s: float | None                         # when there will be a newer one; from then on OpenSSL refuses whom this one should judge


def source_of(listener: Listener) -> str:
    """Where the lists for a listener come from: FILE and the path of such lists, POINTS and the path of authorities, which may name
    distribution points. "": nowhere; the authorities that the system trusts are too many to ask them all."""
    if not listener.tls or listener.client_auth == "none":
        return ""
    if listener.client_crl:
        return FILE + listener.client_crl
    return POINTS + listener.client_ca if listener.client_ca else ""


def authorities_of(pem: bytes) -> list[x509.Certificate]:
    """Raises BadCrl."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as why:
        raise BadCrl(f"there is no certificate in it, or a broken one: {why}") from None


def points_of(authorities: Iterable[x509.Certificate]) -> tuple[str, ...]:
    """The distribution points that these name, each once; those that are not http are left out. Raises BadCrl if there are too many."""
    found: dict[str, None] = {}
    for authority in authorities:
        found.update(dict.fromkeys(_points_of(authority)))
    if len(found) > POINTS_MOST:
        raise BadCrl(f"the authorities name {len(found)} distribution points; {POINTS_MOST} are the most that are asked")
    return tuple(found)


def _points_of(authority: x509.Certificate) -> list[str]:
    try:
        points = authority.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
    except x509.ExtensionNotFound:
        return []
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as why:
        raise BadCrl(f"an authority's distribution points cannot be read: {why}") from None
    assert isinstance(points, x509.CRLDistributionPoints)
    names = [name for point in points for name in point.full_name or ()]
    return [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier) and name.value[:7].lower() == "http://"]


def read_crls(data: bytes) -> list[Crl]:
    """Lists as PEM, one or more, or one as DER. Raises BadCrl."""
    try:
        if _END in data:
            found = [x509.load_pem_x509_crl(block + _END) for block in data.split(_END)[:-1]]
        elif data.lstrip().startswith(b"-----BEGIN"):
            raise BadCrl("it is PEM, but there is no CRL in it")
        else:
            found = [x509.load_der_x509_crl(data)]
        for one in found:
            _check_kind(one)
        return [_crl(one) for one in found]
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as why:
        raise BadCrl(f"a CRL is broken: {why}" if data else "it is empty") from None


def _check_kind(one: x509.CertificateRevocationList) -> None:
    """A list must be a whole one, of the authority's own certificates, for every reason. It may be one of some distribution point, of
    authorities alone or of all others alone: then it judges only those, and somebody whom no list judges is refused."""
    for extension in one.extensions:
        wrong = _fault(extension)
        if wrong:
            raise BadCrl(f"the CRL of {one.issuer.rfc4514_string()} {wrong}")


def _fault(extension: x509.Extension[x509.ExtensionType]) -> str:
    """Why a list with this extension cannot be used; empty: it is none why not."""
    value = extension.value
    if isinstance(value, x509.DeltaCRLIndicator):
        return "is a delta, which tells what is new since another one: the whole one is needed, and it alone"
    if isinstance(value, x509.IssuingDistributionPoint):
        if value.indirect_crl:
            return "is indirect, about certificates of others too: one of each authority's own is needed"
        if value.only_some_reasons:
            return "is for some reasons alone: one for all reasons is needed"
        return "is about attribute certificates, which nobody shows here" if value.only_contains_attribute_certs else ""
    if extension.critical and not isinstance(value, x509.AuthorityKeyIdentifier):
        return f"has a critical extension that is not known here: {extension.oid.dotted_string}"
    return ""


def _crl(one: x509.CertificateRevocationList) -> Crl:
    next_s = None if one.next_update_utc is None else one.next_update_utc.timestamp()
    return Crl(one.public_bytes(Encoding.DER), one.issuer.public_bytes(), one.last_update_utc.timestamp(), next_s)


def check_signature(crl: Crl, authorities: Sequence[x509.Certificate]) -> None:
    """One of these must have signed it: raises BadCrl."""
    signed = x509.load_der_x509_crl(crl.der)
    own = [authority for authority in authorities if authority.subject.public_bytes() == crl.issuer]
    if not own:
        raise BadCrl(f"its issuer, {signed.issuer.rfc4514_string()}, is not among the authorities")
    for authority in own:
        try:
            if signed.is_signature_valid(authority.public_key()):      # type: ignore[arg-type]    # any other kind is a TypeError
                return
        except (TypeError, ValueError, InvalidSignature, UnsupportedAlgorithm):
            continue
    raise BadCrl(f"{signed.issuer.rfc4514_string()} has not signed it")
