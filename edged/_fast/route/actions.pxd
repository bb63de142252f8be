# Actions on headers, from the model's objects to the table file. A value is HAProxy's text (openshift-routes.md 1.4): `%%` is one
# percent sign, `%[...]` is evaluated for each head.

from libc.stdint cimport uint32_t
from edged._fast.route.image cimport Image

# Answers the offset of the first Action, 0 where there are none. ValueError for a name or value that is none. Actions on what is
# never a route's business (framing, the connection) are left out.
cdef uint32_t write_actions(Image image, tuple actions, bint response, uint32_t* n) except? 0
cdef bint are_evaluated(Image image, uint32_t start, uint32_t n) noexcept nogil
# After a record has been copied: its actions stand `distance` bytes further on.
cdef void move_actions(char* table, uint32_t* start, uint32_t n, uint32_t distance) noexcept nogil
