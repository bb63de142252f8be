# Fields of a head that has been written, changed where they stand. This is how actions are applied that must see what those before
# them did (openshift-routes.md 1.4, 9.6): values that are evaluated, and actions for all routes.

from libc.stdint cimport uint32_t
from edged._fast.base.view cimport View
from edged._fast.route.out cimport Out
from edged._fast.route.table cimport Action, Table

# `first`: offset in `out` of the first field's line. All lines from there on end with CRLF, and nothing is folded. `certificate`: the
# client's, as DER; n == 0: there is none.
cdef void fields_act(Out* out, size_t first, const Table* table, const Action* actions, uint32_t n, View certificate) noexcept nogil
cdef void fields_delete(Out* out, size_t first, View name) noexcept nogil
# Whole lines with names in lower case, in the place of all of their names, also of those spelled with underscores for hyphens.
cdef void fields_replace(Out* out, size_t first, View lines) noexcept nogil
# The last element of the last field of that name, borrowed from `out` until the next change; at == NULL: there is none.
cdef View fields_last(const Out* out, size_t first, View name) noexcept nogil
# What was written from offset `start` on becomes its base64, in place.
cdef void to_base64(Out* out, size_t start) noexcept nogil
