"""Blocks and stocks: the engine's memory. See buffer.pxd."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memmove, memset

from edged._fast.base.view cimport check, likely

cdef extern from *:
    """
    #ifdef __SANITIZE_ADDRESS__
    #define edged_apart 1
    #else
    #define edged_apart 0
    #endif
    """
    # The sanitizer sees who uses, keeps or loses what he gave back, but only of memory that really goes: so nothing is kept for reuse.
    const bint APART "edged_apart"

cdef enum:
    SLAB_BYTES = 32768


cdef void blocks_open(Blocks* blocks, uint32_t size, uint32_t kept_most) noexcept nogil:
    memset(blocks, 0, sizeof(Blocks))
    blocks.size = size
    blocks.kept_most = 0 if APART else kept_most


cdef void blocks_close(Blocks* blocks) noexcept nogil:
    cdef char* block
    while blocks.free != NULL:
        block = blocks.free
        blocks.free = (<char**>block)[0]
        free(block)
    blocks.kept = 0


cdef bint buffer_hold(Buffer* buffer, Blocks* blocks) noexcept nogil:
    if buffer.at != NULL:
        return True
    if likely(blocks.free != NULL):
        buffer.at = blocks.free
        blocks.free = (<char**>buffer.at)[0]
        blocks.kept -= 1
    else:
        buffer.at = <char*>malloc(blocks.size)
        if buffer.at == NULL:
            return False
    blocks.out += 1
    buffer.head = 0
    buffer.tail = 0
    return True


cdef void buffer_drop(Buffer* buffer, Blocks* blocks) noexcept nogil:
    if buffer.at == NULL:
        return
    check(blocks.out > 0)
    blocks.out -= 1
    if blocks.kept < blocks.kept_most:
        (<char**>buffer.at)[0] = blocks.free
        blocks.free = buffer.at
        blocks.kept += 1
    else:
        free(buffer.at)
    buffer.at = NULL
    buffer.head = 0
    buffer.tail = 0


cdef uint32_t buffer_room(Buffer* buffer, const Blocks* blocks) noexcept nogil:
    check(buffer.head <= buffer.tail and buffer.tail <= blocks.size)
    # Moving is only worth it when little room is left behind: then it happens once for many reads.
    if buffer.head > 0 and blocks.size - buffer.tail < blocks.size // 4:
        memmove(buffer.at, buffer.at + buffer.head, buffer.tail - buffer.head)
        buffer.tail -= buffer.head
        buffer.head = 0
    return blocks.size - buffer.tail


cdef void stock_open(Stock* stock, uint32_t size) noexcept nogil:
    memset(stock, 0, sizeof(Stock))
    stock.size = (size + 15) & ~<uint32_t>15
    stock.each = (SLAB_BYTES - 16) // stock.size
    check(stock.each > 0)


cdef void stock_close(Stock* stock) noexcept nogil:
    cdef void* slab
    while stock.slabs != NULL:
        slab = stock.slabs
        stock.slabs = (<void**>slab)[0]
        free(slab)
    stock.free = NULL


cdef bint grow(Stock* stock) noexcept nogil:
    cdef char* slab = <char*>malloc(SLAB_BYTES)
    cdef char* item
    cdef uint32_t i
    if slab == NULL:
        return False
    (<void**>slab)[0] = stock.slabs
    stock.slabs = slab
    for i in range(stock.each):
        item = slab + 16 + <size_t>(stock.each - 1 - i) * stock.size
        (<void**>item)[0] = stock.free
        stock.free = item
    return True


cdef void* stock_take(Stock* stock) noexcept nogil:
    cdef void* item
    if APART:
        item = calloc(1, stock.size)
        stock.out += item != NULL
        return item
    if stock.free == NULL and not grow(stock):
        return NULL
    item = stock.free
    stock.free = (<void**>item)[0]
    stock.out += 1
    memset(item, 0, stock.size)
    return item


cdef void stock_give(Stock* stock, void* item) noexcept nogil:
    check(stock.out > 0)
    stock.out -= 1
    if APART:
        free(item)
        return
    (<void**>item)[0] = stock.free
    stock.free = item
