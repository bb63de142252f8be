# A tunnel that comes from another engine is made of its bundle: checked to the last byte before anything is made of it.

from libc.stdint cimport uint32_t
from edged._fast.run.core cimport Core
from edged._fast.talk.h1 cimport Front

cdef enum BundleFault:
    BUNDLE_FINE = 0
    BUNDLE_WRONG = 1             # it is none, or contradicts itself
    BUNDLE_NO_ROOM = 2           # no memory, no descriptor, or larger buffers than ours

# It is at rest, and its sockets are untouched; NULL: `fault` tells why. The descriptors are the callee's.
cdef Front* unbundle(Core* core, const char* at, uint32_t n, const int* fds, int n_fds, bint same_arena, BundleFault* fault) noexcept nogil
