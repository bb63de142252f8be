# Which endpoint of a backend: HAProxy's algorithms (http-edge-behaviour.md 12), standing and limits observed.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.memory.arena cimport Arena, Cell, Standing
from edged._fast.parse.head cimport Head
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.route.table cimport Backend, Endpoint, Table

cdef struct Bench:               # where the numbers are: set once per engine
    Standing* standings
    Cell* cells                  # this worker's stripe
    Cell* stripes[64]            # all stripes in use, for sums over workers
    uint32_t n_stripes
    uint64_t random              # xorshift state

cdef struct Asked:               # what the choice may depend on
    const Head* head             # NULL in tcp mode
    View cookie                  # sticky value that the client sent; n == 0: none
    ProxyAddress source
    const Endpoint* avoid        # the one that just failed; NULL: none

cdef struct Choice:
    const Endpoint* endpoint     # NULL: none usable, or (full) all usable ones are at their limit
    bint full                    # wait in the queue of the backend (or of `bound`)
    const Endpoint* bound        # chosen by its cookie: wait for this one only
    bint by_cookie               # the client's cookie was valid

cdef Choice balance_choose(Bench* bench, const Table* table, const Backend* backend, const Asked* asked) noexcept nogil
cdef bint balance_has_room(Bench* bench, const Endpoint* endpoint) noexcept nogil
