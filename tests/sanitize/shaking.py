"""Visits of clients that speak TLS, or should: handshakes and records of all sorts."""

import contextlib
import os
import ssl
import struct
import tempfile
from pathlib import Path

from tests.sanitize.cutting import Cut, Twisted
from tests.sanitize.site import ASKING, HTTPS, TLS_ECHO
from tests.sanitize.visiting import CONTEXTS, Dice, Listening, Secured, end, is_status, kept, leave, secured
from tests.scenarios.harness.client import Client, request_bytes
from tests.scenarios.harness.hello import SSL2_HELLO, hello_message, in_records, tls_hello
from tests.scenarios.harness.records import ALERT, DATA, HANDSHAKE, KEY_UPDATE, RecordClient
from tests.scenarios.harness.stream import Stream
from tests.scenarios.harness.tls import client_context, client_hello

__all__ = ["POLITE", "RUDE"]

PROXY = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"
HELLOS = [*kept("hello"), SSL2_HELLO, in_records(hello_message(b"")), tls_hello(b"odd.test", record_bytes=1), tls_hello(b"a" * 300)]
FULL_S = 0.3                                     # nothing was taken for so long
BAD_MESSAGES = [b"", b"\x01\0\0\0", b"\x04" + bytes(200), KEY_UPDATE + b"\2", KEY_UPDATE, KEY_UPDATE + b"\0\0"]


def hello_to(listening: Listening, number: int, data: bytes) -> Client:
    client = Client(("127.0.0.1", listening[number]))
    client.send(data)
    return client


def records_to(listening: Listening) -> RecordClient:
    with tempfile.TemporaryDirectory() as folder:
        return RecordClient(("127.0.0.1", listening[HTTPS]), "odd.test", Path(folder))


# polite


def shows_itself(listening: Listening, dice: Dice) -> None:
    for context, status in ((listening.welcome, 200), (listening.others, 403), (CONTEXTS[0], 403), (CONTEXTS[2], 403)):
        with Secured(("127.0.0.1", listening[ASKING])) as client:
            client.send(PROXY)
            client.shake(context, "odd.test", dice)
            is_status(client.ask("/", "bulk.test"), status)


def comes_again(listening: Listening, dice: Dice) -> None:
    for _ in range(dice.randint(2, 6)):
        with secured(listening, HTTPS, dice, context=dice.choice(CONTEXTS)) as client:
            is_status(client.ask("/", "bulk.test"), 200)


def tunnelled_secure(listening: Listening, dice: Dice) -> None:
    with secured(listening, TLS_ECHO, dice) as client:
        for _ in range(dice.randint(1, 8)):
            said = dice.randbytes(dice.choice([20, 1000, 30000]))
            client.send(said)
            until = client.take_until(said)      # a PROXY header may come first
            assert len(until) == len(said) or until.startswith((b"PROXY", b"\r\n\r\n"))
        client.half_close()
        assert client.rest() == b""


def passes_through(listening: Listening, dice: Dice) -> None:
    with Secured(("127.0.0.1", listening[HTTPS])) as client:
        client.shake(dice.choice(CONTEXTS), "through.test", dice)
        assert client.ask("/interim", "whatever.test").body == b"hello"
        assert len(client.ask("/big/200000", "whatever.test").body) == 200000


def by_odd_records(listening: Listening, dice: Dice) -> None:
    """Requests in records of any size, with padding, and with new keys on the way, on either side."""
    with records_to(listening) as client:
        for _ in range(dice.randint(1, 6)):
            request = request_bytes("/", "bulk.test", Accept="*/*")
            while request:
                n = dice.choice([1, 7, 100])
                client.send(DATA, request[:n], dice.choice([0, 0, 1, 200, 16000]))
                request = request[n:]
                if request and dice.random() < 0.2:
                    asked = dice.random() < 0.5
                    client.send(HANDSHAKE, KEY_UPDATE + bytes([asked]))
                    client.sending.turn()
                    if asked:
                        answer_of_keys(client)
            client.data(b"\r\n\r\n")
            client.send(DATA, b"", 3)
        client.send(ALERT, b"\1\0")


def answer_of_keys(client: RecordClient) -> None:
    got = client.record()
    while got is not None and got[0] == DATA:    # the rest of an answer
        got = client.record()
    assert got == (HANDSHAKE, KEY_UPDATE + b"\0"), got
    client.receiving.turn()


# rude


def breaks_off_shaking(listening: Listening, dice: Dice) -> None:
    client = Client(("127.0.0.1", listening[dice.choice([HTTPS, TLS_ECHO, ASKING])]))
    try:
        client.sock = Cut(client.sock, dice.randrange(800))
        client.start_tls(dice.choice(CONTEXTS), server_name=dice.choice(["odd.test", "through.test", "rude-through.test", None]))
    except EOFError:
        leave(client, dice)
    finally:
        client.close()


def lies_shaking(listening: Listening, dice: Dice) -> None:
    with Client(("127.0.0.1", listening[dice.choice([HTTPS, TLS_ECHO])])) as client:
        client.sock = Twisted(client.sock, dice, 300)
        client.start_tls(dice.choice(CONTEXTS), server_name="odd.test")
        client.send(request_bytes("/", "odd.test", "POST", dice.randbytes(5000)))
        leave(client, dice)


