# Which endpoint of a backend: HAProxy's algorithms (http-edge-behaviour.md 12), standing and limits observed.
# An endpoint is usable while its standing is up and its weight above zero. Weight and limit in force are those of its slot
# in the arena (control writes them); a slot that nobody claimed has none, and then the table's hold. Backups serve only
# while no active endpoint is usable: the first of them alone.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.memory.arena cimport Arena, Cell, Standing
from edged._fast.parse.head cimport Head
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.route.lineup cimport Bench
from edged._fast.route.table cimport Backend, Endpoint, Table

cdef struct Asked:               # what the choice may depend on
    const Head* head             # NULL in tcp mode
    View cookie                  # sticky value that the client sent; n == 0: none
    ProxyAddress source
    const Endpoint* avoid        # the one that just failed: taken only if no other is usable; NULL: none

cdef struct Choice:
    const Endpoint* endpoint     # NULL: none usable, or (full) all usable ones are at their limit
    bint full                    # wait in the queue of the backend (or of `bound`)
    const Endpoint* bound        # chosen by its cookie, or by a hash: wait for this one only
    bint by_cookie               # the client's cookie was valid
    bint cookie_down             # the client's cookie names an endpoint that is down or in maintenance

cdef int bench_open(Bench* bench, Arena arena, uint32_t stripe) except -1    # the caller keeps the arena; bench is all zero before
cdef void bench_close(Bench* bench) noexcept nogil
cdef void bench_refresh(Bench* bench, Arena arena) noexcept nogil    # learn of stripes opened since; cheap, call it now and then
cdef void balance_forget(Bench* bench, const Table* table) noexcept nogil    # before the table is unmapped: drop what was remembered of it

cdef Choice balance_choose(Bench* bench, const Table* table, const Backend* backend, const Asked* asked) noexcept nogil
cdef bint balance_has_room(Bench* bench, const Endpoint* endpoint) noexcept nogil    # running below its limit; queues are not looked at
