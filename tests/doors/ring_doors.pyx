"""The engine's side of a ring."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from edged._fast.memory.ring cimport Ring

cdef extern from "<sched.h>" nogil:
    int sched_yield()

def put(Ring ring not None, bytes record not None, room=None):
    """Reserve, fill, commit; False: there was no room."""
    cdef uint32_t n = len(record)
    cdef char* at = ring.reserve(n if room is None else room)
    if at == NULL:
        return False
    memcpy(at, <const char*>record, n)
    ring.commit(n)
    return True

def ring_bell(Ring ring not None):
    ring.ring_bell()

def flood(Ring ring not None, uint64_t count, uint32_t most):
    """A writer thread without the GIL: `count` records, each its number and as many bytes more as the number says; where there is
    no room it tries again. Answers how often there was none."""
    cdef uint64_t number, refused = 0
    cdef uint32_t n, i
    cdef char* at
    with nogil:
        for number in range(count):
            n = 8 + number % most
            while True:
                at = ring.reserve(n)
                if at != NULL:
                    break
                refused += 1
                ring.ring_bell()
                sched_yield()
            memcpy(at, &number, 8)
            for i in range(8, n):
                at[i] = <char>(number + i)
            ring.commit(n)
            ring.ring_bell()
    return refused
