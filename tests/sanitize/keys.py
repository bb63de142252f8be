"""All that the engine under the sanitizer shows and believes in TLS, and how it changes: as a worker's certificates and contexts do."""

import os
import random
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from edged._fast.run.engine import Engine
from edged._fast.run.keyring import Keyring, Served
from edged._fast.run.material import Authority, Chain, Material
from edged._fast.run.tickets import use_ticket_keys
from edged._fast.run.tls import prepare_client, prepare_server
from edged.settings.tables import TlsTable
from edged.tls import openssl
from edged.tls.contexts import client_context, server_context
from tests.sanitize.site import ANY, LISTENERS, OURS, STRANGERS, TLS_ECHO
from tests.scenarios.harness import authority as certified

__all__ = ["Keys"]

NAMES = [b"odd.test", b"bulk.test", b"again.test", b"*.wild.test"]      # the first always has a certificate of its own
SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]       # by turns, one is preferred
CONTEXTS_EVERY, TICKETS_EVERY = 8, 16            # turns
SPARE_NAMES = 500                                # that come and go, so that the keyring grows and shrinks

TicketKey = tuple[bytes, bytes, bytes]


class Keys:
    def __init__(self, authority: Path) -> None:
        openssl.load()
        self._turns = 0
        self._file = authority
        self._trusted = {
            OURS: (x509.load_pem_x509_certificate(authority.read_bytes()).public_bytes(Encoding.DER),), ANY: (),
            STRANGERS: (certified.Authority("strangers").root.der,),
        }
        ours = certified.Authority("shown")
        one = ours.issue("shown", ["odd.test"])
        self._certified = [one, *(ours.issue(f"shown {sort}", ["odd.test"], sort=sort) for sort in ("rsa", "ec384", "ed25519"))]
        self._ocsp = [b"", ours.vouches(one), bytes(3000)]
        self._tickets = [_ticket_key() for _ in range(3)]
        use_ticket_keys(self._tickets)
        self._contexts: dict[int, list[SSL.Context]] = {
            listener.number: [self._context(listener.number, random.Random(0))] for listener in LISTENERS if listener.tls
        }
        self._keyring = Keyring()
        self._keyring.put(NAMES[0], self._served(random.Random(0)), True)
        self._keyring.set_default(self._served(random.Random(1)))
        for trust in self._trusted:
            self._put_trust(self._keyring, trust)

    def spoken(self, number: int) -> dict[str, object] | None:
        """For Engine.add_listener."""
        listener = LISTENERS[number]
        if not listener.tls:
            return None
        return {
            "context": openssl.context_address(self._contexts[number][-1]), "strict_sni": number == TLS_ECHO,
            "client_auth": listener.client_auth != "none", "filter": listener.client_filter,
        }

    def turn(self, engine: Engine, dice: random.Random) -> None:
        """The next keyring; now and then other contexts and tickets."""
        if engine.orders_left == 0:
            for contexts in self._contexts.values():
                del contexts[:-1]
        self._keyring = self._next(dice)
        engine.use_keyring(self._keyring)
        self._turns += 1
        if self._turns % CONTEXTS_EVERY == 0:
            number = dice.choice(list(self._contexts))
            self._contexts[number].append(self._context(number, dice))
            engine.use_context(number, openssl.context_address(self._contexts[number][-1]))
        if self._turns % TICKETS_EVERY == 0:
            self._tickets = [_ticket_key(), *self._tickets[:2]]
            use_ticket_keys(self._tickets)

    def _next(self, dice: random.Random) -> Keyring:
        keyring = Keyring(self._keyring)
        for name in dice.sample(NAMES, 2):
            if name == NAMES[0] or dice.random() < 0.5:
                keyring.put(name, self._served(dice), dice.random() < 0.5)
            else:
                keyring.drop(name)
        for _ in range(10):
            spare = b"spare-%d.test" % dice.randrange(SPARE_NAMES)
            if dice.random() < 0.5:
                keyring.put(spare, self._served(dice), True)
            else:
                keyring.drop(spare)
        if dice.random() < 0.2:
            keyring.set_default(self._served(dice))
        if dice.random() < 0.1:
            self._put_trust(keyring, dice.choice(list(self._trusted)))
        return keyring

    def _served(self, dice: random.Random) -> Served:
        chosen = dice.choice(self._certified)
        chain = Chain([Authority(one.public_bytes(Encoding.DER)) for one in chosen.between]) if dice.random() < 0.8 else None
        return Material(chosen.der, chosen.key_der, chain).served(dice.choice(self._ocsp))

    def _context(self, number: int, dice: random.Random) -> SSL.Context:
        listener = LISTENERS[number]
        if listener.client_auth != "none":
            listener = replace(listener, client_ca=str(self._file))
        tickets = dice.random() < 0.9
        context = server_context(TlsTable(ciphersuites=":".join(dice.sample(SUITES, 3)), session_tickets=tickets), listener)
        prepare_server(openssl.context_address(context), tickets)
        return context

    def _put_trust(self, keyring: Keyring, trust: int) -> None:
        context = client_context(self._trusted[trust], trust != ANY, TlsTable())
        prepare_client(openssl.context_address(context))
        keyring.put_trust(trust, openssl.context_address(context), context)


def _ticket_key() -> TicketKey:
    return os.urandom(16), os.urandom(32), os.urandom(32)
