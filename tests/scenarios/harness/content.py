"""Large bodies whose every byte counts."""

import functools
import hashlib
import random

__all__ = ["MIB", "content", "sha256"]

MIB = 1024 * 1024


@functools.lru_cache(maxsize=4)
def content(n: int) -> bytes:
    """n bytes that never repeat, the same ones each time."""
    return random.Random(n).randbytes(n)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
