"""Smooth weighted round robin.

Each endpoint stands in one of three groups: *current* with a position in the cycle that runs, *first* (it has not had its
turn in this cycle, the heaviest goes first) or *then* (its next turn is in the cycle to come). Cell.npos and .rw hold
position and remainder; the upper half of Cell.turn is the number of the cycle that the entry belongs to, the lower half
orders equals. The cell of the backend holds the position of the cycle (npos), the weight it was begun with (rw), its number
and the counter of that order (turn). An entry of an older cycle counts as first: new endpoints are all zero.
"""

from edged._fast.base.view cimport check
from edged._fast.memory.arena cimport Cell
from edged._fast.route.lineup cimport FEW, WEIGHT_MOST, WEIGHT_SCALE, is_full

cdef enum:
    IN_CURRENT = 0
    IN_FIRST
    IN_THEN
    NOBODY = 0xffffffff

cdef struct Cycle:               # one choice
    Cell* cells
    Cell* group
    const Lineup* lineup
    Turns* turns                 # NULL: the lineup is looked through
    uint64_t out                 # without turns: who has been taken out by this choice
    uint32_t number
    uint32_t order
    uint32_t position
    uint32_t weight

# ---- entries

cdef inline Cell* cell_of(const Cycle* c, uint32_t index) noexcept nogil:
    return &c.cells[c.lineup.who[index].slot]

cdef inline int place(const Cycle* c, const Cell* cell) noexcept nogil:
    cdef uint32_t number = cell.turn >> 32
    if number == c.number + 1:
        return IN_THEN
    return IN_CURRENT if number == c.number and cell.npos else IN_FIRST

cdef inline Waiting entry(const Cycle* c, uint32_t index, const Cell* cell, int where) noexcept nogil:
    cdef Waiting w
    w.index = index
    if where == IN_CURRENT:
        w.key = 256 * <uint64_t>cell.npos + (WEIGHT_MOST + cell.rw - c.lineup.weights[index]) // WEIGHT_SCALE
    else:
        w.key = WEIGHT_MOST - c.lineup.weights[index]
    w.order = <uint32_t>cell.turn if cell.turn >> 32 >= c.number else 0
    return w

cdef inline bint goes_before(const Waiting* a, const Waiting* b) noexcept nogil:
    if a.key != b.key:
        return a.key < b.key
    return a.order < b.order if a.order != b.order else a.index < b.index

# ---- heaps

cdef void heap_push(Heap* heap, Waiting w) noexcept nogil:
    cdef uint32_t i = heap.n, above
    heap.n += 1
    while i:
        above = (i - 1) // 2
        if not goes_before(&w, &heap.at[above]):
            break
        heap.at[i] = heap.at[above]
        i = above
    heap.at[i] = w

cdef Waiting heap_pop(Heap* heap) noexcept nogil:
    check(heap.n > 0)
    cdef Waiting top = heap.at[0], last
    cdef uint32_t i = 0, below = 1
    heap.n -= 1
    last = heap.at[heap.n]
    while below < heap.n:
        if below + 1 < heap.n and goes_before(&heap.at[below + 1], &heap.at[below]):
            below += 1
        if not goes_before(&heap.at[below], &last):
            break
        heap.at[i] = heap.at[below]
        i = below
        below = 2 * i + 1
    heap.at[i] = last
    return top

cdef inline Heap* heap_of(Turns* turns, int where) noexcept nogil:
    return &turns.current if where == IN_CURRENT else &turns.first if where == IN_FIRST else &turns.then

cdef void load_turns(Cycle* c) noexcept nogil:
    cdef uint32_t i
    cdef int where
    c.turns.current.n = 0
    c.turns.first.n = 0
    c.turns.then.n = 0
    for i in range(c.lineup.n):
        where = place(c, cell_of(c, i))
        heap_push(heap_of(c.turns, where), entry(c, i, cell_of(c, i), where))

# ---- the cycle

cdef inline bint precedes(const Waiting* entry, const Waiting* best) noexcept nogil:
    return best.index == NOBODY or goes_before(entry, best)

cdef uint32_t take_by_looking(Cycle* c) noexcept nogil:
    cdef Waiting current = Waiting(0, 0, NOBODY), first = Waiting(0, 0, NOBODY), w
    cdef uint32_t i, index
    cdef int where
    for i in range(c.lineup.n):
        where = place(c, cell_of(c, i))
        if where == IN_THEN or c.out >> i & 1:
            continue
        w = entry(c, i, cell_of(c, i), where)
        if where == IN_CURRENT:
            if precedes(&w, &current):
                current = w
        elif precedes(&w, &first):
            first = w
    if current.index != NOBODY and (first.index == NOBODY or cell_of(c, current.index).npos <= c.position):
        index = current.index
    else:
        index = first.index
    if index != NOBODY:
        c.out |= <uint64_t>1 << index
    return index

