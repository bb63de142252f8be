"""`edged certs`: every certificate there is, what it is shown for and until when; and those that were refused, and why."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from edged.control import check
from edged.control.admit import Admission
from edged.control.certificates import Picture, shown_for, tls_name
from edged.model.certificate import Certificate
from edged.model.origin import Problem
from edged.settings import Settings
from edged.tls.operator import OperatorCertificates
from edged.tls.verify import key_type

__all__ = ["certs"]

_HEADINGS = ("SHOWN FOR", "DAYS", "EXPIRES", "KEY", "ISSUER", "FROM", "USED BY")
_REASONS = ("ExtendedValidationFailed", "ExternalCertificateValidationFailed", "ExternalCertificateGetFailed")
_NAME_MOST = 60                                  # characters of a column


@dataclass(slots=True)
class _Row:
    """One certificate."""

    certificate: Certificate
    parsed: x509.Certificate
    names: list[str] = field(default_factory=list)           # for which it is shown
    default: bool = False
    origins: list[str] = field(default_factory=list)         # where it was read
    routes: list[str] = field(default_factory=list)          # whose clients see it


def certs(settings: Settings, *, as_json: bool) -> int:
    """Print them; answers 1 if one was refused or has expired, else 0. Raises InvalidSettings."""
    given, problems = check.operator(settings)
    admission, _ = check.admission(settings, given)
    rows = sorted(_rows(given, admission, check.picture(settings, given, admission.state)), key=_rank)
    refused = [*problems, *_refused_routes(admission)]
    now = datetime.now(UTC)
    if as_json:
        told = {"certificates": [_as_json(row, now) for row in rows], "refused": [_refusal(one) for one in refused]}
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for line in _lines(rows, refused, settings, now):
            print(line)
    return 1 if refused or any(row.parsed.not_valid_after_utc < now for row in rows) else 0


# ---- what there is


def _rows(given: OperatorCertificates, admission: Admission, picture: Picture) -> Iterable[_Row]:
    rows: dict[str, _Row] = {}

    def row(certificate: Certificate, origin: str = "") -> _Row:
        if certificate.id not in rows:
            rows[certificate.id] = _Row(certificate, x509.load_der_x509_certificate(certificate.chain[0]))
        if origin and origin not in rows[certificate.id].origins:
            rows[certificate.id].origins.append(origin)
        return rows[certificate.id]

    for held in given.held.values():
        if held.bundle is not None:
            row(held.bundle.certificate, str(held.bundle.certificate.origin))
    if picture.default is not None:
        row(picture.default, str(picture.default.origin)).default = True
    for route in admission.state.routes:
        if route.certificate is not None and route.certificate.is_known:
            row(route.certificate, f"route {route.key} ({route.certificate.origin})")
    for name, certificate in picture.names.items():
        row(certificate).names.append(name)
    for route in admission.state.routes:
        name = tls_name(route)
        if name:
            shown = shown_for(picture, name)[1]
            if shown is not None:
                row(shown).routes.append(route.key)
    return rows.values()


def _refused_routes(admission: Admission) -> Iterator[Problem]:
    """Of the problems of routes, those with certificates, keys and authorities."""
    for problem in admission.problems:
        if problem.key.startswith(("spec.tls.", "tls.")):
            yield problem
    for verdict in admission.state.verdicts:
        if not verdict.admitted and verdict.reason in _REASONS:
            yield Problem(verdict.origin, verdict.reason, verdict.message, verdict.route)


def _rank(row: _Row) -> tuple[bool, str]:
    """The default one first, then by name; what nobody is shown comes last."""
    return not row.default, min((name.removeprefix("*.") for name in row.names), default="~")


# ---- how it is told


def _as_json(row: _Row, now: datetime) -> dict[str, Any]:
    one = row.parsed
    return {
        "names": sorted(row.names), "default": row.default, "subject": one.subject.rfc4514_string(), "issuer": one.issuer.rfc4514_string(),
        "serial": f"{one.serial_number:x}", "sha256": one.fingerprint(hashes.SHA256()).hex(), "key": key_type(one),
        "not_before": _time(one.not_valid_before_utc), "not_after": _time(one.not_valid_after_utc), "days_left": _days_left(one, now),
        "chain": len(row.certificate.chain), "ocsp": bool(row.certificate.ocsp), "from": row.origins, "routes": sorted(row.routes),
    }


def _refusal(problem: Problem) -> dict[str, Any]:
    return {"where": str(problem.origin), "object": problem.object, "key": problem.key, "reason": problem.message}


def _lines(rows: list[_Row], refused: list[Problem], settings: Settings, now: datetime) -> Iterator[str]:
    cells = [_HEADINGS, *(_cells(row, now) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    for line in cells if rows else ():
        yield "  ".join(
            cell.rjust(width) if heading == "DAYS" else cell.ljust(width)
            for cell, width, heading in zip(line, widths, _HEADINGS, strict=True)
        ).rstrip()
    if all(not row.default for row in rows) and any(listener.tls for listener in settings.listeners):
        yield "No default certificate is configured: a self-signed one is made when edged starts."
    if refused:
        yield "refused:"
        yield from (f"  {problem}" for problem in refused)


def _cells(row: _Row, now: datetime) -> tuple[str, ...]:
    one = row.parsed
    shown = ["(default)"] * row.default + sorted(row.names, key=lambda name: name.removeprefix("*."))
    users = [f"route {key}" for key in sorted(row.routes)]
    return (
        _first(shown, "(nobody)"), str(_days_left(one, now)), f"{one.not_valid_after_utc:%Y-%m-%d}", key_type(one), _issuer(one),
        _first(row.origins, "-"), _first(users, "-"),
    )


def _first(things: list[str], none: str) -> str:
    """The first of some, and how many more there are."""
    if not things:
        return none
    more = f" (+{len(things) - 1})" if len(things) > 1 else ""
    return things[0] + more


def _issuer(certificate: x509.Certificate) -> str:
    if certificate.issuer == certificate.subject:
        return "itself"
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for one in certificate.issuer.get_attributes_for_oid(oid):
            return _plain(str(one.value))
    return _plain(certificate.issuer.rfc4514_string())


def _plain(text: str) -> str:
    """What others wrote stays in its column, and away from the terminal's controls."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= _NAME_MOST else f"{shown[:_NAME_MOST - 1]}…"


def _days_left(certificate: x509.Certificate, now: datetime) -> int:
    return (certificate.not_valid_after_utc - now).days


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
