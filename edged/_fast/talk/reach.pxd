# The way to an endpoint: choosing one, waiting for a place, what it is to read first, and what follows where it cannot be reached.

from libc.stdint cimport uint32_t
from edged._fast.route.table cimport Endpoint
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Shared

# All answer wants. `avoid`: the endpoint that just failed, or NULL.
cdef uint32_t reach(Shared* s, Exchange* x, const Endpoint* avoid) noexcept nogil
cdef uint32_t reach_place(Shared* s, Exchange* x) noexcept nogil                      # it waits, and a place may have become free
cdef uint32_t reach_place_at(Shared* s, Exchange* x, const Endpoint* endpoint) noexcept nogil    # it waits for any, and longer than those who wait for this one
cdef uint32_t reach_failed(Shared* s, Exchange* x, bint timed_out) noexcept nogil     # the port is gone already
cdef bint reach_compose(Shared* s, Exchange* x) noexcept nogil                        # fills back.tx; False: it does not fit
cdef bint reach_may_reuse(const Shared* s, const Exchange* x) noexcept nogil          # may an idle channel of the pool carry it?
