"""The OCSP answer of an authority that clients are shown with a certificate: whether it is one about that certificate, and until when."""

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from edged.model.origin import Origin, Problem

__all__ = ["Staple", "staple_of"]

_FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class Staple:
    """`answer` is empty if there is none to show."""

    answer: bytes = b""                          # DER
    ends_s: float = _FOR_EVER                    # seconds since the epoch: it counts until then
    problem: Problem | None = None


def staple_of(path: str, raw: bytes, leaf: x509.Certificate, above: Iterable[x509.Certificate], now_s: float) -> Staple:
    """What a file holds for a certificate and, as far as they are at hand, those above it. That the certificate was revoked is shown as
    well: it is for clients to draw their conclusions."""
    try:
        answer = _parsed(raw)
        _check_subject(answer, leaf, above)
        ends_s = answer.next_update_utc.timestamp() if answer.next_update_utc else _FOR_EVER
        if ends_s <= now_s:
            raise ValueError("its time is over")
    except ValueError as why:
        return Staple(problem=Problem(Origin(path), "", f"this OCSP answer is not shown: {why}"))
    revoked = answer.certificate_status is ocsp.OCSPCertStatus.REVOKED
    problem = Problem(Origin(path), "", "by this OCSP answer the certificate was revoked, and clients are shown that") if revoked else None
    return Staple(raw, ends_s, problem)


def _parsed(raw: bytes) -> ocsp.OCSPResponse:
    try:
        answer = ocsp.load_der_ocsp_response(raw)
    except ValueError:
        raise ValueError("it does not parse") from None
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError("it is none, but an error of the authority's")
    return answer


def _check_subject(answer: ocsp.OCSPResponse, leaf: x509.Certificate, above: Iterable[x509.Certificate]) -> None:
    """Raises ValueError if it says nothing about this certificate."""
    if answer.serial_number != leaf.serial_number:
        raise ValueError("it is about another certificate")
    issuer = hashes.Hash(answer.hash_algorithm)
    issuer.update(leaf.issuer.public_bytes())
    if issuer.finalize() != answer.issuer_name_hash or not _fits(answer, leaf, above):
        raise ValueError("it is about a certificate of another authority")
    if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise ValueError("its authority does not know the certificate")


def _fits(answer: ocsp.OCSPResponse, leaf: x509.Certificate, above: Iterable[x509.Certificate]) -> bool:
    """Whether it is about the key of the authority, if that is at hand. The key's digest is nearly always SHA-1."""
    keys = [one.public_key() for one in above if one.subject == leaf.issuer]
    if not keys or not isinstance(answer.hash_algorithm, hashes.SHA1):
        return True
    return any(x509.SubjectKeyIdentifier.from_public_key(key).digest == answer.issuer_key_hash for key in keys)
