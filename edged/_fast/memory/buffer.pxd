# Memory of the engine: blocks that hold bytes on their way, and stocks of equal small objects. Both belong to one engine and
# are touched by its thread only. An idle connection holds no block.

from libc.stdint cimport int64_t, uint32_t, uint64_t
from edged._fast.base.view cimport View

cdef struct Blocks:              # equal blocks, a bounded number of free ones kept
    char* free                   # linked through their first word
    uint32_t size                # bytes of a block
    uint32_t kept                # free ones
    uint32_t kept_most
    int64_t out                  # handed out now

cdef struct Buffer:              # the unread bytes are at[head:tail]
    char* at                     # NULL: no block is held
    uint32_t head
    uint32_t tail

cdef void blocks_open(Blocks* blocks, uint32_t size, uint32_t kept_most) noexcept nogil
cdef void blocks_close(Blocks* blocks) noexcept nogil
cdef bint buffer_hold(Buffer* buffer, Blocks* blocks) noexcept nogil      # has a block afterwards; False: no memory left
cdef void buffer_drop(Buffer* buffer, Blocks* blocks) noexcept nogil      # gives the block back, whatever is in it

cdef inline uint32_t buffer_n(const Buffer* buffer) noexcept nogil:
    return buffer.tail - buffer.head

cdef inline View buffer_view(const Buffer* buffer) noexcept nogil:
    cdef View v
    v.at = buffer.at + buffer.head
    v.n = buffer.tail - buffer.head
    return v

cdef inline void buffer_take(Buffer* buffer, uint32_t n) noexcept nogil:  # n unread bytes are done with
    buffer.head += n
    if buffer.head == buffer.tail:
        buffer.head = 0
        buffer.tail = 0

cdef uint32_t buffer_room(Buffer* buffer, const Blocks* blocks) noexcept nogil    # bytes that fit behind tail; moves the rest to the front if that helps

cdef struct Stock:               # equal small objects, zeroed when handed out; slabs are kept until stock_close
    void* free
    void* slabs
    uint32_t size
    uint32_t each                # objects in a slab
    int64_t out

cdef void stock_open(Stock* stock, uint32_t size) noexcept nogil
cdef void stock_close(Stock* stock) noexcept nogil
cdef void* stock_take(Stock* stock) noexcept nogil                        # NULL: no memory left
cdef void stock_give(Stock* stock, void* item) noexcept nogil
