"""What all visits share: how to come, over TLS or without, what to say, and how to leave."""

import contextlib
import hashlib
import random
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.sanitize.site import HTTP, HTTPS, TCP_ECHO, TLS_ECHO
from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.client import Client
from tests.scenarios.harness.stream import Message, Stream
from tests.scenarios.harness.tls import client_context

__all__ = ["Dice", "Listening", "Secured", "body_of", "end", "is_status", "is_told", "kept", "leave", "secured", "to"]

ROOT = Path(__file__).resolve().parent.parent.parent
Dice = random.Random

SECURE = {HTTP: HTTPS, TCP_ECHO: TLS_ECHO}       # the listener that serves the same within TLS
ALL_KNOW = "odd.test"                            # a name for which there is always a certificate


@dataclass(frozen=True)
class Listening:
    """The ports, by number of the listener, and what to show of ourselves to the one that asks."""

    ports: list[int]
    welcome: ssl.SSLContext
    others: ssl.SSLContext                       # known to the authority, and to be refused
    strangers: ssl.SSLContext

    @classmethod
    def of(cls, ports: list[int], ours: Authority, folder: Path) -> "Listening":
        def shows(authority: Authority, name: str) -> ssl.SSLContext:
            return client_context(identity=authority.issue(name, client=True), folder=folder / authority.name)

        return cls(ports, shows(ours, "welcome"), shows(ours, "others"), shows(Authority("strangers"), "welcome"))

    def __getitem__(self, number: int) -> int:
        return self.ports[number]


def kept(room: str) -> list[bytes]:
    """What the fuzzer of a room has kept."""
    return [path.read_bytes() for path in sorted((ROOT / "tests/corpus/fuzz" / room).glob("*"))]


class Secured(Client):
    """A client within TLS. Those that come later may resume what it leaves behind."""

    _lock = threading.Lock()
    _sessions: ClassVar[dict[ssl.SSLContext, ssl.SSLSession]] = {}

    def shake(self, context: ssl.SSLContext, server_name: str | None, dice: Dice) -> None:
        with self._lock:
            session = self._sessions.get(context) if dice.random() < 0.6 else None
        try:
            self.start_tls(context, server_name=server_name, session=session)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> "Secured":
        return self

    def close(self) -> None:
        if self.tls is not None and (session := self.tls.session) is not None:
            with self._lock:
                self._sessions[self.tls.object.context] = session
        super().close()


CONTEXTS = [
    client_context(alpn=["h2", "http/1.1"]),
    client_context(),
    client_context(highest=ssl.TLSVersion.TLSv1_2, alpn=["http/1.1"]),
    client_context(highest=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE+CHACHA20:@SECLEVEL=0"),
]


def secured(listening: Listening, number: int, dice: Dice, *, context: ssl.SSLContext | None = None, receive_bytes: int = 0) -> Secured:
    client = Secured(("127.0.0.1", listening[number]), receive_bytes=receive_bytes)
    names = [ALL_KNOW] if number == TLS_ECHO else [ALL_KNOW, "bulk.test", "a.wild.test", "nobody.test", None]
    client.shake(context or dice.choice(CONTEXTS), dice.choice(names), dice)
    return client


def to(listening: Listening, number: int, dice: Dice, *, receive_bytes: int = 0) -> Client:
    """A client of this listener, or of the one that serves the same within TLS."""
    if number in SECURE and dice.random() < 0.5:
        return secured(listening, SECURE[number], dice, receive_bytes=receive_bytes)
    return Client(("127.0.0.1", listening[number]), receive_bytes=receive_bytes)


def body_of(dice: Dice) -> bytes:
    return dice.randbytes(dice.choice([0, 1, 100, 5000, 20000, 150000]))


def is_told(answer: Message, body: bytes) -> None:
    """The endpoint has received this body, and we its answer."""
    assert answer.body == f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode(), f"{answer.first}: {answer.body[-60:]!r}"


def is_status(answer: Message, *wanted: int) -> None:
    assert answer.status in wanted, f"{answer.first}: {answer.body[-60:]!r}"


def end(client: Stream) -> None:
    with contextlib.suppress(OSError):           # the other side may have ended it already
        client.half_close()
    client.until_gone()


def leave(client: Stream, dice: Dice) -> None:
    match dice.randrange(3):
        case 0:
            client.reset()
        case 1:
            client.close()
        case 2:
            end(client)
