"""Who may serve which host and path (openshift-routes.md 4).

The answer depends on the routes alone, never on the order in which they came: all claimants are walked from the oldest to the
youngest, and one is refused if an older one that was not refused stands in its way. So a route that was in the way of others
gives way to them at once when it goes.

Age is the creation time, then the uid, then the place among the sources and in their files. What has no creation time, as the
short form and objects written by hand, counts as older than everything that has one; among themselves these go by file order.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from edged.control.spans import changed_span, replaced
from edged.hooks import Route, Termination, Verdict

__all__ = ["Claims", "settle"]

_age = attrgetter("created_s", "uid")
_key = attrgetter("key")
_terms = attrgetter("key", "host", "path", "wildcard", "termination", "namespace", "uid", "created_s")

Refusal = tuple[Route, Verdict]


class Claims:
    """Keeps the winners of a changing set of claimants at a cost that follows the change."""

    def __init__(self, *, ownership: bool = True) -> None:
        """`ownership`: a host belongs to the namespace of its oldest claimant (4.2 SameNamespace, else OldestFirst)."""
        self._ownership = ownership
        self._claimants: tuple[Route, ...] = ()
        self._distinct = True                            # no two of them have one name
        self._refused: dict[int, Refusal] = {}           # by id of the route
        self.admitted: tuple[Route, ...] = ()            # oldest first; the same tuple until it changed

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Of the refused."""
        return tuple(verdict for _, verdict in self._refused.values())

    def update(self, claimants: tuple[Route, ...]) -> None:
        """Settle anew. `claimants` are in order of their place; those that did not change are the same objects as before."""
        span = changed_span(self._claimants, claimants)
        gone, come = self._claimants[span.start:span.old_end], claimants[span.start:span.new_end]
        if not span:
            return
        if self._distinct and len(gone) == len(come) and all(_terms(a) == _terms(b) for a, b in zip(gone, come, strict=True)):
            self._exchange(gone, come)
        else:
            before, self._distinct = self._distinct, _distinct(claimants)
            if before and self._distinct:
                self._settle_some([*gone, *come], claimants)
            else:                                # routes of one name may meet wherever their hosts are
                each = tuple({id(route): route for route in claimants}.values())
                self._settle_some([*gone, *each], each)
        self._claimants = claimants

    def _exchange(self, gone: Sequence[Route], come: Sequence[Route]) -> None:
        """The claims stay as they are; only what the routes do has changed."""
        swaps = []
        for old, new in zip(gone, come, strict=True):
            if id(old) in self._refused:
                _, verdict = self._refused.pop(id(old))
                self._refused[id(new)] = new, _refusal(new, verdict.message)
            elif old is not new:
                swaps.append((old, new))
        if swaps:
            self.admitted = replaced(self.admitted, swaps)

    def _settle_some(self, changed: Sequence[Route], claimants: tuple[Route, ...]) -> None:
        """Settle the hosts that changed routes claim, and with wildcards the neighbours that these may meet."""
        hosts = {route.host for route in changed}
        wild = {_domain(route.host) for routes in (claimants, changed) for route in routes if route.wildcard}
        met = {domain for domain in map(_domain, hosts) if domain in wild}
        open_ = [route for route in claimants if route.host in hosts or (met and _domain(route.host) in met)]
        for route in (*changed, *open_):
            self._refused.pop(id(route), None)
        self._refused.update((id(refusal[0]), refusal) for refusal in settle(open_, ownership=self._ownership))
        admitted = tuple(sorted([route for route in claimants if id(route) not in self._refused], key=_age))
        if changed_span(self.admitted, admitted):
            self.admitted = admitted


def _distinct(claimants: tuple[Route, ...]) -> bool:
    return len(set(map(_key, claimants))) == len(claimants)


def settle(claimants: Iterable[Route], *, ownership: bool) -> list[Refusal]:
    """The refused among all claimants of some hosts, given in order of their place."""
    walk = _Walk(ownership)
    refused = []
    for route in sorted(claimants, key=_age):
        why = walk.obstacle(route)
        if why is None:
            walk.admit(route)
        else:
            refused.append((route, _refusal(route, why)))
    return refused


class _Walk:
    """What the routes admitted so far hold."""

    def __init__(self, ownership: bool) -> None:
        self._ownership = ownership
        self._names: dict[str, Route] = {}
        self._paths: dict[tuple[str, str], Route] = {}           # host and path
        self._owners: dict[str, Route] = {}                      # oldest of each host
        self._passthrough: dict[str, Route] = {}                 # by host
        self._terminated: dict[str, Route] = {}                  # edge or reencrypt, by host
        self._wild_paths: dict[tuple[str, str], Route] = {}      # domain and path of wildcards
        self._exact: dict[str, dict[str, Route]] = {}            # domain, namespace: oldest that is no wildcard
        self._wild: dict[str, dict[str, Route]] = {}             # domain, namespace: oldest wildcard

    def obstacle(self, route: Route) -> str | None:
        """Why a route cannot be served beside the older ones; None: it can."""
        holder = self._names.get(route.key)
        if holder is not None:
            return f"an older route is called {route.key} too ({holder.origin})"
        if not route.host:
            return None                          # reachable by name only: it claims no host
        return self._wildcard_obstacle(route) or self._host_obstacle(route)

    def _wildcard_obstacle(self, route: Route) -> str | None:
        """openshift-routes.md 4.6."""
        domain = _domain(route.host)
        if route.wildcard and (holder := self._wild_paths.get((domain, route.path))):
            return self._lost_to(route, holder)
        if self._ownership:
            rivals = [self._wild, self._exact] if route.wildcard else [self._wild]
            for held in rivals:
                for namespace, holder in held.get(domain, {}).items():
                    if namespace != route.namespace:
                        return self._lost_to(route, holder)
        return None

    def _host_obstacle(self, route: Route) -> str | None:
        """openshift-routes.md 4.2 and 4.4."""
        owner = self._owners.get(route.host)
        if self._ownership and owner is not None and owner.namespace != route.namespace:
            return self._lost_to(route, owner)
        holder = self._paths.get((route.host, route.path))
        if holder is None and route.termination is not Termination.NONE:
            holder = self._passthrough.get(route.host)
            if holder is None and route.termination is Termination.PASSTHROUGH:
                holder = self._terminated.get(route.host)
        return None if holder is None else self._lost_to(route, holder)

    def _lost_to(self, route: Route, holder: Route) -> str:
        """The message of openshift-routes.md 4.7: what belongs to another namespace is not named."""
        if holder.namespace != route.namespace:
            return f"a route in another namespace holds {route.host} and is older than this one"
        what = f"{holder.host}{holder.path}"
        return f"route {holder.key} ({holder.origin}) already exposes {what} and is older"

    def admit(self, route: Route) -> None:
        self._names[route.key] = route
        if not route.host:
            return
        domain = _domain(route.host)
        self._paths[route.host, route.path] = route
        self._owners.setdefault(route.host, route)
        if route.termination is Termination.PASSTHROUGH:
            self._passthrough.setdefault(route.host, route)
        elif route.termination is not Termination.NONE:
            self._terminated.setdefault(route.host, route)
        if route.wildcard:
            self._wild_paths.setdefault((domain, route.path), route)
        (self._wild if route.wildcard else self._exact).setdefault(domain, {}).setdefault(route.namespace, route)


def _domain(host: str) -> str:
    """The parent domain: what a wildcard with this host covers. Hosts without a dot share an empty one."""
    return host.partition(".")[2]


def _refusal(route: Route, message: str) -> Verdict:
    return Verdict(route.key, False, "HostAlreadyClaimed", message, route.origin)
