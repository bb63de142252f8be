# Queues of exchanges for a place at an endpoint (http-edge-behaviour.md 8): one for each slot, first come first served.

from edged._fast.run.core cimport Core
from edged._fast.talk.exchange cimport Exchange

cdef void waitlist_add(Core* core, Exchange* x) noexcept nogil
cdef void waitlist_remove(Core* core, Exchange* x) noexcept nogil
