# Who of a backend can be chosen right now, with which weight, and how busy each one is.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.memory.arena cimport STANDING_UP, Cell, Standing
from edged._fast.route.table cimport Backend, Endpoint, Table

cdef enum:
    FEW = 16                     # backends up to this size are looked through at each choice; larger ones are remembered
    WEIGHT_SCALE = 16            # effective weight of one unit of user weight, as slow start needs finer steps
    WEIGHT_MOST = 256 * WEIGHT_SCALE

cdef struct Bench:               # where the numbers are: set once per engine
    Standing* standings
    Cell* cells                  # this worker's stripe
    Cell* stripes[64]            # all stripes in use, for sums over workers
    uint32_t n_stripes
    uint64_t random              # xorshift state
    const uint64_t* epoch        # the arena's: unchanged means that no standing has changed; NULL: always look
    void* rosters                # what is remembered of large or hashed backends (roster.pxd); NULL: nothing yet

cdef struct Lineup:              # the usable endpoints in order of declaration
    const Endpoint** who
    uint32_t* weights            # effective: 1..WEIGHT_MOST
    uint32_t n
    uint32_t total               # of the weights
    bint equal                   # all user weights are the same
    bint even                    # all effective weights are the same

cdef inline uint32_t user_weight(const Standing* s, const Endpoint* e) noexcept nogil:
    return s.weight if s.key else e.weight

cdef inline uint32_t effective_weight(const Standing* s, const Endpoint* e) noexcept nogil:      # 0: not usable
    if s.standing != STANDING_UP:
        return 0
    cdef uint32_t weight = user_weight(s, e)
    if s.key == 0 or s.percent >= 100:
        return weight * WEIGHT_SCALE
    return weight * min(<uint32_t>WEIGHT_SCALE, (WEIGHT_SCALE * s.percent + 100) // 100)

cdef inline int64_t running(const Bench* bench, uint32_t slot, bint waiting) noexcept nogil:
    """Exchanges at this endpoint over all workers; with `waiting`, also those that wait for it alone."""
    cdef int64_t n = 0
    cdef uint32_t i
    if bench.n_stripes <= 1:
        n = bench.cells[slot].served + (bench.cells[slot].queued if waiting else 0)
    else:
        for i in range(bench.n_stripes):
            n += bench.stripes[i][slot].served + (bench.stripes[i][slot].queued if waiting else 0)
    return n if n > 0 else 0

cdef inline int64_t room(const Bench* bench, const Endpoint* e) noexcept nogil:
    """How many more exchanges the endpoint may be given; 1 where there is no limit. Other workers give at the same moment, so
    a limit can be passed by as many as there are other workers."""
    cdef const Standing* s = &bench.standings[e.slot]
    cdef int64_t most = s.maxconn if s.key else e.maxconn
    if most == 0:
        return 1
    if s.key and s.percent < 100:
        most = max(1, most * s.percent // 100)
    return most - running(bench, e.slot, False)

cdef inline bint is_full(const Bench* bench, const Backend* backend, const Endpoint* e) noexcept nogil:
    """True where a newcomer must wait: at the limit, or others wait for this one already."""
    cdef const Standing* s = &bench.standings[e.slot]
    if not backend.limited or (s.maxconn if s.key else e.maxconn) == 0:
        return False
    return bench.cells[e.slot].queued > 0 or room(bench, e) <= 0

# Fills `out`, whose arrays have room for backend.n entries.
cdef void lineup_fill(Lineup* out, const Bench* bench, const Table* table, const Backend* backend) noexcept nogil
