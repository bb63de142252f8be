# A ring of bytes between the engine and the Python thread of its worker: one writer, one reader, no lock. Records are
# length-prefixed and whole; where there is no room the record is dropped and counted, the writer never waits.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct RingPart:            # shared by both threads; head and tail on cache lines of their own
    char* at
    uint64_t mask                # size - 1
    uint64_t dropped
    int bell                     # eventfd
    uint8_t pad0[36]
    uint64_t head                # reader's
    uint8_t asleep               # the reader wants the bell
    uint8_t pad1[55]
    uint64_t tail                # writer's
    uint64_t start               # writer's own: where the reserved record begins
    uint32_t reserved            # writer's own: its room
    uint8_t unrung               # writer's own: something was committed since the bell was last looked after

cdef class Ring:
    cdef RingPart part
    # Room for a record of up to n bytes, or NULL (then it has been counted as dropped). Follow with ring_commit.
    cdef char* reserve(self, uint32_t n) noexcept nogil
    cdef void commit(self, uint32_t n) noexcept nogil                # the n bytes really used, at most those reserved
    cdef void ring_bell(self) noexcept nogil                         # once a turn, only if something was committed and the reader sleeps
    # The reader's side. A cursor starts at part.head; records stay where they are until they are released.
    cdef const char* next_record(self, uint64_t* cursor, uint32_t* n) noexcept nogil     # NULL: no more; moves the cursor on
    cdef void release(self, uint64_t cursor) noexcept nogil          # all before the cursor
    cdef void hush(self) noexcept nogil                              # before reading: the bell is silent and the reader awake
    cdef bint fall_asleep(self) noexcept nogil                       # false: there are records, read on
    cdef void doze(self) noexcept nogil                              # asleep though there are records: the next one rings the bell
    cdef void wake(self) noexcept nogil                              # the reader rings for itself: it has not read all
