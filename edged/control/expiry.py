"""Warns before certificates that are shown expire: 30 days before, 7 days and 1 day, and when they have."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import trio

from edged.control.certificates import Picture
from edged.model.certificate import Certificate

__all__ = ["Expiry", "expires_s"]

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 3600.0
_SETTLE_S = 1.0                                  # many changes share a look
_DAYS = (30, 7, 1, 0)
_DAY_S = 86400
_NAMED_MOST = 20                                 # of those told in one look
_AT_ONCE = 50                                    # certificates that are read between two looks at the loop


def expires_s(certificate: Certificate) -> float:
    """When a certificate expires, in seconds since the epoch."""
    from cryptography import x509

    return x509.load_der_x509_certificate(certificate.chain[0]).not_valid_after_utc.timestamp()


class Expiry:
    """Looks at the certificates of a picture whenever there is another, and from time to time."""

    def __init__(self, picture: Callable[[], Picture], now_s: Callable[[], float]) -> None:
        """`now_s`: seconds since the epoch."""
        self._picture = picture
        self._now_s = now_s
        self._ends_s: dict[str, float] = {}      # by id
        self._told: dict[str, int] = {}          # by id: the least of _DAYS that was told
        self._changed = trio.Event()

    def touch(self) -> None:
        """There is another picture."""
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self.look()
            with trio.move_on_after(_LOOK_EVERY_S):
                await self._changed.wait()
                await trio.sleep(_SETTLE_S)
            self._changed = trio.Event()

    async def look(self) -> None:
        """Tell of every certificate that has come nearer to its end than it was told before."""
        shown = dict(_shown(self._picture()))
        for gone in self._ends_s.keys() - {certificate.id for certificate in shown}:
            self._told.pop(gone, None)
            del self._ends_s[gone]
        new = [certificate for certificate in shown if certificate.id not in self._ends_s]
        for start in range(0, len(new), _AT_ONCE):
            self._ends_s.update((one.id, expires_s(one)) for one in new[start:start + _AT_ONCE])
            await trio.lowlevel.checkpoint()
        due = [(certificate, name) for certificate, name in shown.items() if self._is_due(certificate)]
        for certificate, name in due[:_NAMED_MOST]:
            self._warn(certificate, name)
        if len(due) > _NAMED_MOST:
            log.warning("%d more certificates expire soon, or have; `edged certs` names all", len(due) - _NAMED_MOST)

    def _is_due(self, certificate: Certificate) -> bool:
        """Whether it has come to one of the marks since it was told, which is noted."""
        left_s = self._ends_s[certificate.id] - self._now_s()
        reached = min((days for days in _DAYS if left_s <= days * _DAY_S), default=_DAYS[0] + 1)
        if reached >= self._told.get(certificate.id, _DAYS[0] + 1):
            return False
        self._told[certificate.id] = reached
        return True

    def _warn(self, certificate: Certificate, name: str) -> None:
        end_s = self._ends_s[certificate.id]
        left_s = end_s - self._now_s()
        when = datetime.fromtimestamp(end_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        what = f"the certificate of {name}" if name else "the default certificate"
        if left_s <= 0:
            log.warning("%s (%s) has expired, at %s", what, certificate.origin, when)
        else:
            days = -int(-left_s // _DAY_S)
            log.warning("%s (%s) expires within %s, at %s", what, certificate.origin, "a day" if days == 1 else f"{days} days", when)


def _shown(picture: Picture) -> Iterator[tuple[Certificate, str]]:
    """Every certificate that is shown, with a name that shows it: the first, the default one by an empty name."""
    found: set[str] = set()
    for name, certificate in picture.names.items():
        if certificate.id not in found:
            found.add(certificate.id)
            yield certificate, name
    if picture.default is not None and picture.default.id not in found:
        yield picture.default, ""
