"""Which name shows which certificate, and whom the endpoints are believed (openshift-routes.md 7.2 to 7.4, 7.6).

What is needed no more is withdrawn a while later: the table that needs it may still be in force somewhere.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edged.control.spans import changed_span
from edged.hooks import Route, Termination
from edged.model.certificate import Certificate, Trust
from edged.model.state import State

__all__ = ["Certificates", "Picture", "shown_for", "tls_name"]

_TRUST_LINGERS_S = 60.0                          # a request may wait, and be tried again, by the table with which it began
_TERMINATED = (Termination.EDGE, Termination.REENCRYPT)
_NOTHING: Mapping[str, Certificate] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """All that workers need for handshakes, at one moment. Names are in lower case: a host, or "*.domain" for one label below."""

    version: int = 0
    names: Mapping[str, Certificate] = field(default_factory=dict)
    alpn: frozenset[str] = frozenset()           # of the names: those for which a protocol may be agreed upon
    default: Certificate | None = None           # for all other names, and for none
    trusts: Mapping[int, Trust] = field(default_factory=dict)
    whole: bool = True                           # False: some certificate of a route is known by its id alone; workers may have more
    crls: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)      # by source (edged/tls/crl.py): what is revoked, as DER


def tls_name(route: Route) -> str:
    """The name for which a route's certificate is shown; "": for none, as TLS does not end here, or no name leads to the route."""
    if route.termination not in _TERMINATED or route.host in ("", "*"):
        return ""
    domain = route.host.partition(".")[2]
    return f"*.{domain}" if route.wildcard and domain else route.host


def shown_for(picture: Picture, name: str) -> tuple[str, Certificate | None]:
    """What a client sees that asks for this name, as the engine looks it up, and the name by which that is found; "": it is the
    default one."""
    name = name.lower()
    for known in (name, f"*.{name.partition('.')[2]}"):
        if known in picture.names:
            return known, picture.names[known]
    return "", picture.default


