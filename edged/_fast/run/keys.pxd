# Keys of TLS 1.3 out of its secrets (RFC 8446 section 7), for records.

from libc.stdint cimport uint8_t
from libc.string cimport memcpy
from edged._fast.run.core cimport Core, Direction, Records

cdef enum:
    SUITES = 3

cdef int keys_suite(const char* name) noexcept nogil                           # its index, by OpenSSL's name; -1: none of ours
cdef const char* keys_cipher(int suite) noexcept nogil                         # OpenSSL's name of its cipher
cdef bint keys_read(const char* text, uint8_t* out) noexcept nogil             # a secret from a line of a key log
cdef bint keys_set(Core* core, const Records* r, Direction* d, bint seals) noexcept nogil
cdef bint keys_turn(Core* core, const Records* r, Direction* d, bint seals) noexcept nogil


cdef inline void keys_nonce(const Direction* d, uint8_t* nonce) noexcept nogil:        # of the next record
    cdef int i
    memcpy(nonce, d.iv, 12)
    for i in range(8):
        nonce[11 - i] ^= <uint8_t>(d.records >> (8 * i))
