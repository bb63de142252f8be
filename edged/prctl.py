"""What a process tells the kernel of itself: prctl(2)."""

import ctypes
import os

__all__ = ["hide_memory", "name_process", "prctl"]

_PR_SET_DUMPABLE, _PR_SET_NAME = 4, 15

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int | bytes) -> int:
    """Raises OSError."""
    words = [ctypes.c_char_p(word) if isinstance(word, bytes) else ctypes.c_ulong(word) for word in arguments]
    answer: int = _libc.prctl(ctypes.c_int(option), *words, *[ctypes.c_ulong(0)] * (4 - len(words)))
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
    return answer


def name_process(name: str) -> None:
    """What process lists show; the kernel keeps 15 bytes."""
    prctl(_PR_SET_NAME, name.encode())


def hide_memory() -> None:
    """Nobody but root reads this process's memory, and no core of it is written."""
    prctl(_PR_SET_DUMPABLE, 0)
