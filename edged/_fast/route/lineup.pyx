"""The usable endpoints of a backend at this moment."""

from edged._fast.memory.arena cimport Standing
from edged._fast.route.table cimport table_endpoints

cdef void lineup_fill(Lineup* out, const Bench* bench, const Table* table, const Backend* backend) noexcept nogil:
    cdef const Endpoint* endpoints = table_endpoints(table, backend)
    cdef const Endpoint* e
    cdef uint32_t i, weight
    out.n = 0
    out.total = 0
    out.equal = True
    out.even = True
    for i in range(backend.n):
        e = &endpoints[i]
        weight = 0 if e.backup else effective_weight(&bench.standings[e.slot], e)
        if weight:
            line_up(out, bench, e, weight)
    if out.n:
        return
    for i in range(backend.n):
        e = &endpoints[i]
        weight = effective_weight(&bench.standings[e.slot], e) if e.backup else 0
        if weight:
            line_up(out, bench, e, weight)
            return

cdef inline void line_up(Lineup* out, const Bench* bench, const Endpoint* e, uint32_t weight) noexcept nogil:
    if out.n and user_weight(&bench.standings[e.slot], e) != user_weight(&bench.standings[out.who[0].slot], out.who[0]):
        out.equal = False
    if out.n and weight != out.weights[0]:
        out.even = False
    out.who[out.n] = e
    out.weights[out.n] = weight
    out.total += weight
    out.n += 1
