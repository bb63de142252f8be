"""What the annotations of a Route ask for (openshift-routes.md 10). A value that is not valid counts as absent.

Rate limits, allowlists and the interval of health checks are annotations of parts that have rooms of their own; they are not
read here. Unknown annotations are none of our business."""

import re
from collections.abc import Mapping
from hashlib import md5
from typing import Any, TypeVar

from edged.hooks import Algorithm, Balance, Cookie, Forwarded, Insecure, Termination, Timeouts
from edged.hooks.values import COOKIE_NAME, HSTS, clipped_time_ms, truth, whole_number

from .rewrite import rewrite_target

__all__ = ["Annotations"]

_H = "haproxy.router.openshift.io/"
_R = "router.openshift.io/"
_ALGORITHMS = {word: Algorithm(word) for word in ("roundrobin", "leastconn", "source", "random")}
_FORWARDED = {str(word): word for word in Forwarded}
_SAME_SITE = ("Lax", "Strict", "None")
_MAXCONN_MOST = 2_147_483_647

_shared: dict[Any, Any] = {}                     # equal policies of thousands of routes are one object

T = TypeVar("T")


def _one(made: T) -> T:
    """The one object that stands for all equal ones."""
    if len(_shared) > 4096:
        _shared.clear()
    kept: T = _shared.setdefault(made, made)
    return kept


class Annotations:
    """The annotations of one route, beside the operator's `[router]` settings, which fill what they leave out."""

    def __init__(self, given: Mapping[str, Any], router: Mapping[str, Any], termination: Termination, insecure: Insecure) -> None:
        self._given = given
        self._router = router
        self._raw = termination is Termination.PASSTHROUGH
        self._termination = termination
        self._insecure = insecure

    def _text(self, key: str) -> str:
        value = self._given.get(key)
        return value if isinstance(value, str) else ""

    def _time_ms(self, key: str) -> int | None:
        try:
            return clipped_time_ms(self._text(key))
        except ValueError:
            return None

    def balance(self, weighted: int) -> Balance:
        """`weighted`: how many services have a weight above 0 (8.6)."""
        algorithm = _ALGORITHMS.get(self._text(f"{_H}balance"))
        if algorithm is None and weighted > 1:
            algorithm = Algorithm.ROUNDROBIN
        if algorithm is None:
            algorithm = _ALGORITHMS[self._router.get("tcp_balance", "source") if self._raw else self._router.get("balance", "random")]
        return _one(Balance(algorithm, consistent=self._raw and algorithm is Algorithm.SOURCE))

    def timeouts(self) -> Timeouts:
        """openshift-routes.md 8.10."""
        timeout_ms, tunnel_ms = self._time_ms(f"{_H}timeout"), self._time_ms(f"{_H}timeout-tunnel")
        if self._raw:
            return _one(Timeouts(tunnel_ms=timeout_ms if tunnel_ms is None else tunnel_ms))
        return _one(Timeouts(server_ms=timeout_ms, tunnel_ms=tunnel_ms))

    def cookie(self, key: str) -> Cookie | None:
        """The sticky cookie of the route `key` (8.7)."""
        if self._raw or truth(self._text(f"{_H}disable_cookies")):
            return None
        names = (self._text(f"{_R}cookie_name"), self._router.get("cookie_name", ""))
        name = next((name for name in names if COOKIE_NAME.fullmatch(name)), None)
        if name is None:
            name = md5(f" {key}".encode(), usedforsecurity=False).hexdigest()
        if self._termination is Termination.NONE or self._insecure is Insecure.ALLOW:
            return Cookie(name)
        same_site = self._text(f"{_R}cookie-same-site")
        return Cookie(name, True, same_site if same_site in _SAME_SITE else "None")

    def maxconn(self) -> int:
        """Exchanges at once for each endpoint; 0: no limit."""
        try:
            return min(max(whole_number(self._text(f"{_H}pod-concurrent-connections")), 0), _MAXCONN_MOST)
        except ValueError:
            return 0

    def rewrite(self) -> str | None:
        return None if self._raw else rewrite_target(self._text(f"{_H}rewrite-target"))

    def adjust_case(self) -> bool:
        """9.2: whether endpoints, too, are sent the operator's spelling of names."""
        return not self._raw and truth(self._text(f"{_H}h1-adjust-case"))

    def forwarded(self) -> Forwarded:
        word = self._text(f"{_H}set-forwarded-headers")
        return _FORWARDED.get(word) or _FORWARDED.get(self._router.get("forwarded", ""), Forwarded.APPEND)

    def hsts(self) -> str:
        value = self._text(f"{_H}hsts_header")
        terminated = self._termination in (Termination.EDGE, Termination.REENCRYPT)
        return value if terminated and re.fullmatch(HSTS, value) else ""