cdef uint32_t take_by_heap(Cycle* c) noexcept nogil:
    cdef Turns* t = c.turns
    if t.current.n and (t.first.n == 0 or cell_of(c, t.current.at[0].index).npos <= c.position):
        return heap_pop(&t.current).index
    return heap_pop(&t.first).index if t.first.n else <uint32_t>NOBODY

cdef inline uint32_t take(Cycle* c) noexcept nogil:
    return take_by_looking(c) if c.turns == NULL else take_by_heap(c)

cdef void begin_next(Cycle* c) noexcept nogil:
    cdef Heap was
    c.number += 1
    c.position = c.weight
    if c.turns != NULL:
        was = c.turns.first
        c.turns.first = c.turns.then
        c.turns.then = was

cdef void move_on(Cycle* c, uint32_t index) noexcept nogil:
    """Give the entry the position of its next turn."""
    cdef Cell* cell = cell_of(c, index)
    cdef uint32_t weight = c.lineup.weights[index]
    if place(c, cell) != IN_CURRENT:
        cell.npos = c.position
        cell.rw = 0
    cell.npos += c.weight // weight
    cell.rw += c.weight % weight
    if cell.rw >= weight:
        cell.rw -= weight
        cell.npos += 1
    c.position += 1

cdef void put(Cycle* c, uint32_t index, bint place_lost) noexcept nogil:
    """Back into a group: by its position, or, where a new cycle has begun meanwhile, by its weight alone."""
    cdef Cell* cell = cell_of(c, index)
    cdef uint32_t number = c.number
    cdef int where = IN_CURRENT
    if place_lost:
        where = IN_FIRST
    elif cell.npos >= 2 * c.weight:
        where = IN_THEN
        number += 1
    if where != IN_CURRENT:
        cell.npos = 0
        cell.rw = 0
    c.order += 1
    cell.turn = <uint64_t>number << 32 | c.order
    if c.turns != NULL:
        heap_push(heap_of(c.turns, where), entry(c, index, cell, where))

cdef void open_cycle(Cycle* c) noexcept nogil:
    c.number = c.group.turn >> 32
    c.order = <uint32_t>c.group.turn
    c.weight = c.lineup.total
    c.position = c.group.npos
    if c.group.rw != c.weight:               # another set of endpoints: positions of the old one mean nothing
        c.number += 2
        c.position = c.weight
    if c.turns != NULL and (c.turns.stamp != c.group.turn or c.group.rw != c.weight or c.turns.stamp == 0):
        load_turns(c)

cdef void close_cycle(Cycle* c) noexcept nogil:
    c.group.npos = c.position
    c.group.rw = c.weight
    c.group.turn = <uint64_t>c.number << 32 | c.order
    if c.turns != NULL:
        c.turns.stamp = c.group.turn

cdef const Endpoint* turns_choose(Bench* bench, const Backend* backend, const Lineup* lineup, Turns* turns,
                                  const Endpoint* avoid) noexcept nogil:
    check(turns != NULL or lineup.n <= FEW)
    cdef uint32_t few[FEW]
    cdef uint32_t* skipped = &few[0]
    cdef uint32_t n_skipped = 0, index, avoided = NOBODY, chosen = NOBODY
    cdef bint begun = False
    cdef Cycle c
    if turns != NULL:
        skipped = turns.skipped
    c.cells = bench.cells
    c.group = &bench.cells[backend.slot]
    c.lineup = lineup
    c.turns = turns
    c.out = 0
    open_cycle(&c)
    while True:
        index = take(&c)
        if index == NOBODY:
            if begun:
                break
            begun = True
            begin_next(&c)
            continue
        move_on(&c, index)
        if not is_full(bench, backend, lineup.who[index]):
            if lineup.who[index] != avoid:
                chosen = index
                break
            avoided = index
        skipped[n_skipped] = index
        n_skipped += 1
    if chosen == NOBODY:
        chosen = avoided
    if chosen != NOBODY:
        put(&c, chosen, False)
    while n_skipped:
        n_skipped -= 1
        if skipped[n_skipped] != chosen:
            put(&c, skipped[n_skipped], begun)
    close_cycle(&c)
    if chosen == NOBODY:
        return NULL
    return lineup.who[chosen]
