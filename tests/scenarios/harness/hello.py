"""ClientHellos made by hand: whatever a client may say first, and much that none should."""

import os
from collections.abc import Iterable, Sequence

__all__ = ["GREASE", "SSL2_HELLO", "hello_message", "in_records", "named", "protocols", "tls_hello", "with_extension"]

GREASE = 0x2A2A                                  # RFC 8701
SSL2_HELLO = bytes.fromhex("802b 01 0002 0012 0000 0010 0700c0 050080 030080 010080 060040 040080") + bytes(16)

_GROUPS = (0x001D, 0x0017, 0x0018)               # X25519, P-256, P-384
_SUITES = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030)
_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)


def vector(data: bytes, length_bytes: int) -> bytes:
    return len(data).to_bytes(length_bytes, "big") + data


def words(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def with_extension(number: int, body: bytes) -> bytes:
    return number.to_bytes(2, "big") + vector(body, 2)


def named(name: bytes) -> bytes:
    """The extension that asks for a host."""
    return with_extension(0, vector(b"\0" + vector(name, 2), 2))


def protocols(*names: bytes) -> bytes:
    return with_extension(16, vector(b"".join(vector(name, 1) for name in names), 2))


def hello_message(extensions: bytes, *, suites: Sequence[int] = _SUITES, version: int = 0x0303, session: bytes = b"") -> bytes:
    body = version.to_bytes(2, "big") + os.urandom(32) + vector(session, 1) + vector(words(suites), 2) + vector(b"\0", 1)
    return b"\x01" + vector(body + vector(extensions, 2), 3)


def in_records(message: bytes, size: int = 16_384, version: bytes = b"\x03\x01") -> bytes:
    return b"".join(b"\x16" + version + vector(message[at:at + size], 2) for at in range(0, len(message), size))


def tls_hello(name: bytes | None = None, *, grease: bool = False, more: bytes = b"", record_bytes: int = 16_384) -> bytes:
    """One of TLS 1.3 that any server can answer. `grease`: with values that must be passed over, in every place where they may be."""
    odd = (GREASE,) if grease else ()
    share = words([0x001D]) + vector(os.urandom(31) + b"\x01", 2)
    extensions = with_extension(GREASE, b"") if grease else b""
    extensions += named(name) if name is not None else b""
    extensions += with_extension(10, vector(words([*odd, *_GROUPS]), 2))
    extensions += with_extension(13, vector(words(_SIGNATURES), 2))
    extensions += with_extension(43, vector(words([*odd, 0x0304, 0x0303]), 1))
    extensions += with_extension(51, vector((words([GREASE]) + vector(b"\0", 2) if grease else b"") + share, 2))
    extensions += protocols(*([b"\x2a\x2a"] if grease else []), b"h2", b"http/1.1")
    extensions += with_extension(GREASE + 0x1010, b"\0") if grease else b""
    return in_records(hello_message(extensions + more, suites=[*odd, *_SUITES], session=os.urandom(32)), record_bytes)
