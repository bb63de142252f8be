"""What clients' certificates are revoked by: lists in files, which are watched, and lists that the authorities publish, which are fetched
(openshift-routes.md 7.8).

Nobody is let in by a list that is missing, or past its time: OpenSSL refuses those whom it would judge. So a list is fetched a while
before the next one is due, and a worse one, or none, never takes the place of one that was good.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import trio
from cryptography import x509

from edged.model.listener import Listener
from edged.tls.crl import FILE, POINTS, BadCrl, Crl, authorities_of, check_signature, points_of, read_crls, source_of
from edged.tls.download import BadDownload, download
from edged.tls.folders import Mark, mark_of
from edged.watch import Watch, ways

__all__ = ["Revocations"]

log = logging.getLogger(__name__)

MOST_BYTES = 32 * 1024 * 1024                    # of one list
MOST_S = 60.0                                    # for one download
RETRY_S = 300.0
UNTOLD_S = 24 * 3600.0                           # between two looks at a list that does not say when the next is due
_EARLY_S, _EARLY_PART = 300.0, 0.1               # before its next one is due a list is fetched, by its own length of life
_LOOK_MOST_S = 3600.0                            # a clock may be set, a machine may sleep
_BLIND_S = 10.0                                  # without inotify: from look to look

Download = Callable[[str], Awaitable[bytes]]


async def _download(url: str) -> bytes:
    return await download(url, most_bytes=MOST_BYTES, most_s=MOST_S)


class Revocations:
    """What `listeners` need. First `load`, then `follow`; `known` is replaced, never changed."""

    def __init__(self, listeners: Iterable[Listener], fetch: Download = _download, now_s: Callable[[], float] = time.time) -> None:
        """`now_s`: seconds since the epoch."""
        self.known: Mapping[str, tuple[bytes, ...]] = {}     # by source: lists as DER; a source of which none is known yet is not there
        self._fetch = fetch
        self._now_s = now_s
        sources = sorted({source_of(listener) for listener in listeners} - {""})
        self._files = [source.removeprefix(FILE) for source in sources if source.startswith(FILE)]
        self._authorities = {path: self._read_authorities(path) for path in (
            source.removeprefix(POINTS) for source in sources if source.startswith(POINTS)
        )}
        self._marks: dict[str, Mark] = {}
        self._fetched: dict[str, dict[str, list[Crl]]] = {path: {} for path in self._authorities}        # by path, by URL

    def load(self) -> None:
        """Read the files. What is wrong with one is in the log."""
        self._look()

    async def follow(self, changed: Callable[[], None]) -> NoReturn:
        """Keep all lists up to date, for ever; `changed` is called when there is another `known`."""
        async with trio.open_nursery() as nursery:
            for path, authorities in self._authorities.items():
                for url in self._points(path, authorities):
                    nursery.start_soon(self._keep, path, url, changed)
            if self._files:
                nursery.start_soon(self._follow_files, changed)
            await trio.sleep_forever()

    def _put(self, source: str, lists: Iterable[Crl]) -> None:
        self.known = {**self.known, source: tuple(dict.fromkeys(one.der for one in lists))}

    # ---- files

    async def _follow_files(self, changed: Callable[[], None]) -> NoReturn:
        with Watch() as watch:
            while True:
                blind = self._watch(watch)
                if self._look():
                    changed()
                with trio.move_on_after(_BLIND_S if blind else float("inf")):
                    await watch.changes()

    def _watch(self, watch: Watch) -> bool:
        """Answers whether changes are not seen."""
        try:
            watch.keep({folder for path in self._files for folder, _ in ways(path)})
        except OSError as why:
            log.warning("changes of CRLs are seen late: inotify: %s; fs.inotify.max_user_watches may be too low", why.strerror)
            return True
        return False

    def _look(self) -> bool:
        """Read the files that have changed; answers whether that gave anything new."""
        before = self.known
        for path in self._files:
            mark = mark_of(path)[:1]
            if self._marks.get(path) == mark:
                continue
            self._marks[path] = mark
            try:
                self._put(FILE + path, read_crls(Path(path).read_bytes()))
            except OSError as why:
                log.error("%s cannot be read, and its last CRLs stay in force: %s", path, why.strerror)
            except BadCrl as why:
                log.error("%s: %s; its last CRLs stay in force", path, why)
        return self.known != before

    # ---- distribution points

    def _read_authorities(self, path: str) -> list[x509.Certificate]:
        try:
            return authorities_of(Path(path).read_bytes())
        except OSError as why:
            log.error("%s cannot be read: %s", path, why.strerror)
        except BadCrl as why:
            log.error("%s: %s", path, why)
        return []

    def _points(self, path: str, authorities: Iterable[x509.Certificate]) -> tuple[str, ...]:
        try:
            return points_of(authorities)
        except BadCrl as why:
            log.error("%s: %s; no client is let in by them", path, why)
            return ()

    async def _keep(self, path: str, url: str, changed: Callable[[], None]) -> NoReturn:
        """Keep what one distribution point publishes."""
        held: list[Crl] = []
        while True:
            try:
                lists = _judged(read_crls(await self._fetch(url)), self._authorities[path], held)
            except (BadDownload, BadCrl) as why:
                log.warning("CRL %s: %s; asked again in %.0f s%s", url, why, RETRY_S, self._plight(held))
                due_s = self._now_s() + RETRY_S
            else:
                if lists != held:
                    log.info("CRL %s: fetched", url)
                    held = self._fetched[path][url] = lists
                    self._put(POINTS + path, (one for some in self._fetched[path].values() for one in some))
                    changed()
                due_s = _due_s(held, self._now_s())
            await trio.lowlevel.checkpoint()
            while (left_s := due_s - self._now_s()) > 0:  # noqa: ASYNC110 - a clock tells nobody when it is set
                await trio.sleep(min(left_s, _LOOK_MOST_S))

    def _plight(self, held: list[Crl]) -> str:
        over = not held or any(one.next_s is not None and one.next_s <= self._now_s() for one in held)
        return ", and until then whom it judges is refused" if over else ""

def _judged(lists: list[Crl], authorities: list[x509.Certificate], held: Iterable[Crl]) -> list[Crl]:
    """These lists, if they may take the place of those. Raises BadCrl: anybody can answer for a server that is asked without TLS, with
    what he made himself, or with what was true once."""
    before = {one.issuer: one for one in held}
    for one in lists:
        check_signature(one, authorities)
        last = before.get(one.issuer)
        if last is not None and one.made_s < last.made_s:
            raise BadCrl("it is older than the one before")
    return lists


def _due_s(lists: Iterable[Crl], now_s: float) -> float:
    """When to ask for the next ones."""
    return min((_next_look_s(one, now_s) for one in lists), default=now_s + UNTOLD_S)


def _next_look_s(one: Crl, now_s: float) -> float:
    if one.next_s is None:
        return now_s + UNTOLD_S
    early_s = one.next_s - min(_EARLY_S, (one.next_s - one.made_s) * _EARLY_PART)
    if early_s > now_s:
        return early_s
    return min(one.next_s, now_s + RETRY_S) if one.next_s > now_s else now_s + RETRY_S
