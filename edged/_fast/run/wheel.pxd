# Deadlines. Moving one further away costs a store: the wheel looks again when the old moment comes.

from libc.stdint cimport int64_t
from edged._fast.run.core cimport TICK_BITS, Wheel
from edged._fast.talk.wants cimport Deadline

cdef void wheel_open(Wheel* wheel, int64_t now_ms) noexcept nogil
cdef void wheel_link(Wheel* wheel, Deadline* deadline) noexcept nogil        # as wheel_plan, where the wheel has to be touched
cdef void wheel_drop(Wheel* wheel, Deadline* deadline) noexcept nogil
cdef Deadline* wheel_due(Wheel* wheel, int64_t now_ms) noexcept nogil        # one whose moment has come, taken out; NULL: no more
cdef inline void wheel_plan(Wheel* wheel, Deadline* d) noexcept nogil:       # by its due_ms; 0: never
    if d.next == NULL or d.due_ms == 0 or d.planned_ms > d.due_ms + (2 << TICK_BITS):
        wheel_link(wheel, d)

cdef int64_t wheel_wait_ms(const Wheel* wheel, int64_t now_ms, int64_t most_ms) noexcept nogil
