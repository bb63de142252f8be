"""The look-up through the door: with any mask, and in a loop without Python for the benchmarks."""

from libc.stdint cimport uint32_t, uint64_t
from edged._fast.base.view cimport View, view
from edged._fast.route.table cimport (
    RECIPE_PASSTHROUGH, RECIPE_PLAIN, RECIPE_TLS, Found, MappedTable, table_find, table_text,
)
from tests.doors.cliff cimport Cliff

PLAIN, TLS, PASSTHROUGH = RECIPE_PLAIN, RECIPE_TLS, RECIPE_PASSTHROUGH

cdef Cliff hosts = Cliff()
cdef Cliff paths = Cliff()

def find(MappedTable table not None, bytes host not None, bytes path not None, uint32_t mask, at_start=False):
    """Key of the route, and whether it redirects. Host and path are laid against unreadable pages."""
    cdef View laid_host = hosts.lay(host, at_start), laid_path = paths.lay(path, at_start)
    cdef Found found = table_find(&table.table, laid_host, laid_path, mask)
    cdef View key
    if found.recipe == NULL:
        return None, found.redirect != 0
    key = table_text(&table.table, found.recipe.key)
    return key.at[:key.n].decode(), found.redirect != 0

def find_many(MappedTable table not None, list asked not None, uint32_t times):
    """Looks every (host, path) up, `times` over; answers how many were found."""
    cdef View[1024] host, path
    cdef uint32_t i, n = len(asked), round
    cdef uint64_t got = 0
    if n > 1024:
        raise ValueError("too many for this door")
    for i in range(n):
        host[i] = view(asked[i][0], len(asked[i][0]))
        path[i] = view(asked[i][1], len(asked[i][1]))
    with nogil:
        for round in range(times):
            for i in range(n):
                got += table_find(&table.table, host[i], path[i], RECIPE_PLAIN).recipe != NULL
    return got