def mutated_hello(listening: Listening, dice: Dice) -> None:
    raw = bytearray(dice.choice([client_hello(dice.choice(CONTEXTS), "odd.test"), tls_hello(b"odd.test"), *HELLOS]))
    for _ in range(dice.randint(0, 4) if raw else 0):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    cut = dice.randrange(len(raw) + 1)
    with hello_to(listening, dice.choice([HTTPS, TLS_ECHO]), bytes(raw[:cut])) as client:
        client.send(bytes(raw[cut:]) * dice.choice([1, 1, 3]))
        leave(client, dice)


def garbage(listening: Listening, dice: Dice) -> None:
    data = dice.choice([
        dice.randbytes(dice.randint(1, 5000)), b"\x16\x03\x01\x40\x00\x01" + dice.randbytes(20000), b"\x15\x03\x01\x00\x02\x02\x28",
        request_bytes("/", "odd.test"), b"\x16\x03\x01\x00\x00" * 4000,
    ])
    with hello_to(listening, dice.choice([HTTPS, TLS_ECHO, ASKING]), dice.choice([data, PROXY + data])) as client:
        end(client)


def unwelcome(listening: Listening, dice: Dice) -> None:
    """By a certificate of nobody's, an old version, or a name that a strict listener does not know."""
    match dice.randrange(3):
        case 0:
            with Client(("127.0.0.1", listening[ASKING])) as client:
                client.send(PROXY)
                client.start_tls(listening.strangers, server_name="odd.test")
                client.ask("/", "odd.test")
        case 1:
            with Client(("127.0.0.1", listening[HTTPS])) as client:
                client.start_tls(client_context(highest=ssl.TLSVersion.TLSv1_1))
        case 2:
            with Client(("127.0.0.1", listening[TLS_ECHO])) as client:
                client.start_tls(dice.choice(CONTEXTS), server_name="nobody.test")


def one_fault(client: RecordClient, dice: Dice) -> None:
    raw = client.sock.sendall
    match dice.randrange(14):
        case 0:
            raw(b"\x17\x03\x03\x00\x20" + dice.randbytes(32))
        case 1:
            raw(b"\x17\x03\x03" + struct.pack("!H", dice.choice([0, 1, 16, 17, 16640, 16641, 65535])) + dice.randbytes(18000))
        case 2:
            raw(dice.choice([b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x02\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x17"]))
        case 3:
            client.send(HANDSHAKE, dice.choice(BAD_MESSAGES))
        case 4:
            client.send(ALERT, dice.choice([b"", b"\1", b"\1\x5a", b"\2\x28", b"\1\0\0", bytes(300)]))
        case 5:
            client.send(dice.choice([0, 20, 24, 99]), dice.randbytes(dice.choice([0, 10])))
        case 6:
            client.send(DATA, b"x" * 16385)
        case 7:
            for _ in range(40):
                client.send(HANDSHAKE, KEY_UPDATE + dice.choice([b"\0", b"\1"]))
                client.sending.turn()
        case 8:
            sealed = client.sending.seal(DATA, b"GET / HTTP/1.1\r\n", dice.choice([0, 5000]))
            raw(sealed[: dice.randrange(len(sealed))])
        case 9:
            changed = bytearray(client.sending.seal(DATA, b"GET / HTTP/1.1\r\n"))
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
            raw(bytes(changed))
        case 10:
            client.sending.records += 1          # a record of those between is missing
            client.send(DATA, b"G")
        case 11:
            for _ in range(200):
                client.send(DATA, b"")
        case 12:
            client.send(ALERT, b"\1\0")
            client.send(DATA, request_bytes("/", "odd.test"))
        case 13:
            client.sending.turn()                # without a word


def hostile_records(listening: Listening, dice: Dice) -> None:
    with records_to(listening) as client:
        for _ in range(dice.randint(1, 3)):
            if dice.random() < 0.5:
                target = dice.choice(["/", "/big/1000000", "/chunks"])
                client.send(DATA, request_bytes(target, dice.choice(["leaving.test", "leaving-again.test"])))
            one_fault(client, dice)
        leave(Stream(client.sock), dice)


def vanishes_slowly(listening: Listening, dice: Dice) -> None:
    """With records under way that nobody reads: they wait at our side of the kernel."""
    with secured(listening, HTTPS, dice, receive_bytes=4096) as client:
        client.send(request_bytes("/big/3000000", dice.choice(["leaving.test", "leaving-again.test"])) * 2)
        for _ in range(dice.randrange(20)):
            client.sock.recv(dice.choice([1, 1000, 4096]))
        leave(client, dice)


def never_listens(listening: Listening, dice: Dice) -> None:
    """Speaks to an echo until all between it and the endpoint is full."""
    with secured(listening, TLS_ECHO, dice, receive_bytes=4096) as client:
        client.sock.settimeout(FULL_S)
        with contextlib.suppress(TimeoutError):
            client.send(os.urandom(8_000_000))
        dice.choice([client.reset, client.close])()


POLITE = [shows_itself, comes_again, tunnelled_secure, passes_through, by_odd_records]
RUDE = [
    breaks_off_shaking, lies_shaking, mutated_hello, garbage, unwelcome, hostile_records, hostile_records, vanishes_slowly, never_listens,
]
