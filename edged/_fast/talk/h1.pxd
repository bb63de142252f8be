# The client's side of an HTTP/1 or TCP connection: PROXY header, ClientHello, heads one after another, keep-alive, and an orderly end.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from edged._fast.base.view cimport View
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Client, Deadline, Listener, Port, Shared

cdef enum FrontState:
    FRONT_PROXY = 0              # waits for a PROXY header
    FRONT_IDLE = 1               # no byte of a request yet
    FRONT_HEAD = 2
    FRONT_EXCHANGE = 3
    FRONT_LINGER = 4             # all is said: our direction is ended, what still comes is thrown away
    FRONT_CLOSED = 5
    FRONT_HELLO = 6              # waits for a ClientHello
    FRONT_HANDSHAKE = 7          # TLS is agreed on below us

cdef enum FrontWant:             # what the functions below answer
    FRONT_WAIT = 0
    FRONT_BEGUN = 1              # Front.exchange has begun; Front.wants are its wants
    FRONT_CLOSE = 2
    FRONT_RESET = 3
    FRONT_SECURE = 4             # TLS begins with what stands in rx; Front.name is asked for

cdef struct Front:
    Deadline deadline
    Client client
    Port* port
    Exchange* exchange
    View name                    # with FRONT_SECURE: the SNI, as it came; n == 0: none
    int64_t began_ms             # first byte of the head that is being read; between exchanges: the end of the last one
    int64_t began_us
    int32_t idle_ms              # before the first byte of that head
    uint32_t seen                # bytes of an incomplete head that have been looked at
    uint32_t wants
    uint8_t state                # a FrontState
    uint8_t complete             # with FRONT_LINGER: the last request was read to its end

cdef Front* front_open(Shared* s, Listener* listener, Port* port) noexcept nogil      # NULL: no memory. Client.peer is the caller's to fill.
cdef Front* front_adopt(Shared* s, Listener* listener, Port* port) noexcept nogil     # the same for a client that another engine accepted
cdef FrontWant front_step(Shared* s, Front* f) noexcept nogil                         # bytes came, or an exchange has ended
cdef FrontWant front_timeout(Shared* s, Front* f) noexcept nogil
cdef FrontWant front_ended(Shared* s, Front* f) noexcept nogil                        # the exchange got WANT_END; it still exists
cdef void front_secured(Shared* s, Front* f) noexcept nogil                           # the handshake is done
cdef FrontWant front_unsecured(Shared* s, Front* f, uint8_t alert) noexcept nogil     # there will be no TLS. alert 0: the client was told
cdef void front_close(Shared* s, Front* f) noexcept nogil
cdef bint front_near(const ProxyAddress* peer, const ProxyAddress* local) noexcept nogil  # is who connected on this node?
cdef bint front_trusts(const Listener* listener, const Client* client) noexcept nogil # is a PROXY header expected from this peer? (untrusted: False)
