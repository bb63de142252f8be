# Addresses as text, without the C library's detours.

from libc.stdint cimport uint8_t
from edged._fast.route.edit cimport Peer
from edged._fast.talk.wants cimport Client

cdef uint8_t ip_text(char* out, uint8_t family, const uint8_t* at) noexcept nogil     # RFC 5952; answers its length (0: no family); needs 46 bytes
cdef void address_text(Peer* out, const Client* client) noexcept nogil
