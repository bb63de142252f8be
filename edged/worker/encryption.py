"""TLS of one worker: the contexts of its listeners, what it shows and believes, and the keys of its tickets.

OpenSSL is loaded when something needs it: a site without TLS does without its memory.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio

from edged.errors import EdgedError
from edged.model.listener import Listener
from edged.settings import Settings
from edged.tls.tickets import Ratchet, now_ms

if TYPE_CHECKING:
    from edged._fast.run.keyring import Keyring
    from edged.tls.store import Store

__all__ = ["Encryption", "Speech"]

log = logging.getLogger("edged.worker")

LOOK_MOST_MS = 60_000                            # a machine that slept wakes up in another period

Speech = Mapping[str, Any]                       # how a listener speaks TLS, as the engine takes it; "owner" is the context itself
Crls = tuple[bytes, ...] | None                  # lists that are known; None: none are asked for


class Encryption:
    def __init__(self, settings: Settings) -> None:
        """Raises ContextError if a listener cannot speak as the settings want it, NoOpenSSL if nobody can."""
        self._tls = settings.tls
        self._store: Store | None = None
        self._taking = trio.Lock()
        self._turning = trio.CancelScope()       # around the task that turns the present ticket keys
        self._ends = {one.number: one for one in settings.listeners if one.tls}      # where TLS ends
        self._crls: dict[int, Crls] = {}
        self.listeners: dict[int, Speech] = {}   # by number
        for number in self._ends:
            self._begin(number)

    def _begin(self, number: int) -> None:
        from edged.tls.contexts import first_crls

        crls = first_crls(self._ends[number])
        self.listeners[number] = self._speech(number, crls)
        self._crls[number] = crls

    @property
    def is_complete(self) -> bool:
        """The listeners have something to show."""
        return not self.listeners or self.keyring is not None

    @property
    def keyring(self) -> "Keyring | None":
        """The newest; None while none has come."""
        return None if self._store is None else self._store.keyring

    async def take(self, fd: int, whole: bool) -> "tuple[Keyring, Mapping[int, Speech]]":
        """The keyring that a message of certificates makes, and those of `listeners` that speak otherwise from now on, as others are
        revoked. The engine may use what it had before until it has obeyed. Raises CertificatesRefused, NoOpenSSL."""
        from edged.tls.store import Store

        async with self._taking:
            store = self._store or Store(self._tls)
            keyring = await store.take(fd, whole)
            self._store = store
            return keyring, await self._renew(store)

    async def _renew(self, store: "Store") -> Mapping[int, Speech]:
        from edged.tls.crl import source_of

        renewed = {}
        for number, listener in self._ends.items():
            crls = store.crls.get(source_of(listener), self._crls[number])
            if crls == self._crls[number]:
                continue
            try:
                speech = await trio.to_thread.run_sync(self._speech, number, crls)      # large lists take their time
            except EdgedError as why:
                log.error('listener "%s" goes on with the CRLs that it has: %s', listener.name, str(why))
                continue
            self.listeners[number] = renewed[number] = speech
            self._crls[number] = crls
        return renewed

    def _speech(self, number: int, crls: Crls) -> Speech:
        from edged._fast.run.tls import prepare_server
        from edged.tls import openssl
        from edged.tls.contexts import server_context

        listener = self._ends[number]
        alike = (other for other, known in self._crls.items() if known == crls and _rules(self._ends[other]) == _rules(listener))
        context = next((self.listeners[other]["owner"] for other in alike), None)
        if context is None:
            openssl.load()
            context = server_context(self._tls, listener, crls)
            prepare_server(openssl.context_address(context), self._tls.session_tickets)
        return {
            "context": openssl.context_address(context), "strict_sni": self._tls.strict_sni,
            "client_auth": listener.client_auth != "none", "filter": listener.client_filter, "owner": context,
        }

    # tickets

    def use_tickets(self, period: int, secret: bytes, nursery: trio.Nursery) -> None:
        """Seal and open tickets by keys made from this secret, and turn them as time goes on. Raises ValueError."""
        if self.listeners:
            ratchet = Ratchet(self._tls.ticket_rotation_ms, period, secret)
            self._install(ratchet)
            self._turning.cancel()
            self._turning = trio.CancelScope()
            nursery.start_soon(self._turn, ratchet, self._turning)

    async def _turn(self, ratchet: Ratchet, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.sleep(min(ratchet.left_ms(now_ms()), LOOK_MOST_MS) / 1000)
                self._install(ratchet)

    def _install(self, ratchet: Ratchet) -> None:
        from edged._fast.run.tickets import use_ticket_keys

        ratchet.turn(now_ms())
        use_ticket_keys(ratchet.keys())


def _rules(listener: Listener) -> tuple[str, ...]:
    """Listeners where these are the same share a context."""
    return listener.client_auth, listener.client_ca, listener.client_crl, listener.client_filter
