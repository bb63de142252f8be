"""Long exchanges must not keep old tables alive. See detach.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from edged._fast.route.table cimport Table, Text, table_text
from edged._fast.talk.exchange cimport PHASE_ANSWER, PHASE_TUNNEL, X_DETACHED

cdef struct Extract:             # a table of one route: texts follow behind it
    Table table
    Recipe recipe
    Backend backend
    Endpoint endpoint


cdef Text keep(Extract* e, char** at, View text) noexcept nogil:
    cdef Text kept
    kept.at = <uint32_t>(at[0] - <char*>e)
    kept.n = <uint32_t>text.n
    if text.n:
        memcpy(at[0], text.at, text.n)
        at[0] += text.n
    return kept


cdef bint detached_as(Exchange* x, const Recipe* recipe, const Backend* backend, const Endpoint* endpoint, View key, View backend_name,
                      View endpoint_name) noexcept nogil:
    cdef Extract* e = <Extract*>malloc(sizeof(Extract) + key.n + backend_name.n + endpoint_name.n)
    cdef char* at
    if e == NULL:
        return False
    e.recipe = recipe[0]
    e.backend = backend[0]
    e.endpoint = endpoint[0]
    at = <char*>e + sizeof(Extract)
    e.recipe.key = keep(e, &at, key)
    e.backend.name = keep(e, &at, backend_name)
    e.endpoint.name = keep(e, &at, endpoint_name)
    if x.table != NULL:
        e.table = x.table[0]
    else:
        memset(&e.table, 0, sizeof(Table))
    e.table.at = <const char*>e
    e.table.holders = 1
    x.table = &e.table
    x.recipe = &e.recipe
    x.backend = &e.backend
    x.endpoint = &e.endpoint
    x.flags |= X_DETACHED
    return True


cdef bint detach(Exchange* x) noexcept nogil:
    cdef Table* before = x.table
    if x.phase != PHASE_ANSWER and x.phase != PHASE_TUNNEL or x.flags & X_DETACHED or x.endpoint == NULL:
        return False
    if not detached_as(x, x.recipe, x.backend, x.endpoint, table_text(x.table, x.recipe.key), table_text(x.table, x.backend.name),
                       table_text(x.table, x.endpoint.name)):
        return False
    before.holders -= 1
    return True


cdef void detach_free(Exchange* x) noexcept nogil:
    free(x.table)                # the first member of its Extract
