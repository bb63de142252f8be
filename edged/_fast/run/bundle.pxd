# An established tunnel as bytes and descriptors, so that another engine can go on with it: fixed facts, then texts and pending bytes.
#
# All is native-endian and of this machine: moments are of its monotonic clock, slots are of the shared arena. See unbundle.pxd.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.run.core cimport Channel, Core
from edged._fast.talk.exchange cimport (
    X_ANSWER_BEGUN, X_AWAITS_100, X_BY_COOKIE, X_COUNTED, X_FIRST, X_FRESH, X_HEAD, X_HEARD, X_IDEMPOTENT, X_JSON, X_PRIVATE,
    X_REDISPATCHED, X_REPLAYED, X_SILENT, X_TCP, X_TUNNEL, X_UPGRADE,
)
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport PORT_DEAF, PORT_EOF, PORT_HUNG_UP, PORT_SHUT, PORT_SHUT_ASKED

cdef enum:
    BUNDLE_LAYOUT = 1            # raised with every change of what stands here
    BUNDLE_MOST = 262144         # bytes of one; a tunnel with more in its buffers moves when some of it has gone
    BUNDLE_FDS = 6
    X_GO = (X_AWAITS_100 | X_ANSWER_BEGUN | X_BY_COOKIE | X_COUNTED | X_FIRST | X_FRESH | X_HEAD | X_HEARD | X_IDEMPOTENT | X_JSON
            | X_PRIVATE | X_REDISPATCHED | X_REPLAYED | X_SILENT | X_TCP | X_TUNNEL | X_UPGRADE)
    PORT_GO = PORT_DEAF | PORT_EOF | PORT_HUNG_UP | PORT_SHUT | PORT_SHUT_ASKED

cdef enum:                       # Bundle.parts, in this order behind the fixed facts
    PART_ROUTE = 0
    PART_BACKEND
    PART_ENDPOINT
    PART_LISTENER
    PART_METHOD
    PART_TARGET
    PART_HOST
    PART_SNI
    PART_CLIENT_RX               # pending bytes: read from the client and not sent on yet
    PART_CLIENT_TX               # our own for the client
    PART_ENDPOINT_RX
    PART_ENDPOINT_TX
    PART_NOTES
    PARTS

cdef struct BundlePort:
    uint64_t raw_left
    uint64_t received
    uint64_t sent
    uint32_t in_pipe             # then two descriptors follow: the end to read, the end to write
    uint32_t flags
    uint32_t full_reads

cdef struct BundleFlow:
    uint64_t total
    uint32_t done
    uint32_t raw
    uint32_t broken

cdef struct Bundle:
    uint16_t layout
    uint16_t kind                # of the wire's message
    uint32_t bytes               # of all
    uint64_t number
    int64_t accepted_ms
    int64_t accepted_us
    int64_t front_began_ms
    int64_t front_began_us
    int64_t began_ms
    int64_t began_us
    int64_t head_ms
    int64_t placed_ms
    int64_t connected_ms
    int64_t asked_ms
    int64_t answered_ms
    int64_t moved_ms
    uint64_t moved_mark
    uint64_t sent_before
    uint64_t received_before
    uint64_t received_head
    BundlePort client
    BundlePort endpoint
    BundleFlow asking
    BundleFlow answering
    ProxyAddress peer
    ProxyAddress local
    uint32_t local_known
    uint32_t requests
    uint32_t flags
    uint32_t ahead_endpoint
    uint32_t ahead_backend
    uint32_t backend_slot
    uint32_t endpoint_slot
    uint32_t status
    uint32_t retries
    uint32_t minor
    int32_t handshake_ms
    int32_t front_idle_ms
    int32_t idle_ms
    int32_t tunnel_ms
    int32_t server_fin_ms
    int32_t client_fin_ms
    uint16_t listener_port
    uint16_t endpoint_port
    uint16_t socket_bytes
    uint8_t family
    char cookie_in
    char cookie_out
    uint8_t socket[28]
    uint32_t parts[13]           # bytes of each

# Of a client's channel: its tunnel can be given away, as neither of its sides speaks TLS with us.
cdef bint bundle_fits(const Channel* c) noexcept nogil
# Into `room` (BUNDLE_MOST) and `fds` (BUNDLE_FDS), whose copies stay the tunnel's; answers the bytes, or 0: that is too much now.
cdef uint32_t bundle_pack(Core* core, Front* f, char* room, int* fds, int* n_fds) noexcept nogil
# The tunnel is another engine's now: our copies go, and nobody is told.
cdef void bundle_release(Core* core, Front* f) noexcept nogil
