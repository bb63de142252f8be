# A head rewritten by its recipe: what goes on to the endpoint, and what goes back to the client (openshift-routes.md 9,
# http-edge-behaviour.md 4). Names keep the spelling they came with; what we add is in lower case.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.parse.head cimport Head
from edged._fast.route.table cimport Recipe, Table

cdef struct Peer:                # one client connection, as rules and logs want it; text is made once per exchange
    char ip[46]                  # text, not NUL terminated
    uint8_t ip_n                 # 0: a unix socket without PROXY header
    uint8_t v6                   # Forwarded writes for="[...]"
    uint16_t port
    uint16_t local_port          # for X-Forwarded-Port
    uint8_t tls                  # the client's leg was TLS and ended here
    View told                    # ready lines about its certificate (openshift-routes.md 7.8); n == 0: it is not asked for any
    View certificate             # DER; n == 0: it gave none

cdef struct Extra:               # a field of ours, put in the place of all of that name
    View name
    View value

cdef enum:                       # flags of edit_request
    EDIT_TO_CLOSE = 1            # ask the endpoint to close after its answer
    EDIT_UPGRADE = 2             # keep Upgrade and write "connection: upgrade"
    EDIT_DROP_EXPECT = 4         # 100-continue was answered here

cdef enum:                       # flags of edit_response
    EDIT_CLOSE = 1               # write "connection: close"
    EDIT_KEEP_ALIVE = 2          # write "connection: keep-alive" (HTTP/1.0 clients)
    EDIT_SWITCH = 4              # a 101: keep Upgrade, write "connection: upgrade"
    EDIT_NO_FRAMING = 8          # drop Content-Length and Transfer-Encoding (204, 1xx)
    EDIT_DECHUNK = 16            # drop Transfer-Encoding: the body is decoded for HTTP/1.0

# Each writes a whole head to `out` and answers its length, or 0 where `room` is too small. `cookie` is the sticky value to
# set on the response (n == 0: none), `certificate` the client's, as DER. The request's framing fields are written anew from the facts
# of `head`. `extra` may be NULL.
cdef size_t edit_request(char* out, size_t room, const Head* head, const Table* table, const Recipe* recipe,
                         const Peer* peer, uint32_t flags, const Extra* extra) noexcept nogil
cdef size_t edit_response(char* out, size_t room, const Head* head, const Table* table, const Recipe* recipe,
                          View cookie, View certificate, uint32_t flags) noexcept nogil

# Value of the sticky cookie in the request's Cookie fields; n == 0: not there.
cdef View edit_cookie(const Head* head, View name) noexcept nogil
