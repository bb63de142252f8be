# TLS handshakes, with clients and with endpoints. They cost a thousand times what a request costs, so that they wait in a queue of
# which each turn takes so many: a flood of them does not keep anybody else waiting.

from libc.stdint cimport uint64_t
from edged._fast.base.view cimport View
from edged._fast.run.core cimport Channel, Core
from edged._fast.talk.wants cimport Listener

cdef enum Handshake:
    HANDSHAKE_WAITS = 0          # for its peer
    HANDSHAKE_DONE = 1
    HANDSHAKE_FAILED = 2

cdef enum Refusal:               # of tls_accept
    ACCEPTED = 0
    NO_SUCH_NAME = 112           # the alert to send (RFC 8446 section 6)
    NO_CERTIFICATE = 40
    NO_MEMORY = 80

cdef Refusal handshake_accept(Core* core, Channel* c, const Listener* listener, View name) noexcept nogil
# False: the trust is unknown, or there is no memory. `server_name` n == 0: none; `check_name`: the certificate must be for it.
cdef bint handshake_connect(Core* core, Channel* c, uint64_t trust, View server_name, bint check_name, bint send_name) noexcept nogil
cdef void handshake_queue(Core* core, Channel* c) noexcept nogil               # it may go on
cdef Channel* handshake_next(Core* core) noexcept nogil                        # NULL: none may go on
cdef Handshake handshake_step(Core* core, Channel* c) noexcept nogil
cdef const char* handshake_fault(Channel* c) noexcept nogil                    # after HANDSHAKE_FAILED: why an endpoint was refused; NULL: it was not its certificate
cdef const char* handshake_error(Channel* c) noexcept nogil                    # after HANDSHAKE_FAILED: in OpenSSL's words
cdef void handshake_keep_session(Core* core, Channel* c) noexcept nogil        # for the next connection to the same endpoint
