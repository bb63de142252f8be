"""Idle channels to endpoints. See pool.pxd."""

from edged._fast.base.view cimport check
from edged._fast.run.channel cimport channel_close
from edged._fast.run.core cimport Shelf

cdef enum:
    PURGE_MOST = 64              # closed in one turn; the traffic goes on meanwhile


cdef void pool_remove(Core* core, Channel* c) noexcept nogil:
    cdef Shelf* shelf = &core.shelves[c.slot]
    if c.shelf_prev != NULL:
        c.shelf_prev.shelf_next = c.shelf_next
    else:
        shelf.first = c.shelf_next
    if c.shelf_next != NULL:
        c.shelf_next.shelf_prev = c.shelf_prev
    else:
        shelf.last = c.shelf_prev
    c.shelf_next = NULL
    c.shelf_prev = NULL
    check(shelf.n > 0)
    shelf.n -= 1
    core.s.tally.pooled -= 1
    if shelf.n < shelf.least:
        shelf.least = shelf.n


cdef void pool_discard(Core* core, Channel* c) noexcept nogil:
    pool_remove(core, c)
    channel_close(core, c)


cdef void pool_put(Core* core, Channel* c) noexcept nogil:
    cdef Shelf* shelf = &core.shelves[c.slot]
    check(c.owner == NULL)
    if shelf.n >= core.pool_most:
        if shelf.last == NULL:                   # none may be kept
            channel_close(core, c)
            return
        pool_discard(core, shelf.last)
    elif core.s.tally.pooled >= core.pooled_most and pool_oldest(core) != NULL:
        pool_discard(core, pool_oldest(core))
    c.shelf_prev = NULL
    c.shelf_next = shelf.first
    if shelf.first != NULL:
        shelf.first.shelf_prev = c
    else:
        shelf.last = c
    shelf.first = c
    shelf.n += 1
    core.s.tally.pooled += 1
    if not shelf.listed:
        shelf.listed = True
        shelf.least = 0
        shelf.next_listed = core.shelves_listed
        core.shelves_listed = c.slot + 1


cdef Channel* pool_take(Core* core, uint32_t slot, uint64_t address_hash) noexcept nogil:
    cdef Channel* c = core.shelves[slot].first
    # The slot may have been given to another endpoint since: what leads elsewhere is of no use any more.
    while c != NULL and c.address_hash != address_hash:
        pool_discard(core, c)
        c = core.shelves[slot].first
    if c != NULL:
        pool_remove(core, c)
    return c


cdef Channel* last_of(Core* core, uint32_t listed) noexcept nogil:
    while listed:
        if core.shelves[listed - 1].last != NULL:
            return core.shelves[listed - 1].last
        listed = core.shelves[listed - 1].next_listed
    return NULL


cdef Channel* pool_oldest(Core* core) noexcept nogil:
    cdef Channel* c = last_of(core, core.shelves_listed)
    return c if c != NULL else last_of(core, core.shelves_purged)


cdef bint pool_purge(Core* core) noexcept nogil:
    cdef uint32_t at, spare, closed = 0
    cdef Shelf* shelf
    while core.shelves_listed:
        at = core.shelves_listed
        shelf = &core.shelves[at - 1]
        spare = (shelf.least + 1) // 2
        while spare and shelf.last != NULL:
            if closed == PURGE_MOST:
                shelf.least = 2 * spare - 1      # so many are still to go
                return True
            pool_discard(core, shelf.last)
            spare -= 1
            closed += 1
        core.shelves_listed = shelf.next_listed
        shelf.least = shelf.n
        if shelf.n:
            shelf.next_listed = core.shelves_purged
            core.shelves_purged = at
        else:
            shelf.listed = False
    core.shelves_listed = core.shelves_purged
    core.shelves_purged = 0
    return False
