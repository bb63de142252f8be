"""What was allocated and lost, by LeakSanitizer: asked for in the process itself, and read from what it said."""

import ctypes
import gc
import re

from edged.tls import openssl

__all__ = ["leaks_in", "report_leaks"]

# Lost on purpose, so that a leak check that sees nothing is found out: by the C library, and by OpenSSL, in its own words.
STRAY_BYTES, STRAY_OPENSSL_BYTES = 1237, 1249
ALLOCATORS = re.compile(r"\bin (?:__interceptor_)?(?:malloc|calloc|realloc|posix_memalign)\b")
OURS = re.compile(r"edged/_fast|tests/doors")
OPENSSL = re.compile(r"\bin CRYPTO_\w+")


def report_leaks() -> bool:
    """Have all memory that nothing points to any more reported on the standard error. False: there is no leak checker here."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "__lsan_do_recoverable_leak_check"):
        return False
    process.malloc.restype = ctypes.c_void_p
    process.malloc(ctypes.c_size_t(STRAY_BYTES))
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int)
    lose = kind(openssl.find(["CRYPTO_malloc"])["CRYPTO_malloc"])
    lose(STRAY_OPENSSL_BYTES, b"", 0)
    gc.collect()
    process.__lsan_do_recoverable_leak_check()
    return True


def leaks_in(said: str) -> list[str]:
    """What our rooms, or OpenSSL on their behalf, asked for and lost. Python's own losses are those of its modules, and not ours."""
    blocks = re.findall(r"^((?:Direct|Indirect) leak of .*?)\n\n", said, re.MULTILINE | re.DOTALL)
    found = [
        block for block in blocks
        if OURS.search(asked := _asked_by(block)) or (OPENSSL.search(asked) and f"leak of {STRAY_OPENSSL_BYTES} byte(s)" not in block)
    ]
    for name, stray in ("malloc", STRAY_BYTES), ("OpenSSL", STRAY_OPENSSL_BYTES):
        if not any(f"leak of {stray} byte(s)" in block for block in blocks):
            found.append(f"the leak check is blind: it did not see what was lost on purpose by {name}")
    return found


def _asked_by(block: str) -> str:
    """The first frame that is no allocator's."""
    return next((line for line in block.splitlines()[1:] if not ALLOCATORS.search(line)), "")
