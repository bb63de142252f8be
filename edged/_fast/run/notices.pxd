# What the engine wants said in the operator's log: a few lines, rarely. Written by the engine, taken by the Python thread.

from libc.stdint cimport int64_t, uint64_t
from edged._fast.base.view cimport View

cdef enum:
    NOTICES = 8
    NOTICE_MOST = 400

cdef struct Notices:
    char text[8][400]            # NUL terminated
    uint64_t written
    uint64_t taken
    uint64_t unsaid              # left out since the last one that was written
    uint64_t span_first          # `written` when the present second began
    int64_t span_ms

# An endpoint with which TLS could not be agreed on. True: the bell is to be rung.
cdef bint notice_endpoint(Notices* notices, int64_t now_ms, View backend, View endpoint, const char* why) noexcept nogil
# Tunnels that stay, and why. True: the bell is to be rung.
cdef bint notice_tunnels(Notices* notices, int64_t now_ms, int64_t n, const char* why) noexcept nogil
cdef list notices_take(Notices* notices)
