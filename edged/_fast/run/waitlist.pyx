"""Queues of exchanges. See waitlist.pxd."""

from libc.stdint cimport uint32_t

from edged._fast.base.view cimport check
from edged._fast.run.core cimport Waiters
from edged._fast.talk.exchange cimport X_QUEUED


cdef inline uint32_t slot_of(const Exchange* x) noexcept nogil:
    return x.bound.slot if x.bound != NULL else x.backend.slot


cdef void waitlist_add(Core* core, Exchange* x) noexcept nogil:
    cdef uint32_t slot = slot_of(x)
    cdef Waiters* queue = &core.waiters[slot]
    check(not x.flags & X_QUEUED)
    x.next = NULL
    x.prev = queue.last
    if queue.last != NULL:
        queue.last.next = x
    else:
        queue.first = x
    queue.last = x
    queue.n += 1
    x.flags |= X_QUEUED
    core.waiting += 1
    core.s.bench.cells[slot].queued += 1
    if not queue.listed:
        queue.listed = True
        queue.next_listed = core.waiters_listed
        core.waiters_listed = slot + 1


cdef void waitlist_remove(Core* core, Exchange* x) noexcept nogil:
    cdef uint32_t slot
    cdef Waiters* queue
    if not x.flags & X_QUEUED:                   # it may have no backend: nobody claims its host
        return
    slot = slot_of(x)
    queue = &core.waiters[slot]
    if x.prev != NULL:
        x.prev.next = x.next
    else:
        queue.first = x.next
    if x.next != NULL:
        x.next.prev = x.prev
    else:
        queue.last = x.prev
    x.next = NULL
    x.prev = NULL
    check(queue.n > 0 and core.waiting > 0)
    queue.n -= 1
    x.flags &= ~<uint32_t>X_QUEUED
    core.waiting -= 1
    core.s.bench.cells[slot].queued -= 1
