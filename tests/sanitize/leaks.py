"""What was allocated and lost, by LeakSanitizer: asked for in the process itself, and read from what it said."""

import ctypes
import gc
import re

__all__ = ["leaks_in", "report_leaks"]

STRAY_BYTES = 1237                               # lost on purpose, so that a leak check that sees nothing is found out
ALLOCATORS = re.compile(r"\bin (?:__interceptor_)?(?:malloc|calloc|realloc|posix_memalign)\b")


def report_leaks() -> bool:
    """Have all memory that nothing points to any more reported on the standard error. False: there is no leak checker here."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "__lsan_do_recoverable_leak_check"):
        return False
    process.malloc.restype = ctypes.c_void_p
    process.malloc(ctypes.c_size_t(STRAY_BYTES))
    gc.collect()
    process.__lsan_do_recoverable_leak_check()
    return True


def leaks_in(said: str) -> list[str]:
    """What our rooms asked for and lost. Python's own losses are those of its modules, and not ours."""
    blocks = re.findall(r"^((?:Direct|Indirect) leak of .*?)\n\n", said, re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if re.search(r"edged/_fast|tests/doors", _asked_by(block))]
    if not any(f"leak of {STRAY_BYTES} byte(s)" in block for block in blocks):
        found.append("the leak check is blind: it did not see what was lost on purpose")
    return found


def _asked_by(block: str) -> str:
    """The first frame that is no allocator's."""
    return next((line for line in block.splitlines()[1:] if not ALLOCATORS.search(line)), "")
