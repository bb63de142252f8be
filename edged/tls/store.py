"""All that a worker shows to clients and believes of endpoints: what control sends becomes the next keyring of the engine.

A set of changes is taken as a whole or refused as a whole. What is sent again is kept as it is, so that a control that was started
anew costs little; what many certificates share, their issuers, is there once.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from weakref import WeakValueDictionary

import msgpack
import trio
from cryptography import x509
from OpenSSL import SSL

from edged._fast.run.keyring import Keyring, Served
from edged._fast.run.material import Authority, Chain, Material
from edged._fast.run.tls import prepare_client
from edged.errors import EdgedError
from edged.model.certificate import Certificate, Trust
from edged.settings.tables import TlsTable
from edged.tls import openssl
from edged.tls.contexts import ContextError, client_context

__all__ = ["CertificatesRefused", "Store"]

log = logging.getLogger("edged.tls")

PIECE_S = 0.005                                  # other tasks wait no longer than this
TOLD_S, TOLD_LEAST = 1.0, 1000                   # a line each second while many are made, and one when all are
ENTRY_MOST_BYTES = 256 * 1024 * 1024             # the CRLs of one source; all else is small
READ_BYTES = 64 * 1024


class CertificatesRefused(EdgedError):
    """What control sent cannot be used; all stays as it was."""


class Store:
    """What was taken so far, and the keyring made of it. Loads OpenSSL; raises NoOpenSSL."""

    def __init__(self, tls: TlsTable) -> None:
        openssl.load()
        self._tls = tls
        self._issuers = _Issuers()
        self._held = _Held()

    @property
    def keyring(self) -> Keyring:
        """The newest."""
        return self._held.keyring

    @property
    def crls(self) -> Mapping[str, tuple[bytes, ...]]:
        """What is revoked, by source."""
        return self._held.crls

    async def take(self, fd: int, whole: bool) -> Keyring:
        """Make the next keyring by the changes in a memory file, a msgpack map as `_Draft` tells; `whole`: by them alone. Other tasks go
        on meanwhile. Raises CertificatesRefused. The keyring before must be kept until no engine looks at it."""
        draft = _Draft(self._held, whole, self._issuers, self._tls)
        try:
            await draft.read(fd)
            self._held = await draft.finish()
        except (ValueError, TypeError, OSError, msgpack.exceptions.UnpackException, ContextError) as why:
            raise CertificatesRefused(str(why) or f"this is no message of certificates: {type(why).__name__}") from None
        return self._held.keyring


class _Held:
    """What the last message left."""

    def __init__(self, before: "_Held | None" = None) -> None:
        self.certificates: dict[str, Served] = before.certificates.copy() if before else {}
        self.names: dict[bytes, str] = before.names.copy() if before else {}          # to the ids of certificates
        self.default: str | None = before.default if before else None
        self.trusts: dict[int, SSL.Context] = before.trusts.copy() if before else {}
        self.crls: dict[str, tuple[bytes, ...]] = before.crls.copy() if before else {}     # by source
        self.keyring: Keyring = Keyring(before.keyring if before else None)


class _Draft:
    """What will be held, if all of the message is as it should be. Its parts, in any order:

    "certificates": {id: [[DER, the leaf first, ...], key, OCSP answer]}    "forget": [id, ...]
    "names": {name: id, or None for the default}    "alpn": [those of these names that agree on a protocol, ...]
    "default": id or None    "trusts": {id: [[DER, ...], whether it is verified]}    "forget_trusts": [id, ...]
    "crls": {source, as `edged.tls.crl` names it: [DER, ...]}
    """

    def __init__(self, before: _Held, whole: bool, issuers: "_Issuers", tls: TlsTable) -> None:
        self._before = before
        self._held = _Held() if whole else _Held(before)
        self._issuers = issuers
        self._tls = tls
        self._names: dict[bytes, str | None] = {}
        self._alpn: set[bytes] = set()
        self._forgotten: list[str] = []
        self._forgotten_trusts: list[int] = []
        self._pace = _Pace()
        self._progress = _Progress()

    async def read(self, fd: int) -> None:
        source = msgpack.Unpacker(_File(fd), read_size=READ_BYTES, max_buffer_size=ENTRY_MOST_BYTES)
        maps = {"certificates": self._certificate, "names": self._name, "trusts": self._trust, "crls": self._crls}
        lists = {"alpn": self._agrees, "forget": self._forget, "forget_trusts": self._forget_trust}
        for _ in range(source.read_map_header()):
            part = source.unpack()
            if part == "default":
                self._held.default = _id_or_none(source.unpack())
            elif part in maps:
                count = source.read_map_header()
                self._progress.total = count if part == "certificates" else 0
                for _ in range(count):
                    maps[part](source.unpack(), source.unpack())
                    await self._pace.keep()
            elif part in lists:
                for _ in range(source.read_array_header()):
                    lists[part](source.unpack())
                    await self._pace.keep()
            else:
                raise ValueError(f"nobody knows what {part!r:.40} of certificates is")
        if source.tell() != os.fstat(fd).st_size:
            raise ValueError("something follows the certificates")
        self._progress.end()

    async def finish(self) -> _Held:
        held = self._held
        for name, chosen in self._names.items():
            if chosen is None:
                held.names.pop(name, None)
                held.keyring.drop(name)
            else:
                held.keyring.put(name, self._known(chosen), name in self._alpn)
                held.names[name] = chosen
            await self._pace.keep()
        held.keyring.set_default(None if held.default is None else self._known(held.default))
        if self._forgotten:
            used = {held.default, *held.names.values()}
            for forgotten in self._forgotten:
                if forgotten in used:
                    raise ValueError(f"certificate {forgotten:.12} is to be forgotten while it is in use")
                held.certificates.pop(forgotten, None)
                await self._pace.keep()
        for trust in self._forgotten_trusts:
            held.trusts.pop(trust, None)
            held.keyring.drop_trust(trust)
            await self._pace.keep()
        return held

    def _known(self, certificate: str) -> Served:
        try:
            return self._held.certificates[certificate]
        except KeyError:
            raise ValueError(f"certificate {certificate:.12} is not there") from None

    # parts

    def _certificate(self, key: object, entry: object) -> None:
        match key, entry:
            case str(told), [[bytes(leaf), *others], bytes(secret), bytes(ocsp)]:
                issuers = _ders(others)
            case _:
                raise ValueError("what should be a certificate is none")
        if Certificate.of((leaf, *issuers), secret, ocsp).id != told:
            raise ValueError(f"certificate {told:.12} is another one than its id says")
        served = self._held.certificates.get(told) or self._before.certificates.get(told)
        if served is None:
            try:
                served = Material(leaf, secret, self._issuers.chain(issuers)).served(ocsp)
            except ValueError as why:
                raise ValueError(f"certificate {told:.12}: {why}") from None
            self._progress.made()
        self._held.certificates[told] = served

    def _trust(self, key: object, entry: object) -> None:
        match key, entry:
            case int(told), [list(listed), bool(verify)]:
                authorities = _ders(listed)
            case _:
                raise ValueError("what should be a trust is none")
        if Trust.of(tuple(authorities), verify).id != told:
            raise ValueError(f"trust {told:x} is another one than its id says")
        context = self._held.trusts.get(told) or self._before.trusts.get(told)
        if context is None:
            context = client_context(authorities, verify, self._tls)
            prepare_client(openssl.context_address(context))
        self._held.trusts[told] = context
        self._held.keyring.put_trust(told, openssl.context_address(context), context)

    def _crls(self, source: object, entry: object) -> None:
        if not isinstance(source, str) or not isinstance(entry, list):
            raise ValueError("what should be CRLs is none")
        crls = tuple(_ders(entry))
        if crls != self._before.crls.get(source):
            for der in crls:
                x509.load_der_x509_crl(der)
        self._held.crls[source] = crls

    def _name(self, name: object, certificate: object) -> None:
        self._names[_text(name)] = _id_or_none(certificate)

    def _agrees(self, name: object) -> None:
        self._alpn.add(_text(name))

    def _forget(self, certificate: object) -> None:
        self._forgotten.append(_id(certificate))

    def _forget_trust(self, trust: object) -> None:
        if not isinstance(trust, int):
            raise ValueError("what should be the id of a trust is none")
        self._forgotten_trusts.append(trust)


class _Issuers:
    """What follows leaves, for as long as one of them needs it."""

    def __init__(self) -> None:
        self._authorities: WeakValueDictionary[bytes, Authority] = WeakValueDictionary()
        self._chains: WeakValueDictionary[tuple[bytes, ...], Chain] = WeakValueDictionary()

    def chain(self, ders: Sequence[bytes]) -> Chain | None:
        if not ders:
            return None
        key = tuple(sha256(der).digest() for der in ders)
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = Chain([self._authority(*one) for one in zip(key, ders, strict=True)])
        return chain

    def _authority(self, key: bytes, der: bytes) -> Authority:
        authority = self._authorities.get(key)
        if authority is None:
            authority = self._authorities[key] = Authority(der)
        return authority


class _Pace:
    """Lets other tasks go on, now and then."""

    def __init__(self) -> None:
        self._since_s = time.perf_counter()

    async def keep(self) -> None:
        if time.perf_counter() - self._since_s > PIECE_S:
            await trio.lowlevel.checkpoint()
            self._since_s = time.perf_counter()


class _Progress:
    """Tells how far it is with many certificates."""

    def __init__(self) -> None:
        self.total = 0                           # in the message; those that were there already are among them
        self._made = 0
        self._began_s = self._told_s = time.perf_counter()

    def made(self) -> None:
        self._made += 1
        if self.total >= TOLD_LEAST and time.perf_counter() - self._told_s >= TOLD_S:
            log.info("%d of %d certificates", self._made, self.total)
            self._told_s = time.perf_counter()

    def end(self) -> None:
        if self._made >= TOLD_LEAST:
            log.info("%d certificates are ready after %.1f s", self._made, time.perf_counter() - self._began_s)


class _File:
    """A memory file from its begin, whoever else reads it: all that were sent it share one place in it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0

    def read(self, count: int) -> bytes:
        got = os.pread(self._fd, count, self._at)
        self._at += len(got)
        return got


def _id(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("what should be the id of a certificate is none")
    return value


def _id_or_none(value: object) -> str | None:
    return None if value is None else _id(value)


def _text(value: object) -> bytes:
    """A name as the keyring has it; which ones are good, it knows."""
    if not isinstance(value, str) or not value.isascii():
        raise ValueError("what should be a host's name is none")
    return value.encode()


def _ders(values: list[object]) -> list[bytes]:
    ders = [value for value in values if isinstance(value, bytes)]
    if len(ders) != len(values):
        raise ValueError("what should be a certificate's DER is none")
    return ders
