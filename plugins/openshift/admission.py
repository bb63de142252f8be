"""Which host a route gets, and whether this router serves it at all (openshift-routes.md 3)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edged.hooks.values import host_flaw

__all__ = ["Admission", "Refused"]

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is a word of openshift-routes.md 14.1."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The operator's word on hosts: `[router]` of the settings."""

    domain: str = ""
    subdomain: str = ""
    override_hostname: bool = False
    override_domains: tuple[str, ...] = ()
    allowed_domains: tuple[str, ...] = ()
    denied_domains: tuple[str, ...] = ()
    allow_wildcard_routes: bool = False

    @classmethod
    def of(cls, router: Mapping[str, Any]) -> "Admission":
        given: dict[str, Any] = {name: router[name] for name in cls.__slots__ if name in router}
        return cls(**given)

    def host_of(self, spec: Mapping[str, Any], namespace: str, name: str) -> str:
        """The host after substitution (3.1); may be empty."""
        host: str = spec.get("host") or ""
        if not host and spec.get("subdomain") and self.domain:
            host = f"{spec['subdomain']}.{self.domain}"
        if self.subdomain and (not host or self.override_hostname or _lies_in(host, self.override_domains)):
            return _filled(self.subdomain, {"name": name, "namespace": namespace}) or host
        return host

    def refusal(self, host: str, *, wildcard: bool) -> Refused | None:
        """Why a route with this host is not served (3.2, 2.1); None: it may be."""
        if host and _lies_in(host, self.denied_domains):
            return Refused("RouteNotAdmitted", f"host {host} is in the list of denied domains")
        if host and self.allowed_domains and not _lies_in(host, self.allowed_domains):
            return Refused("RouteNotAdmitted", f"host {host} is not in the list of allowed domains")
        if wildcard and not self.allow_wildcard_routes:
            return Refused("RouteNotAdmitted", "wildcard routes are not allowed")
        if not host:
            return Refused("NoHostValue", "no host is given, and none can be made")
        wrong = host_flaw(host)
        return Refused("InvalidHost", f"host {host}: {wrong}") if wrong else None


def _lies_in(host: str, domains: Iterable[str]) -> bool:
    """The host is one of these domains, or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _filled(template: str, values: Mapping[str, str]) -> str | None:
    """The template with its variables replaced; None if it has one that there is not."""
    if any((match[1] or match[2]) not in values for match in _VARIABLE.finditer(template)):
        return None
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], template).strip("\"'")
