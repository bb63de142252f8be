"""The operator's own certificates: the default one, those in directories, and whom endpoints are believed. All are files that control
reads, so they must be readable for the user of [run]; they are watched, and a bad one never takes the place of a good one.

OpenSSL is loaded when there is something to read: a site without TLS does without its memory.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import trio

from edged.model.certificate import Certificate, Trust
from edged.model.origin import Origin, Problem
from edged.settings import InvalidSettings, Settings
from edged.settings.environment import ENVIRONMENT
from edged.tls.folders import Listing, Mark, list_bundles, mark_of
from edged.watch import Watch

if TYPE_CHECKING:
    from edged.tls.bundle import Bundle

__all__ = ["SERVICE_CA", "Held", "OperatorCertificates"]

log = logging.getLogger(__name__)

SERVICE_CA = "/var/run/secrets/kubernetes.io/serviceaccount/service-ca.crt"      # where the platform mounts it (openshift-routes.md 7.6)

_TEXT = "DEFAULT_CERTIFICATE"
_VARIABLES = {
    "default_certificate": "DEFAULT_CERTIFICATE_PATH", "default_certificate_dir": "DEFAULT_CERTIFICATE_DIR",
    "destination_ca": "DEFAULT_DESTINATION_CA_PATH",
}
_AT_ONCE_S = 0.02                                # of reading, between two looks at the loop
_PROGRESS_S = 2.0
_QUIET_S = 0.2                                   # who writes one file often writes another right after
_QUIET_MOST_S = 2.0
_BLIND_S = 10.0                                  # without inotify: from look to look
_AGAIN_MOST_S = 3600.0
_LOOKS_MOST = 5
_FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class Held:
    """A file as it could last be read, and what is wrong with it now."""

    mark: Mark = ()
    bundle: "Bundle | None" = None
    problem: Problem | None = None
    again_s: float = _FOR_EVER                   # seconds since the epoch: when to read it again although it did not change

    def read_again(self, mark: Mark, read: Callable[[], "Bundle"], *, untimely: bool) -> "Held":
        """What is held from now on. `untimely`: one that is out of its own time is better than none."""
        from edged.tls.bundle import BadBundle

        now_s = time.time()
        if mark == self.mark and now_s < self.again_s:
            return self
        try:
            bundle = read()
        except BadBundle as why:
            return self._stays(mark, why.problem, now_s)
        if bundle.begins_s <= now_s <= bundle.ends_s:
            if bundle.problem and not bundle.certificate.ocsp and self.bundle and _same(self.bundle, bundle):
                return self._stays(mark, bundle.problem, now_s)
            return Held(mark, bundle, bundle.problem, bundle.again_s)
        when = f"is not valid before {_date(bundle.begins_s)}" if now_s < bundle.begins_s else f"expired at {_date(bundle.ends_s)}"
        problem = Problem(bundle.certificate.origin, "", f"it {when}")
        if untimely and self.bundle is None:
            return Held(mark, bundle, problem, bundle.again_s)
        stays = self._stays(mark, problem, now_s)
        return replace(stays, again_s=min(stays.again_s, bundle.again_s))

    def _stays(self, mark: Mark, problem: Problem, now_s: float) -> "Held":
        """The bundle that is held stays, with its OCSP answer as long as that counts."""
        bundle = self.bundle
        if bundle is not None and bundle.again_s <= now_s:
            shown = Certificate.of(bundle.certificate.chain, bundle.certificate.key, b"", bundle.certificate.origin)
            bundle = replace(bundle, certificate=shown, again_s=_FOR_EVER)
        return Held(mark, bundle, problem, bundle.again_s if bundle is not None else _FOR_EVER)


class OperatorCertificates:
    """What `settings` name. First `load`, then `follow`; what they find is in the attributes, which are replaced, never changed."""

    def __init__(self, settings: Settings, *, make: bool = True) -> None:
        """`make`: a default certificate, if none is configured and TLS ends at some listener."""
        self.default: Certificate | None = None                      # None only if TLS ends nowhere, or none was to be made
        self.names: Mapping[str, Certificate] = {}                   # "host" or "*.domain", in lower case
        self.destination: Trust | None = None                        # for routes that name no authority; None: nobody is asked for
        self.problems: tuple[Problem, ...] = ()
        self.held: Mapping[str, Held] = {}                           # by path: the bundles of [tls] certificates
        self._settings = settings
        self._tls = settings.tls
        self._make = make
        self._terminates = any(listener.tls for listener in settings.listeners)
        self._default = Held()
        self._authority: tuple[Mark, Problem | None] = ((), None)

    async def load(self) -> None:
        """Read everything; raises InvalidSettings if the default certificate or destination_ca is configured and cannot be had."""
        await self._look(self._list())
        fatal = []
        if self._default.problem is not None and self.default is None:
            fatal.append(self._fatal("default_certificate_dir" if self._tls.default_certificate_dir else "default_certificate"))
        if self._authority[1] is not None and self.destination is None and self._tls.destination_ca:
            fatal.append(self._fatal("destination_ca"))
        if fatal:
            raise InvalidSettings(tuple(fatal))

    def _fatal(self, name: str) -> Problem:
        """What keeps edged from starting, at the key, or the variable, that named the file."""
        problem = self._authority[1] if name == "destination_ca" else self._default.problem
        assert problem is not None
        if self._tls.default_pem and name != "destination_ca":
            line = f"line {problem.origin.line}: " if problem.origin.line else ""
            return Problem(ENVIRONMENT, _TEXT, line + problem.message)
        if f"tls.{name}" in self._settings.lines:
            return self._settings.problem(f"tls.{name}", str(problem))
        return Problem(ENVIRONMENT, _VARIABLES[name], str(problem))

    async def follow(self, changed: Callable[[], None]) -> NoReturn:
        """Look again whenever files change, for ever; `changed` is called when that gave anything new."""
        with Watch() as watch:
            while True:
                listing, blind = self._watched(watch)
                if await self._look(listing):
                    changed()
                with trio.move_on_after(_BLIND_S if blind else self._patience_s()):
                    await watch.changes()
                    await _quiet(watch)

    # ---- looking

    def _list(self) -> Listing:
        single = (self._default_path(), self._destination_path(), self._tls.key_passphrase_file)
        return list_bundles(self._tls.certificates if self._terminates else (), filter(None, single))

    def _watched(self, watch: Watch) -> tuple[Listing, bool]:
        """What there is, when nothing new had to be watched any more to know of its changes; and whether that was impossible."""
        for _ in range(_LOOKS_MOST):
            listing = self._list()
            try:
                if not watch.keep(listing.folders):
                    break
            except OSError as why:
                log.warning("changes of certificates are seen late: inotify: %s; fs.inotify.max_user_watches may be too low", why.strerror)
                return listing, True
        return listing, False

    def _patience_s(self) -> float:
        """How long what was read stays what is to be shown, if no file changes."""
        ends_s = min((held.again_s for held in (*self.held.values(), self._default)), default=_FOR_EVER)
        return min(max(1.0, ends_s - time.time()), _AGAIN_MOST_S)

    async def _look(self, listing: Listing) -> bool:
        """Bring everything up to date; answers whether there is something new."""
        before = self.default, self.names, self.destination, self.problems
        passphrase, locked = self._passphrase()
        await self._read_bundles(listing, passphrase)
        if self._terminates:
            await self._read_default(passphrase)
        self._read_destination()
        self.default = self._default.bundle.certificate if self._default.bundle else None
        self.names, doubled = self._by_name()
        found = [*listing.problems, locked, *(held.problem for held in self.held.values()), *doubled, self._default.problem]
        self.problems = tuple(problem for problem in (*found, self._authority[1]) if problem is not None)
        for problem in self.problems:
            if problem not in before[3]:
                log.warning("%s", problem)
        return before != (self.default, self.names, self.destination, self.problems)

    def _passphrase(self) -> tuple[bytes | None, Problem | None]:
        if self._tls.key_passphrase_env:
            return os.environ.get(self._tls.key_passphrase_env, "").encode(), None
        path = self._tls.key_passphrase_file
        try:
            return (Path(path).read_bytes().split(b"\n")[0].rstrip(b"\r") if path else None), None
        except OSError as why:
            return None, Problem(Origin(path), "", f"cannot be read: {why.strerror}")

    # ---- [tls] certificates

    async def _read_bundles(self, listing: Listing, passphrase: bytes | None) -> None:
        """Read those whose files have changed; those of a directory that is not there stay. The new mapping takes the place of the old
        one when all are read."""
        if not listing.bundles and not self.held:
            return
        from edged.tls.bundle import read_bundle

        held = {path: one for path, one in self.held.items() if path in listing.absent or os.path.dirname(path) in listing.absent}
        opener = mark_of(self._tls.key_passphrase_file)[:1]
        started_s = turn_s = told_s = time.monotonic()
        for path, mark in listing.bundles.items():
            last = self.held.get(path, Held())
            held[path] = last.read_again((*mark, *opener), partial(read_bundle, path, passphrase), untimely=False)
            if time.monotonic() - turn_s > _AT_ONCE_S:
                await trio.lowlevel.checkpoint()
                turn_s = time.monotonic()
            if turn_s - told_s > _PROGRESS_S:
                log.info("%d of %d certificates are read", len(held), len(listing.bundles))
                told_s = turn_s
        if held and not self.held:
            sound = sum(one.bundle is not None for one in held.values())
            log.info("%d of %d certificates in files are sound; read in %.1f s", sound, len(held), time.monotonic() - started_s)
        self.held = held
        await trio.lowlevel.checkpoint()

    def _by_name(self) -> tuple[Mapping[str, Certificate], list[Problem]]:
        """Which certificate is shown for each name, the first of those that bear it; and those that are shown for none."""
        names: dict[str, Certificate] = {}
        unused = []
        for held in self.held.values():
            if held.bundle is None:
                continue
            certificate = held.bundle.certificate
            if not held.bundle.names:
                unused.append(Problem(certificate.origin, "", "it bears no host name, so nobody is shown it"))
            elif all(name in names and names[name] != certificate for name in held.bundle.names):
                first = held.bundle.names[0]
                unused.append(Problem(certificate.origin, "", f"nobody is shown it: for {first} there is {names[first].origin}"))
            for name in held.bundle.names:
                names.setdefault(name, certificate)
        return names, unused

    # ---- the default certificate

    def _default_path(self) -> str:
        directory = self._tls.default_certificate_dir
        return self._tls.default_certificate or (os.path.join(directory, "tls.crt") if directory else "")

    async def _read_default(self, passphrase: bytes | None) -> None:
        """From the first of the places of openshift-routes.md 7.2. Of a directory, tls.key lies beside tls.crt as any key does."""
        from edged.tls.bundle import bundle_of, read_bundle

        path = self._default_path()
        if not path and not self._tls.default_pem:
            await self._read_self_signed()
            return
        mark = (*mark_of(path), *mark_of(self._tls.key_passphrase_file)[:1])
        read = partial(read_bundle, path, passphrase) if path else partial(bundle_of, _TEXT, self._tls.default_pem, passphrase)
        self._default = self._default.read_again(mark, read, untimely=True)

    async def _read_self_signed(self) -> None:
        from edged.tls import selfsigned

        if self._default.bundle is not None:
            return
        state_dir, domain = self._settings.run.state_dir, self._settings.router.domain
        bundle = selfsigned.kept(state_dir, domain)
        if bundle is None and self._make:
            bundle = await trio.to_thread.run_sync(selfsigned.made, state_dir, domain)
        if bundle is not None:
            log.warning(
                "no default certificate is configured: hosts without one of their own show a self-signed one that nobody trusts (%s)",
                bundle.certificate.origin.where,
            )
        self._default = Held(bundle=bundle)

    # ---- whom endpoints are believed

    def _destination_path(self) -> str:
        return self._tls.destination_ca or (SERVICE_CA if os.path.exists(SERVICE_CA) else "")

    def _read_destination(self) -> None:
        path = self._destination_path()
        mark = mark_of(path)[:1]
        if not path or mark == self._authority[0]:
            return                               # the platform's may be gone for a moment
        from edged.tls.bundle import BadBundle, read_text
        from edged.tls.pem import BadPem, read_material

        problem = None
        try:
            found = read_material(read_text(path)).certificates
            if found:
                self.destination = Trust.of(tuple(one.der for one in found))
            else:
                problem = Problem(Origin(path), "", "there is no certificate in it")
        except BadBundle as why:
            problem = why.problem
        except BadPem as why:
            problem = Problem(Origin(path, why.line), "", why.message)
        self._authority = mark, problem


def _same(one: "Bundle", other: "Bundle") -> bool:
    """Whether they differ in nothing but the OCSP answer."""
    return one.certificate.chain == other.certificate.chain and one.certificate.key == other.certificate.key


def _date(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _quiet(watch: Watch) -> None:
    """Wait until nothing more changes."""
    with trio.move_on_after(_QUIET_MOST_S):
        while True:
            with trio.move_on_after(_QUIET_S) as silence:
                await watch.changes()
            if silence.cancelled_caught:
                return
