"""TLS 1.3 records made by hand (RFC 8446 section 5), after a handshake of Python's own: what no honest client would send."""

import hmac
import socket
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.scenarios.harness.tls import Tls, client_context

__all__ = ["ALERT", "DATA", "HANDSHAKE", "KEY_UPDATE", "RecordClient"]

ALERT, HANDSHAKE, DATA = 21, 22, 23
KEY_UPDATE = b"\x18\x00\x00\x01"                 # and one byte: does the other side have to follow?
_HASH = {"TLS_AES_256_GCM_SHA384": "sha384"}
_KEY_BYTES = {"TLS_AES_128_GCM_SHA256": 16}


class _Key:
    """One direction."""

    def __init__(self, cipher: str, secret: bytes) -> None:
        self._cipher, self._hash, self._secret = cipher, _HASH.get(cipher, "sha256"), secret
        self._begin()

    def _begin(self) -> None:
        key = self._expand("key", _KEY_BYTES.get(self._cipher, 32))
        self._aead = (ChaCha20Poly1305 if "CHACHA" in self._cipher else AESGCM)(key)
        self._iv = int.from_bytes(self._expand("iv", 12), "big")
        self.records = 0

    def _expand(self, label: str, size: int) -> bytes:
        text = b"tls13 " + label.encode()
        info = size.to_bytes(2, "big") + bytes([len(text)]) + text + b"\0" + b"\1"
        return hmac.digest(self._secret, info, self._hash)[:size]

    def turn(self) -> None:
        self._secret = self._expand("traffic upd", len(self._secret))
        self._begin()

    def _nonce(self) -> bytes:
        nonce = self._iv ^ self.records
        self.records += 1
        return nonce.to_bytes(12, "big")

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        inner = content + bytes([kind]) + bytes(padding)
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        return head + self._aead.encrypt(self._nonce(), inner, head)

    def open(self, head: bytes, payload: bytes) -> tuple[int, bytes]:
        inner = self._aead.decrypt(self._nonce(), payload, head).rstrip(b"\0")
        return inner[-1], inner[:-1]


class RecordClient:
    """A connection whose records are in the hands of the test."""

    def __init__(self, address: tuple[str, int], server_name: str, folder: Path) -> None:
        context = client_context()
        log = folder / "secrets"
        log.unlink(missing_ok=True)
        context.keylog_filename = str(log)
        self.sock = socket.create_connection(address, timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = Tls(self.sock, context, server_name=server_name)
        tls.handshake()
        secrets = dict(line.split()[::2] for line in log.read_text().splitlines() if not line.startswith("#"))
        self.sending = _Key(tls.cipher, bytes.fromhex(secrets["CLIENT_TRAFFIC_SECRET_0"]))
        self.receiving = _Key(tls.cipher, bytes.fromhex(secrets["SERVER_TRAFFIC_SECRET_0"]))
        self._unread = b""

    def send(self, kind: int, content: bytes, padding: int = 0) -> None:
        self.sock.sendall(self.sending.seal(kind, content, padding))

    def record(self) -> tuple[int, bytes] | None:
        """Type and content of the next record that is no session ticket; None: the end, or a reset."""
        while True:
            raw = self._raw()
            if raw is None:
                return None
            try:
                kind, content = self.receiving.open(*raw)
            except InvalidTag:
                raise AssertionError("a record that its key does not open") from None
            if kind != HANDSHAKE or content[0] != 4:
                return kind, content

    def _raw(self) -> tuple[bytes, bytes] | None:
        while len(self._unread) < 5 or len(self._unread) < 5 + int.from_bytes(self._unread[3:5], "big"):
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not got:
                return None
            self._unread += got
        size = 5 + int.from_bytes(self._unread[3:5], "big")
        raw, self._unread = self._unread[:size], self._unread[size:]
        return raw[:5], raw[5:]

    def data(self, enough: bytes) -> bytes:
        """All data until these bytes are in it."""
        got = b""
        while enough not in got:
            record = self.record()
            assert record is not None
            assert record[0] == DATA, record
            got += record[1]
        return got

    def alert(self) -> int:
        """The description of the fatal alert that ends the connection."""
        record = self.record()
        while record is not None and record[0] == DATA:
            record = self.record()
        assert record is not None
        assert (record[0], record[1][:1]) == (ALERT, b"\2"), record
        assert self.record() is None
        return record[1][1]

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "RecordClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
