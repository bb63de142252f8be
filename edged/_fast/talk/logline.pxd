# The plain facts of one exchange, for whoever writes them down.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.talk.notes cimport Notes, Plan

cdef struct LogLine:
    uint8_t tcp                  # HAProxy's TCP format instead of HTTP
    uint8_t tls                  # frontend is written with "~"
    uint8_t minor
    uint8_t redispatched         # "+" before the retry count
    char cause                   # the four termination letters
    char state
    char cookie_in
    char cookie_out
    int32_t status               # -1: none was sent
    uint16_t client_port
    uint16_t frontend_port
    uint16_t retries
    View client_ip               # text
    View frontend                # name of the listener
    View backend                 # n == 0: the frontend's name is shown
    View server                  # n == 0: <NOSRV>
    View method                  # n == 0: <BADREQ>
    View target
    View host                    # JSON only
    View route                   # JSON only
    const char* tls_version      # with `tls`
    const char* tls_cipher
    const char* sni              # NULL: none, or nobody wants to know
    View told                    # of the client's certificate, as endpoints are told; n == 0: it was not asked for any
    int64_t accept_us            # wall clock, microseconds since the epoch
    int32_t tr_ms                # TR: receiving the request; -1: not reached (likewise the others)
    int32_t tw_ms
    int32_t tc_ms
    int32_t response_ms          # Tr
    int32_t ta_ms                # Ta; tcp: Tt
    uint64_t bytes_out           # sent to the client
    uint64_t bytes_in            # JSON only
    uint32_t actconn
    uint32_t feconn
    uint32_t beconn
    uint32_t srvconn
    uint32_t srv_queue
    uint32_t backend_queue
    const Notes* notes           # NULL: nothing was noted of the heads
    const Plan* plan             # what is noted; NULL with `notes`
    # only for formats of one's own:
    const ProxyAddress* client_address
    const ProxyAddress* local_address
    const ProxyAddress* server_address   # NULL: there is none
    int32_t handshake_ms         # Th: of the first exchange of a connection
    int32_t idle_ms              # Ti: from the connection, its handshake, or the answer before, to the first byte
    uint64_t lines               # written before this one