class Certificates:
    """Follows the state and what the operator gives. The cost of a step follows the change."""

    def __init__(self, *, terminates: bool = True) -> None:
        """`terminates`: TLS ends at some listener; else no name shows anything."""
        self.picture = Picture()
        self._terminates = terminates
        self._routes: tuple[Route, ...] = ()
        self._version = 0                                            # of the state
        self._claims: dict[str, dict[bytes, Certificate]] = {}       # name, file name of 7.3: certificate of a route
        self._uses: Counter[str] = Counter()                         # by id: how many routes have this certificate, and the operator
        self._names_of: dict[str, set[str]] = {}                     # by id: the names that routes claim with it
        self._unknown = 0                                            # routes whose certificate is known by its id alone
        self._trusts: Counter[Trust] = Counter()                     # how many routes need each
        self._operators: Mapping[str, Certificate] = _NOTHING
        self._default: Certificate | None = None
        self._crls: Mapping[str, tuple[bytes, ...]] = {}
        self._touched: set[str] = set()                              # names that may show something else now
        self._touched_trusts: set[Trust] = set()
        self._stale: dict[Hashable, tuple[int, float]] = {}          # name or trust: version of the state without it, and since when

    def follow(self, state: State, now_s: float) -> bool:
        """Take the newest state; answers whether that gave a new picture."""
        span = changed_span(self._routes, state.routes)
        gone, come = _moved(self._routes[span.start:span.old_end], state.routes[span.start:span.new_end])
        for route in gone:
            self._count(route, -1)
        for route in come:
            self._count(route, 1)
        self._routes, self._version = state.routes, state.version
        return self._renew(now_s)

    def use_operators(self, default: Certificate | None, names: Mapping[str, Certificate], now_s: float) -> bool:
        """Take what the operator gives: routes' certificates are stronger, name by name. Answers whether that gave a new picture."""
        for one in set(self._operators.values()):
            self._use(one, -1)
        for one in set(names.values()):
            self._use(one, 1)
        self._touched.update(self._operators, names)
        for chosen in (self._default, default):
            if chosen is not None:
                self._touched |= self._names_of.get(chosen.id, set())
        self._operators, self._default = names, default
        return self._renew(now_s)

    def use_crls(self, crls: Mapping[str, tuple[bytes, ...]]) -> bool:
        """Take the lists of what clients' authorities have revoked. Answers whether that gave a new picture."""
        if crls == self._crls:
            return False
        self._crls = crls
        self._show(self.picture.names, self.picture.alpn, self.picture.trusts)
        return True

    def release(self, in_force: int, now_s: float) -> bool:
        """Withdraw what is needed no more; `in_force` is the oldest state that is in force somewhere. Answers whether that gave a new
        picture."""
        over = {
            one for one, (version, since_s) in self._stale.items()
            if in_force >= version and (not isinstance(one, Trust) or now_s >= since_s + _TRUST_LINGERS_S)
        }
        if not over:
            return False
        for one in over:
            del self._stale[one]
        last = self.picture
        self._show(
            {name: one for name, one in last.names.items() if name not in over}, last.alpn - over,
            {number: trust for number, trust in last.trusts.items() if trust not in over},
        )
        return True

    @property
    def has_stale(self) -> bool:
        """There is something for `release` to withdraw, some time."""
        return bool(self._stale)

    @property
    def unknown(self) -> int:
        """How many routes have a certificate that is known by its id alone."""
        return self._unknown

    # ---- one route

    def _count(self, route: Route, step: int) -> None:
        """A route has come (1) or gone (-1)."""
        if route.backend.trust is not None:
            self._trusts[route.backend.trust] += step
            self._touched_trusts.add(route.backend.trust)
        name, certificate = tls_name(route), route.certificate
        if certificate is None or not name or not self._terminates:
            return
        if not certificate.is_known:
            self._unknown += step
            return
        self._use(certificate, step)
        self._touched.add(name)
        claims = self._claims.setdefault(name, {})
        if step > 0:
            claims[_file_of(route)] = certificate
        else:
            claims.pop(_file_of(route), None)
            if not claims:
                del self._claims[name]
        self._note_name(name, certificate, claims)

    def _note_name(self, name: str, certificate: Certificate, claims: Mapping[bytes, Certificate]) -> None:
        names = self._names_of.setdefault(certificate.id, set())
        if certificate in claims.values():
            names.add(name)
        else:
            names.discard(name)
            if not names:
                del self._names_of[certificate.id]

    def _use(self, certificate: Certificate, step: int) -> None:
        """Whether it is used once or more often decides about ALPN for all its names."""
        before = self._uses[certificate.id]
        self._uses[certificate.id] += step
        if 1 in (before, before + step):
            self._touched |= self._names_of.get(certificate.id, set())
        if not before + step:
            del self._uses[certificate.id]

    # ---- the picture

    def _shown(self, name: str) -> Certificate | None:
        claims = self._claims.get(name)
        return claims[max(claims)] if claims else self._operators.get(name)

    def _may_agree(self, name: str, certificate: Certificate) -> bool:
        """ALPN only for what one route alone shows: browsers use a connection for all hosts of its certificate."""
        return name in self._claims and self._uses[certificate.id] == 1 and certificate != self._default

    def _renew(self, now_s: float) -> bool:
        """The next picture, if it differs from the last; what is only needed by an older table stays in it."""
        last = self.picture
        names: dict[str, Certificate] = {}
        alpn = set()
        for name in self._touched:
            certificate = self._shown(name)
            if certificate is not None:
                self._stale.pop(name, None)
                if last.names.get(name) != certificate:
                    names[name] = certificate
                if self._may_agree(name, certificate) != (name in last.alpn):
                    alpn.add(name)
            elif name in last.names:
                self._stale.setdefault(name, (self._version, now_s))
        trusts = self._new_trusts(last.trusts, now_s)
        self._touched.clear()
        if not (names or alpn or trusts) and self._default == last.default and last.whole == (not self._unknown):
            return False
        self._show(
            {**last.names, **names} if names else last.names, last.alpn ^ alpn, {**last.trusts, **trusts} if trusts else last.trusts
        )
        return True

    def _new_trusts(self, last: Mapping[int, Trust], now_s: float) -> dict[int, Trust]:
        new = {}
        for trust in self._touched_trusts:
            if self._trusts[trust]:
                self._stale.pop(trust, None)
                if trust.id not in last:
                    new[trust.id] = trust
            else:
                del self._trusts[trust]
                if trust.id in last:
                    self._stale.setdefault(trust, (self._version, now_s))
        self._touched_trusts.clear()
        return new

    def _show(self, names: Mapping[str, Certificate], alpn: frozenset[str], trusts: Mapping[int, Trust]) -> None:
        self.picture = Picture(self.picture.version + 1, names, alpn, self._default, trusts, not self._unknown, self._crls)


def _file_of(route: Route) -> bytes:
    """Of several certificates for one name, that in the file whose name sorts last is shown (7.3)."""
    return f"{route.key.replace('/', ':', 1) if route.namespace else route.key}.pem".encode()


def _moved(old: Iterable[Route], new: Iterable[Route]) -> tuple[list[Route], list[Route]]:
    """What is in one of them alone, by identity."""
    before, now = {id(route): route for route in old}, {id(route): route for route in new}
    return [route for it, route in before.items() if it not in now], [route for it, route in now.items() if it not in before]
