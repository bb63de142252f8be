# HAProxy's hash functions (http-edge-behaviour.md 12.4), 32 bits each.

from libc.stdint cimport uint8_t, uint32_t
from edged._fast.base.view cimport View
from edged._fast.parse.proxyline cimport ProxyAddress

cdef uint32_t digest(uint8_t function, View key) noexcept nogil      # `function` is a HashFunction; not avalanched
cdef bint digest_address(const ProxyAddress* source, uint32_t* out) noexcept nogil    # false: there is no address

cdef inline uint32_t avalanche(uint32_t a) noexcept nogil:           # each bit of `a` moves about half of those of the result
    a = (a + <uint32_t>0x7ed55d16) + (a << 12)
    a = (a ^ <uint32_t>0xc761c23c) ^ (a >> 19)
    a = (a + <uint32_t>0x165667b1) + (a << 5)
    a = (a + <uint32_t>0xd3a2646c) ^ (a << 9)
    a = (a + <uint32_t>0xfd7046c5) + (a << 3)
    a = (a ^ <uint32_t>0xb55a4f09) ^ (a >> 16)
    return a * <uint32_t>3221225473
