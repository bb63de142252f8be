# roundrobin: the smooth weighted order of http-edge-behaviour.md 12.1. Where everybody stands is kept in the cells of the
# arena, so that the order goes on when tables are swapped.

from libc.stdint cimport uint32_t, uint64_t
from edged._fast.route.lineup cimport Bench, Lineup
from edged._fast.route.table cimport Backend, Endpoint

cdef struct Waiting:             # an entry of a heap
    uint64_t key
    uint32_t order               # equal keys: who came first
    uint32_t index               # in the lineup

cdef struct Heap:
    Waiting* at
    uint32_t n

cdef struct Turns:               # the same as in the cells, ready for use; for lineups that are too long to be looked through
    Heap current
    Heap first                   # "init"
    Heap then                    # "next"
    uint32_t* skipped            # scratch
    uint64_t stamp               # the group's `turn` when this was last in step with the cells

# NULL: all are full. `turns` may be NULL where lineup.n <= FEW.
cdef const Endpoint* turns_choose(Bench* bench, const Backend* backend, const Lineup* lineup, Turns* turns,
                                  const Endpoint* avoid) noexcept nogil
