# What one worker remembers of a backend that is large, or chosen by hash or map: made when first asked for, made anew after a
# standing has changed, dropped with its table or when all of them together grow too large.

from libc.stdint cimport uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.route.lineup cimport Bench, Lineup
from edged._fast.route.table cimport Backend, Endpoint, Table
from edged._fast.route.turns cimport Turns

cdef enum:
    ROSTERS_BYTES_MOST = 64 << 20    # all rosters of one worker; the last one made is kept in any case
    NODES_MOST = 1 << 20             # of one ring; a heavier backend has proportionally fewer nodes
    MAP_WORK_MOST = 1 << 22          # slots times endpoints of one map; a heavier backend has coarser weights

cdef struct Roster:
    Roster* earlier              # in order of their making
    Roster* later
    Roster* chain                # the next one of the same bucket
    const Table* table
    const Backend* backend
    uint64_t table_version
    uint64_t epoch               # of the arena when this was last known to be right
    uint64_t versions            # sum of the versions of all standings of the backend
    size_t bytes                 # of this block: the arrays below lie in it
    Lineup lineup
    uint32_t* sums               # random: sums[i]: weight of endpoints 0..i
    Turns turns                  # roundrobin
    uint32_t* map                # 12.2: index in the lineup by slot; NULL: not by map
    uint32_t n_map
    uint32_t* keys               # 12.5: nodes in ascending order; NULL: not by ring
    uint32_t* owners             # index in the lineup
    uint32_t n_nodes
    uint32_t* cookies            # by digest of the cookie: index of the endpoint in the backend plus 1; 0: free place
    uint32_t cookie_mask

# NULL: no memory.
cdef Roster* roster_of(Bench* bench, const Table* table, const Backend* backend) noexcept nogil
cdef const Endpoint* roster_by_cookie(const Roster* roster, View cookie) noexcept nogil      # NULL: nobody's
cdef uint32_t roster_node(const Roster* roster, uint32_t hash) noexcept nogil                # the node nearest to `hash`

cdef void rosters_forget(Bench* bench, const Table* table) noexcept nogil
cdef void rosters_close(Bench* bench) noexcept nogil
cdef size_t rosters_bytes(const Bench* bench) noexcept nogil
