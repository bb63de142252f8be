"""The hash functions by which a key finds its endpoint. They decide where a client lands, so they never change."""

from edged._fast.base.view cimport View
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.route.table cimport HASH_CRC32, HASH_DJB2, HASH_NONE, HASH_WT6

cdef uint32_t sdbm(const uint8_t* at, size_t n) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i
    for i in range(n):
        h = at[i] + (h << 6) + (h << 16) - h
    return h

cdef uint32_t djb2(const uint8_t* at, size_t n) noexcept nogil:
    cdef uint32_t h = 5381
    cdef size_t i
    for i in range(n):
        h = h * 33 + at[i]
    return h

cdef inline uint32_t rotated(uint32_t word, uint32_t by) noexcept nogil:
    return word << (by & 31) | word >> (32 - by & 31)

cdef uint32_t wt6(const uint8_t* at, size_t n) noexcept nogil:
    # Two states that change places at each byte; how far they are turned depends on what was read so far.
    cdef uint32_t h0 = 0xa53c965a, h1 = 0x5ca6953a, turn0 = 6, turn1 = 18, other
    cdef size_t i
    for i in range(n):
        other = rotated(~(h1 + at[i]), turn0)
        h1 = rotated(~(h0 ^ at[i]), turn1)
        h0 = other
        other = (h0 >> 16 ^ h1) & 0xffff
        turn0 = other & 31
        turn1 = other >> 11
    return h0 ^ h1

cdef uint32_t crc32(const uint8_t* at, size_t n) noexcept nogil:
    # Bit by bit: keys are short, and a table would cost more in cache misses than it saves.
    cdef uint32_t h = 0xffffffff
    cdef size_t i
    cdef int bit
    for i in range(n):
        h ^= at[i]
        for bit in range(8):
            h = h >> 1 ^ (<uint32_t>0xEDB88320 & -(h & 1))
    return ~h

cdef uint32_t number(const uint8_t* at, size_t n) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i = 0
    cdef bint negative = n > 0 and at[0] == c"-"
    if n and (at[0] == c"-" or at[0] == c"+"):
        i = 1
    while i < n and c"0" <= at[i] <= c"9":
        h = h * 10 + at[i] - c"0"
        i += 1
    return -h if negative else h

cdef uint32_t digest(uint8_t function, View key) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*>key.at
    if function == HASH_DJB2:
        return djb2(at, key.n)
    if function == HASH_WT6:
        return wt6(at, key.n)
    if function == HASH_CRC32:
        return crc32(at, key.n)
    if function == HASH_NONE:
        return number(at, key.n)
    return sdbm(at, key.n)

cdef bint digest_address(const ProxyAddress* source, uint32_t* out) noexcept nogil:
    cdef uint32_t h = 0
    cdef int word, words = 1 if source.family == 4 else 4 if source.family == 6 else 0
    for word in range(words):
        h ^= (<uint32_t>source.at[word * 4] << 24 | <uint32_t>source.at[word * 4 + 1] << 16
              | <uint32_t>source.at[word * 4 + 2] << 8 | source.at[word * 4 + 3])
    out[0] = h
    return words != 0
