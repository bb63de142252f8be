"""Long exchanges must not keep old tables alive. See detach.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from edged._fast.base.view cimport View
from edged._fast.route.table cimport Backend, Endpoint, Recipe, Table, Text, table_text
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


cdef bint detach(Exchange* x) noexcept nogil:
    cdef View key, backend, endpoint
    cdef Extract* e
    cdef char* at
    if x.phase != PHASE_ANSWER and x.phase != PHASE_TUNNEL or x.flags & X_DETACHED or x.endpoint == NULL:
        return False
    key = table_text(x.table, x.recipe.key)
    backend = table_text(x.table, x.backend.name)
    endpoint = table_text(x.table, x.endpoint.name)
    e = <Extract*>malloc(sizeof(Extract) + key.n + backend.n + endpoint.n)
    if e == NULL:
        return False
    e.recipe = x.recipe[0]
    e.backend = x.backend[0]
    e.endpoint = x.endpoint[0]
    at = <char*>e + sizeof(Extract)
    e.recipe.key = keep(e, &at, key)
    e.backend.name = keep(e, &at, backend)
    e.endpoint.name = keep(e, &at, endpoint)
    e.table = x.table[0]
    e.table.at = <const char*>e
    e.table.holders = 1
    x.table.holders -= 1
    x.table = &e.table
    x.recipe = &e.recipe
    x.backend = &e.backend
    x.endpoint = &e.endpoint
    x.flags |= X_DETACHED
    return True


cdef void detach_free(Exchange* x) noexcept nogil:
    free(x.table)                # the first member of its Extract
