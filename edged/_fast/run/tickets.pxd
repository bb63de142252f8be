# Keys that seal and open session tickets: one list for the process, so that every engine and context of it agrees.

from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    TICKET_NAME = 16
    TICKET_SECRET = 32
    TICKET_KEYS_MOST = 8

cdef struct TicketKey:
    uint8_t name[16]             # in the clear at a ticket's front
    uint8_t aes[32]              # AES-256-CBC
    uint8_t hmac[32]             # HMAC-SHA256

cdef struct TicketKeys:
    TicketKey keys[8]            # the first seals
    uint32_t n
    TicketKeys* older            # replaced, and perhaps still looked at

# For SSL_CTX_set_tlsext_ticket_key_evp_cb. Sealing: 1, or 0 where there is no key and so no ticket. Opening: 0 unknown, 1 good, 2 good
# and to be followed by a new ticket. -1: OpenSSL failed.
cdef int ticket_callback(
    void* ssl, unsigned char* name, unsigned char* iv, void* cipher, void* mac, int encrypt
) noexcept nogil
