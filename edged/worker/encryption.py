"""TLS of one worker: the contexts of its listeners, what it shows and believes, and the keys of its tickets.

OpenSSL is loaded when something needs it: a site without TLS does without its memory.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio

from edged.model.listener import Listener
from edged.settings import Settings
from edged.tls.tickets import Ratchet, now_ms

if TYPE_CHECKING:
    from OpenSSL import SSL

    from edged._fast.run.keyring import Keyring
    from edged.tls.store import Store

__all__ = ["Encryption"]

LOOK_MOST_MS = 60_000                            # a machine that slept wakes up in another period


class Encryption:
    """Must outlive the engine, which holds addresses of its contexts."""

    def __init__(self, settings: Settings) -> None:
        """Raises ContextError if a listener cannot speak as the settings want it, NoOpenSSL if nobody can."""
        self._tls = settings.tls
        self._store: Store | None = None
        self._contexts: dict[tuple[str, ...], SSL.Context] = {}      # by what they ask of clients
        self._turning = trio.CancelScope()       # around the task that turns the present ticket keys
        self.listeners = {one.number: self._speech(one) for one in settings.listeners if one.tls}      # as the engine takes them

    @property
    def is_complete(self) -> bool:
        """The listeners have something to show."""
        return not self.listeners or self.keyring is not None

    @property
    def keyring(self) -> "Keyring | None":
        """The newest; None while none has come."""
        return None if self._store is None else self._store.keyring

    def _speech(self, listener: Listener) -> Mapping[str, Any]:
        from edged._fast.run.tls import prepare_server
        from edged.tls import openssl
        from edged.tls.contexts import server_context

        openssl.load()
        kind = (listener.client_auth, listener.client_ca, listener.client_crl, listener.client_filter)
        if kind not in self._contexts:
            self._contexts[kind] = server_context(self._tls, listener)
            prepare_server(openssl.context_address(self._contexts[kind]), self._tls.session_tickets)
        return {
            "context": openssl.context_address(self._contexts[kind]), "strict_sni": self._tls.strict_sni,
            "client_auth": listener.client_auth != "none", "filter": listener.client_filter,
        }

    async def take(self, fd: int, whole: bool) -> "Keyring":
        """The keyring that a message of certificates makes. Raises CertificatesRefused, NoOpenSSL."""
        from edged.tls.store import Store

        store = self._store or Store(self._tls)
        keyring = await store.take(fd, whole)
        self._store = store
        return keyring

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
