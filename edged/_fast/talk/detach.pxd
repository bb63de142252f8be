# Long exchanges must not keep old tables alive: a tunnel of days would hold the table of the day it began.

from edged._fast.talk.exchange cimport Exchange

# The few facts that are still needed are copied, and the table is let go of. Only for phases in which no route, no choice and no
# head is to come (PHASE_ANSWER, PHASE_TUNNEL); False: not now.
cdef bint detach(Exchange* x) noexcept nogil
cdef void detach_free(Exchange* x) noexcept nogil
