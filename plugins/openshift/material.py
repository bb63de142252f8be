"""Certificates of Routes, and whom their endpoints are believed (openshift-routes.md 1.3, 2.2, 7.6, 14.1)."""

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from edged.hooks import BadCertificate, Certificate, Object, Origin, Termination, Trust, checked_certificate, checked_trust

from .validate import fields_of

__all__ = ["Material", "Secured", "Unfit", "secret_named"]

_ANYBODY = Trust.of(verify=False)
_FEW = 64


class Unfit(Exception):
    """A route cannot be served with what it brings. `reason` is a word of openshift-routes.md 14.1, `field` the path of what is wrong;
    `stays`: what was in force before stays so, else the route is withdrawn."""

    def __init__(self, reason: str, message: str, field: str, *, stays: bool) -> None:
        super().__init__(message)
        self.reason, self.message, self.field, self.stays = reason, message, field, stays


@dataclass(frozen=True, slots=True)
class Secured:
    """What TLS adds to a route and its backend."""

    certificate: Certificate | None = None
    trust: Trust | None = None
    check_name: bool = False


class _Texts(NamedTuple):
    """PEM, as it was written."""

    certificate: str
    key: str
    ca: str
    origin: Origin


def secret_named(spec: Mapping[str, Any], namespace: str) -> tuple[str, str] | None:
    """Namespace and name of the secret that a route takes its certificate from."""
    name = fields_of(fields_of(spec.get("tls")).get("externalCertificate")).get("name")
    return (namespace, name) if isinstance(name, str) and name else None


class Material:
    """Checks what routes bring. What was checked is kept as long as routes bring it, so that the next time costs nothing."""

    def __init__(self, *, extended: bool) -> None:
        """`extended`: by all the rules of 2.2."""
        self._extended = extended
        self._checked: dict[bytes, Certificate | Trust | BadCertificate | None] = {}
        self._kept = 0                           # how many were left when some were forgotten
        self._marks: set[bytes] = set()          # of the texts that were asked for since `keep`

    def secured(
        self, spec: Mapping[str, Any], termination: Termination, secret: Object | None, origin: Origin, default: Trust | None = None
    ) -> Secured:
        """For a route; `secret` is the one that it names, if that exists; `default`: whom endpoints are believed if it does not say.
        Raises Unfit."""
        if termination not in (Termination.EDGE, Termination.REENCRYPT):
            return Secured()
        tls = spec["tls"]
        certificate = self._certificate(tls, secret, origin)
        if termination is Termination.EDGE:
            return Secured(certificate)
        written = tls.get("destinationCACertificate")
        if written:
            return Secured(certificate, self._trust(written))
        return Secured(certificate, _ANYBODY) if default is None else Secured(certificate, default, check_name=True)

    def take_marks(self) -> tuple[bytes, ...]:
        """What was asked for since the last call: who still needs that has to say so to `keep`."""
        marks, self._marks = tuple(self._marks), set()
        return marks

    def keep(self, marks: Iterable[Iterable[bytes]]) -> None:
        """Forget the rest, when much has come since the last time."""
        if len(self._checked) > 2 * self._kept + _FEW:
            needed = {mark for some in marks for mark in some}
            self._checked = {mark: made for mark, made in self._checked.items() if mark in needed}
            self._kept = len(self._checked)

    # ---- certificates

    def _certificate(self, tls: Mapping[str, Any], secret: Object | None, origin: Origin) -> Certificate | None:
        external = bool(tls.get("externalCertificate"))
        texts = _of_secret(tls, secret) if external else _of_route(tls, origin)
        if not any(texts[:3]):
            return None
        try:
            made = self._made(texts)
        except BadCertificate as why:
            field = why.wrongs[0][0] if why.wrongs[0][0] == "caCertificate" or not external else "externalCertificate"
            told = f"secret {tls['externalCertificate']['name']}: {why}" if external else str(why)
            raise Unfit("ExtendedValidationFailed", told, f"spec.tls.{field}", stays=True) from None
        assert not isinstance(made, Trust)
        return made

    def _trust(self, written: str) -> Trust:
        try:
            made = self._made(written)
        except BadCertificate as why:
            raise Unfit("ExtendedValidationFailed", str(why), "spec.tls.destinationCACertificate", stays=True) from None
        assert isinstance(made, Trust)
        return made

    def _made(self, given: _Texts | str) -> Certificate | Trust | None:
        """Of the texts of a route, or of authorities. Raises BadCertificate."""
        texts = (given,) if isinstance(given, str) else given[:3]
        mark = _mark(texts)
        self._marks.add(mark)
        if mark not in self._checked:
            try:
                if isinstance(given, str):
                    self._checked[mark] = checked_trust(given, extended=self._extended)
                else:
                    self._checked[mark] = checked_certificate(*texts, extended=self._extended, origin=given.origin)
            except BadCertificate as why:
                self._checked[mark] = why.with_traceback(None)
        made = self._checked[mark]
        if isinstance(made, BadCertificate):
            raise made
        return made


def _mark(texts: Sequence[str]) -> bytes:
    """No two lists of texts have the same one, whatever is in them."""
    written = [text.encode("utf-8", "replace") for text in texts]
    return sha256(b"".join([*(b"%d " % len(one) for one in written), b"\n", *written])).digest()


def _of_route(tls: Mapping[str, Any], origin: Origin) -> _Texts:
    return _Texts(tls.get("certificate") or "", tls.get("key") or "", tls.get("caCertificate") or "", origin)


def _of_secret(tls: Mapping[str, Any], secret: Object | None) -> _Texts:
    """The rest of the chain still comes from the route. Raises Unfit (openshift-routes.md 1.7, V13)."""
    name = tls["externalCertificate"]["name"]
    field = "spec.tls.externalCertificate"
    if secret is None:
        raise Unfit("ExternalCertificateValidationFailed", f"there is no secret {name} in the route's namespace", field, stays=False)
    if secret.body.get("type") != "kubernetes.io/tls":
        raise Unfit("ExternalCertificateValidationFailed", f"secret {name} is not of type kubernetes.io/tls", field, stays=False)
    certificate, key = (_of_data(secret.body, entry) for entry in ("tls.crt", "tls.key"))
    if certificate is None or key is None:
        missing = "tls.crt" if certificate is None else "tls.key"
        raise Unfit("ExternalCertificateGetFailed", f"secret {name} has no {missing} that can be read", field, stays=True)
    return _Texts(certificate, key, tls.get("caCertificate") or "", secret.origin)


def _of_data(body: Mapping[str, Any], entry: str) -> str | None:
    """An entry of a secret; one written by hand may be plain, in `stringData`, which is stronger."""
    plain = fields_of(body.get("stringData")).get(entry)
    if isinstance(plain, str) and plain:
        return plain
    packed = fields_of(body.get("data")).get(entry)
    if not isinstance(packed, str) or not packed:
        return None
    try:
        return b64decode("".join(packed.split()), validate=True).decode()
    except ValueError:
        return None
