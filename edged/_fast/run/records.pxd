# Records of TLS 1.3 (RFC 8446 section 5) by our own hand, once OpenSSL has shaken hands with a client: it is let go of then, and an
# idle connection keeps little more than its keys. Ciphers are OpenSSL's. Older versions of TLS, and endpoints, stay with OpenSSL.

from libc.stdint cimport uint8_t, uint32_t
from edged._fast.run.core cimport Channel, Core, Records

cdef void records_listen(void* context) noexcept nogil                         # so that secrets are heard in handshakes of this SSL_CTX
cdef bint records_take_over(Core* core, Channel* c) noexcept nogil             # after the handshake; False: OpenSSL goes on
cdef ssize_t records_open(Core* core, Channel* c, char* to, uint32_t room) noexcept nogil       # plain bytes; 0: none now, or the end; -1: broken
cdef ssize_t records_seal(Core* core, Channel* c, const char* at, uint32_t n) noexcept nogil    # into Core.sealed; less than n where there is no room; -1: broken
cdef void records_bye(Core* core, Channel* c) noexcept nogil                   # close_notify, into Core.sealed
cdef void records_free(Core* core, Records* r) noexcept nogil
cdef bint records_prepare(Core* core) noexcept nogil                           # ciphers are fetched once; False: no memory
cdef void records_close(Core* core) noexcept nogil
cdef uint32_t records_counted(const char* at, uint32_t n) noexcept nogil       # records of type application_data in a run of whole records
