"""TLS in the short form: `tls`, where it ends and what is shown there; `to_tls`, how endpoints are spoken to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edged.hooks import BadCertificate, Certificate, Insecure, Origin, Termination, Trust, checked_certificate, checked_trust

from .beside import Beside
from .read import Unreadable

__all__ = ["Secured", "Unusable", "secured", "tls_wrongs"]

_READABLE = ("path", "cookie", "rewrite", "hsts", "request_headers", "response_headers", "h1_adjust_case", "max_body", "to_tls")
_INSECURE = {"none": Insecure.NONE, "allow": Insecure.ALLOW, "redirect": Insecure.REDIRECT}
_FIELDS = {"certificate": "certificate", "key": "key", "caCertificate": "ca"}
_ANYBODY = Trust.of(verify=False)

Wrong = tuple[Sequence[str | int], str]          # path within the route, and what is wrong there


class Unusable(Exception):
    """What the files hold that a route names cannot be served: what was in force before should stay."""

    def __init__(self, wrongs: Sequence[Wrong]) -> None:
        super().__init__("; ".join(message for _, message in wrongs))
        self.wrongs = wrongs


@dataclass(frozen=True, slots=True)
class Secured:
    """What TLS adds to a route."""

    termination: Termination = Termination.NONE
    insecure: Insecure = Insecure.NONE
    certificate: Certificate | None = None
    trust: Trust | None = None


def tls_wrongs(entry: Mapping[str, Any]) -> Iterator[Wrong]:
    """What is wrong with a route that the schema lets through."""
    tls, to_tls = entry.get("tls"), entry.get("to_tls")
    if tls is not None:
        yield from _termination_wrongs(entry, tls)
        yield from _certificate_wrongs(entry, tls)
    named = [isinstance(one, Mapping) and "server_name" in one for one in entry["to"]]
    if to_tls is not None:
        yield from _to_tls_wrongs(to_tls, named)
    elif any(named):
        yield ("to", named.index(True), "server_name"), "has no meaning without to_tls"


def _to_tls_wrongs(to_tls: Mapping[str, Any], named: Sequence[bool]) -> Iterator[Wrong]:
    verified = to_tls.get("verify", True)
    if verified and "ca" not in to_tls:
        yield ("to_tls", "ca"), 'is missing: who certifies the endpoints; "verify: false" believes anybody'
    if not verified and "ca" in to_tls:
        yield ("to_tls", "ca"), 'has no meaning with "verify: false"'
    if "name" not in to_tls and any(named) and not all(named):
        yield ("to_tls", "name"), "is missing: not every endpoint has a server_name"
    elif to_tls.get("sni") and "name" not in to_tls and not any(named):
        yield ("to_tls", "name"), "is missing: the name to send"


def _termination_wrongs(entry: Mapping[str, Any], tls: Mapping[str, Any]) -> Iterator[Wrong]:
    termination = tls.get("termination")
    if not entry.get("host"):
        yield ("tls",), "without a host, a tcp listener leads here: whether TLS ends there is told at that [[listener]]"
    elif termination == "edge" and "to_tls" in entry:
        yield ("tls", "termination"), "with to_tls it is reencrypt"
    elif termination == "reencrypt" and "to_tls" not in entry:
        yield ("to_tls",), "is missing: how endpoints are spoken to, and believed"
    elif termination == "passthrough":
        for key in _READABLE:
            if key in entry:
                yield (key,), "has no place in a passthrough route: nobody here can read it"
        if tls.get("insecure") == "allow":
            yield ("tls", "insecure"), "a passthrough route can have none or redirect"


def _certificate_wrongs(entry: Mapping[str, Any], tls: Mapping[str, Any]) -> Iterator[Wrong]:
    given = [key for key in ("certificate", "key", "ca") if key in tls]
    if not given:
        return
    if tls.get("termination") == "passthrough":
        yield ("tls", given[0]), "has no place in a passthrough route: the endpoint shows its own"
    elif entry.get("host") == "*":
        yield ("tls", given[0]), "any host shows the default certificate: it is told in [tls] of the settings"
    elif "certificate" not in tls:
        yield ("tls", given[0]), "has no meaning without a certificate"


def secured(entry: Mapping[str, Any], origin: Origin, beside: Beside) -> Secured:
    """Of a route with which nothing is wrong, as far as can be told without its files. Raises Unusable."""
    tls, to_tls = entry.get("tls"), entry.get("to_tls")
    if tls is None and to_tls is None:
        return Secured()
    wrongs: list[Wrong] = []
    trust = None if to_tls is None else _trust(to_tls, beside, wrongs)
    certificate = None if tls is None else _certificate(tls, origin, beside, wrongs)
    if wrongs:
        raise Unusable(wrongs)
    if tls is None:
        return Secured(trust=trust)
    termination = Termination(tls.get("termination", "edge" if to_tls is None else "reencrypt"))
    return Secured(termination, _INSECURE[tls.get("insecure", "none")], certificate, trust)


def _certificate(tls: Mapping[str, Any], origin: Origin, beside: Beside, wrongs: list[Wrong]) -> Certificate | None:
    if "certificate" not in tls:
        return None
    texts: dict[str, tuple[str, str]] = {}
    for key in ("certificate", "key", "ca"):
        try:
            texts[key] = beside.text(tls[key]) if key in tls else ("", "")
        except Unreadable as why:
            wrongs.append((("tls", key), why.message))
    if len(texts) < 3:
        return None
    file = texts["certificate"][1]
    try:
        return _checked(texts["certificate"][0], texts["key"][0], texts["ca"][0], Origin(file) if file else origin)
    except BadCertificate as why:
        for field, message in why.wrongs:
            key = _FIELDS[field] if _FIELDS[field] in tls else "certificate"
            wrongs.append((("tls", key), f"{texts[key][1]}: {message}" if texts[key][1] else message))
        return None


def _trust(to_tls: Mapping[str, Any], beside: Beside, wrongs: list[Wrong]) -> Trust | None:
    if "ca" not in to_tls:
        return _ANYBODY
    try:
        text, file = beside.text(to_tls["ca"])
        return _believed(text)
    except Unreadable as why:
        wrongs.append((("to_tls", "ca"), why.message))
    except BadCertificate as why:
        wrongs += [(("to_tls", "ca"), f"{file}: {message}" if file else message) for _, message in why.wrongs]
    return None


# A file of many routes is read as a whole whenever one of them changes: what was checked a moment ago is not checked again.


@lru_cache(maxsize=1024)
def _checked(certificate: str, key: str, ca: str, origin: Origin) -> Certificate:
    made = checked_certificate(certificate, key, ca, origin=origin)
    if made is None:
        raise BadCertificate([("certificate", "there is no certificate in it")])
    return made


@lru_cache(maxsize=64)
def _believed(authorities: str) -> Trust:
    return checked_trust(authorities)
