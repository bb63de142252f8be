# Channels to endpoints: one that is idle, or a new one; given back when the exchange is over.

from libc.stdint cimport uint32_t
from edged._fast.run.core cimport Channel, Core
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Client

cdef uint32_t dial(Core* core, Exchange* x) noexcept nogil                     # answers wants
cdef bint dial_secure(Core* core, Exchange* x, Channel* c) noexcept nogil      # begin TLS with an endpoint that has been reached; False: that cannot be done
cdef void dial_let_go(Core* core, Exchange* x, bint keep) noexcept nogil
cdef void dial_local_address(Client* client, int fd) noexcept nogil            # which one the client connected to, unless it is known
