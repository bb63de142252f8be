# A channel that speaks TLS: OpenSSL's state beside the socket, its records in and out, and nothing that costs memory while it
# is silent. All channels share one BIO, which reads and writes for the channel whose turn it is.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.run.core cimport Channel, Core

cdef enum:
    RECORD_MOST = 16384          # plain bytes of one record (RFC 8446 section 5.1)
    PLAIN_BYTES = 65536          # Core.plain
    SEALED_BYTES = 98304         # Core.sealed: what PLAIN_BYTES become, and more

cdef bint tls_open(Core* core) noexcept nogil                                  # False: no memory
cdef void tls_close(Core* core) noexcept nogil
cdef bint tls_attach(Core* core, Channel* c, void* context) noexcept nogil     # False: no memory. What stands in rx becomes its first records
cdef void tls_detach(Core* core, Channel* c) noexcept nogil                    # its state goes; the socket stays
cdef void tls_settle(Core* core, Channel* c) noexcept nogil                    # after a client's handshake; nobody needs its SSL any more
cdef bint tls_pull(Core* core, Channel* c, uint32_t room) noexcept nogil       # as channel_pull, which has looked for the room in rx
cdef bint tls_push(Core* core, Channel* c) noexcept nogil                      # as channel_push
cdef ssize_t tls_open_records(Core* core, Channel* c, char* to, uint32_t room) noexcept nogil   # plain bytes; 0: none now, or the end; -1: broken
cdef ssize_t tls_seal(Core* core, Channel* c, const char* at, uint32_t n) noexcept nogil        # n at most PLAIN_BYTES, into Core.sealed; -1: broken
cdef bint tls_flush(Core* core, Channel* c) noexcept nogil                     # what waits, then Core.sealed; False: broken
cdef void tls_bye(Core* core, Channel* c) noexcept nogil                       # close_notify
