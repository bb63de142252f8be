"""Keys of session tickets: made from a secret that turns with time, so that all workers agree without a word.

Time is cut into periods of [tls] ticket_rotation_ms. The secret of each is made from that of the one before (HKDF, RFC 5869), and
never the other way: who learns the present secrets cannot open the tickets of periods that are over. The clock counts from the
machine's start, also while it sleeps; nobody can set it, and every process of the machine reads the same.
"""

import hmac
import math
import os
import time
from typing import Any

__all__ = ["SECRET_BYTES", "Ratchet", "now_ms"]

SECRET_BYTES, _NAME_BYTES = 32, 16
_NEXT, _KEYS = b"edged tickets: the next period", b"edged tickets: name, cipher, mac"

Key = tuple[bytes, bytes, bytes]                 # as edged._fast.run.tickets.use_ticket_keys takes it


def now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Ratchet:
    """Three periods: the one before, whose secret is held, the present, and the next, for processes that are there first."""

    def __init__(self, rotation_ms: int, before: int, secret: bytes) -> None:
        """`secret` is that of the period `before`. Raises ValueError if it cannot be one."""
        if len(secret) != SECRET_BYTES or before < -1:
            raise ValueError("this is no secret of a period")
        self._rotation_ms = rotation_ms
        self._before = before
        self._secret = bytearray(secret)

    @classmethod
    def new(cls, rotation_ms: int, at_ms: int) -> "Ratchet":
        """A secret that nobody knows, for the period that is now."""
        return cls(rotation_ms, at_ms // rotation_ms - 1, os.urandom(SECRET_BYTES))

    @property
    def rotation_ms(self) -> int:
        return self._rotation_ms

    @property
    def held(self) -> tuple[int, int, bytes]:
        """What makes an equal one."""
        return self._rotation_ms, self._before, bytes(self._secret)

    @property
    def present(self) -> int:
        """The number of the period whose key seals."""
        return self._before + 1

    def turn(self, at_ms: int) -> bool:
        """Go to the period that is now, and forget what is over; whether it is another one. It never goes back."""
        turned = False
        while self.present < at_ms // self._rotation_ms:
            self._secret[:] = _expand(self._secret, _NEXT, SECRET_BYTES)
            self._before += 1
            turned = True
        return turned

    def left_ms(self, at_ms: int) -> int:
        """Until the present period is over; 0: it is."""
        return max((self.present + 1) * self._rotation_ms - at_ms, 0)

    def keys(self) -> list[Key]:
        """The present one, which seals, the one before and the next."""
        before = bytes(self._secret)
        present = _expand(before, _NEXT, SECRET_BYTES)
        return [_key(present), _key(before), _key(_expand(present, _NEXT, SECRET_BYTES))]

    def message(self) -> dict[str, Any]:
        """For another process; it goes on from the same secret."""
        return {"type": "tickets", "period": self._before, "secret": bytes(self._secret)}


def _key(secret: bytes) -> Key:
    made = _expand(secret, _KEYS, _NAME_BYTES + 2 * SECRET_BYTES)
    return made[:_NAME_BYTES], made[_NAME_BYTES:-SECRET_BYTES], made[-SECRET_BYTES:]


def _expand(secret: bytes | bytearray, info: bytes, count: int) -> bytes:
    """HKDF-Expand of RFC 5869 section 2.3, with SHA-256."""
    made = block = b""
    for number in range(1, math.ceil(count / 32) + 1):
        block = hmac.digest(secret, block + info + bytes([number]), "sha256")
        made += block
    return made[:count]
