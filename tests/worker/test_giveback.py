"""When memory goes back to the system, and that it does."""

import ctypes
import subprocess
import sys

import pytest

from edged.worker import giveback
from edged.worker.giveback import CALM_HANDSHAKES, GROWN_LEAST_BYTES, Giveback

MIB = 1024 * 1024


class Scene:
    """A worker of which memory and numbers are said."""

    def __init__(self):
        self.mib, self.freed_mib, self.trims = 20, 0, 0
        self.tally = dict.fromkeys(("connections", "tls_handshakes", "tls_failed", "tls_endpoint_handshakes"), 0)
        self.kept = Giveback(lambda: self.tally, lambda: self.mib * MIB, self.trim)

    def trim(self):
        self.trims += 1
        self.mib -= self.freed_mib
        self.freed_mib = 0

    def look(self, *, handshakes=0, **now):
        """Answers how often memory was given back so far."""
        for name, value in now.items():
            setattr(self, name, value)
        self.tally["tls_handshakes"] += handshakes
        self.kept.look()
        return self.trims


def test_nothing_is_done_for_little():
    scene = Scene()
    least = GROWN_LEAST_BYTES // MIB
    assert scene.look() == scene.look(mib=20 + least - 1) == 0
    assert scene.look(mib=20 + least, freed_mib=least) == 1
    assert scene.look() == scene.look() == 1


def test_a_burst_is_followed_by_one_trim_for_its_memory():
    scene = Scene()
    assert scene.look(mib=120, freed_mib=95) == 1            # 5 of them are kept for good
    assert scene.mib == 25
    assert scene.look(mib=25 + 3) == 1
    assert scene.look(mib=120, freed_mib=95) == 2


def test_memory_that_is_in_use_is_asked_for_once():
    scene = Scene()
    assert [scene.look(mib=120) for _ in range(3)] == [1, 1, 1]
    assert scene.look(mib=60) == 1                           # it went by itself: from there on it counts
    assert scene.look(mib=70) == 2


@pytest.mark.parametrize("name", ["tls_handshakes", "tls_failed", "tls_endpoint_handshakes"])
def test_handshakes_are_not_kept_waiting(name):
    scene = Scene()
    scene.tally["connections"] = 100
    for _ in range(5):
        scene.tally[name] += CALM_HANDSHAKES
        assert scene.look(mib=120) == 0
    assert scene.look(handshakes=CALM_HANDSHAKES - 1) == 1


def test_unless_the_crowd_has_gone():
    scene = Scene()
    for connections, trims in ((1000, 0), (4000, 0), (2001, 0), (2000, 1), (1500, 1), (1000, 2)):
        scene.tally["connections"] = connections
        assert scene.look(mib=scene.mib + 10, handshakes=10 * CALM_HANDSHAKES) == trims


FREED = """
import ctypes
from edged.worker import giveback
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
kept = giveback.Giveback(lambda: dict.fromkeys(("connections", "tls_handshakes", "tls_failed", "tls_endpoint_handshakes"), 0))
kept.look()
before = giveback._own_bytes()
pieces = [libc.malloc(16 * 1024) for _ in range(4000)]
for piece in pieces:
    ctypes.memset(piece, 1, 16 * 1024)
print(giveback._own_bytes() - before)
for number, piece in enumerate(pieces):
    if number % 100:
        libc.free(piece)
kept.look()
print(giveback._own_bytes() - before)
"""


def test_freed_memory_goes():
    """Pieces as OpenSSL asks for them, in an arena that holds on to some of them; in a process that has none to spare from before."""
    done = subprocess.run([sys.executable, "-c", FREED], stdout=subprocess.PIPE, text=True, check=True)
    in_use, at_last = map(int, done.stdout.split())
    assert in_use > 55 * MIB
    assert at_last < 8 * MIB


def test_other_c_libraries_keep_what_they_keep(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    giveback._trim()
