"""The way of records from the engine to Python: nobody locks, and the writer never waits.

A record is a length of four bytes and its bytes, padded to eight. It never runs over the end of the ring: where it does not
fit, SKIP stands instead of a length and the record begins at the start. Positions only grow; masked, they are places.
"""

from libc.stdlib cimport free
from libc.string cimport memset

from edged._fast.base.atomic cimport fence, load32, load64, store64
from edged._fast.base.view cimport check, unlikely

cdef extern from * nogil:
    """
    #include <stdlib.h>
    #include <errno.h>
    #include <stdint.h>
    #include <sys/eventfd.h>
    #include <unistd.h>

    static inline int edged_bell_open(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
    static inline void edged_bell_ring(int fd) { uint64_t one = 1; while (write(fd, &one, 8) < 0 && errno == EINTR); }
    static inline void edged_bell_hush(int fd) { uint64_t n; while (read(fd, &n, 8) < 0 && errno == EINTR); }
    #define edged_load8(at) __atomic_load_n((at), __ATOMIC_ACQUIRE)
    #define edged_store8(at, value) __atomic_store_n((at), (value), __ATOMIC_RELEASE)
    """
    int bell_open "edged_bell_open"()
    void bell_ring "edged_bell_ring"(int fd)
    void bell_hush "edged_bell_hush"(int fd)
    uint8_t load8 "edged_load8"(const uint8_t* at)
    void store8 "edged_store8"(uint8_t* at, uint8_t value)
    int posix_memalign(void** out, size_t alignment, size_t bytes)
    int close(int fd)

cdef enum:
    SKIP = 0xffffffff
    SMALLEST = 16384             # a record of a quarter of the ring always finds room in an empty one
    LARGEST = 1 << 30

cdef inline uint64_t whole(uint32_t n) noexcept nogil:
    return (<uint64_t>n + 4 + 7) & ~<uint64_t>7

cdef class Ring:
    """`size` is rounded up to a power of two, at least 16 KiB. The writer is the engine, the reader one Python thread."""

    def __cinit__(self, size_t size):
        memset(&self.part, 0, sizeof(RingPart))
        self.part.bell = -1
        if size > LARGEST:
            raise ValueError(f"a ring has at most {LARGEST} bytes")
        cdef size_t room = SMALLEST
        while room < size:
            room *= 2
        if posix_memalign(<void**>&self.part.at, 64, room):
            raise MemoryError(f"no memory for a ring of {room} bytes")
        self.part.mask = room - 1
        self.part.asleep = 1
        self.part.bell = bell_open()
        if self.part.bell < 0:
            raise OSError("no descriptor for the bell of a ring")

    def __dealloc__(self):
        free(self.part.at)
        if self.part.bell >= 0:
            close(self.part.bell)

    # ---- the writer

    cdef char* reserve(self, uint32_t n) noexcept nogil:
        cdef RingPart* part = &self.part
        cdef uint64_t size = part.mask + 1, needed = whole(n)
        cdef uint64_t to_end = size - (part.tail & part.mask)
        cdef uint64_t skipped = 0 if needed <= to_end else to_end
        if unlikely(part.tail + skipped + needed - load64(&part.head) > size):
            store64(&part.dropped, part.dropped + 1)
            return NULL
        if skipped:
            (<uint32_t*>(part.at + (part.tail & part.mask)))[0] = <uint32_t>SKIP
        part.start = part.tail + skipped
        part.reserved = n
        return part.at + (part.start & part.mask) + 4

    cdef void commit(self, uint32_t n) noexcept nogil:
        cdef RingPart* part = &self.part
        check(n <= part.reserved)
        (<uint32_t*>(part.at + (part.start & part.mask)))[0] = n
        part.reserved = 0
        part.unrung = 1
        store64(&part.tail, part.start + whole(n))

    cdef void ring_bell(self) noexcept nogil:
        if not self.part.unrung:
            return
        self.part.unrung = 0
        fence()                              # our tail is seen before we look whether the reader sleeps; fall_asleep does the reverse
        if load8(&self.part.asleep):
            store8(&self.part.asleep, 0)
            bell_ring(self.part.bell)

    # ---- the reader

    cdef const char* next_record(self, uint64_t* cursor, uint32_t* n) noexcept nogil:
        cdef RingPart* part = &self.part
        cdef uint64_t tail = load64(&part.tail)
        if cursor[0] == tail:
            return NULL
        n[0] = (<uint32_t*>(part.at + (cursor[0] & part.mask)))[0]
        if n[0] == <uint32_t>SKIP:
            cursor[0] += part.mask + 1 - (cursor[0] & part.mask)
            n[0] = (<uint32_t*>part.at)[0]
        cdef const char* record = part.at + (cursor[0] & part.mask) + 4
        cursor[0] += whole(n[0])
        check(cursor[0] <= tail)
        return record

    cdef void release(self, uint64_t cursor) noexcept nogil:
        store64(&self.part.head, cursor)

    cdef void hush(self) noexcept nogil:
        store8(&self.part.asleep, 0)
        bell_hush(self.part.bell)

    cdef bint fall_asleep(self) noexcept nogil:
        store8(&self.part.asleep, 1)
        fence()
        if load64(&self.part.tail) == self.part.head:
            return True
        store8(&self.part.asleep, 0)
        return False

    cdef void doze(self) noexcept nogil:
        store8(&self.part.asleep, 1)

    cdef void wake(self) noexcept nogil:
        bell_ring(self.part.bell)

    # ---- for Python

    @property
    def bell(self):
        """The descriptor that becomes readable when records have come; it belongs to the ring."""
        return self.part.bell

    @property
    def bytes(self):
        """Size of the ring."""
        return self.part.mask + 1

    @property
    def dropped(self):
        """Records for which there was no room."""
        return load64(&self.part.dropped)

    def take(self):
        """All records there are; the bell rings for the next one."""
        cdef list records = []
        cdef uint64_t cursor = self.part.head
        cdef uint32_t n = 0
        cdef const char* record
        self.hush()
        while True:
            record = self.next_record(&cursor, &n)
            if record != NULL:
                records.append(record[:n])
                continue
            self.release(cursor)
            if self.fall_asleep():
                return records
