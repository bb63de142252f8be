# Long exchanges must not keep old tables alive: a tunnel of days would hold the table of the day it began.

from edged._fast.base.view cimport View
from edged._fast.route.table cimport Backend, Endpoint, Recipe
from edged._fast.talk.exchange cimport Exchange

# The few facts that are still needed are copied, and the table is let go of. Only for phases in which no route, no choice and no
# head is to come (PHASE_ANSWER, PHASE_TUNNEL); False: not now.
cdef bint detach(Exchange* x) noexcept nogil
# The same for a tunnel that comes from elsewhere: it has no table, and these facts. False: no memory.
cdef bint detached_as(Exchange* x, const Recipe* recipe, const Backend* backend, const Endpoint* endpoint, View key, View backend_name,
                      View endpoint_name) noexcept nogil
cdef void detach_free(Exchange* x) noexcept nogil
