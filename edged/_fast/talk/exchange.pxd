# One request and its answer, from the parsed head to the last byte; also one TCP connection through us.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.route.table cimport Backend, Endpoint, Recipe, Table
from edged._fast.talk.flow cimport Flow
from edged._fast.talk.notes cimport Notes
from edged._fast.talk.wants cimport Client, Deadline, Port, Shared

cdef enum Phase:
    PHASE_QUEUE = 1              # waits for a place at an endpoint
    PHASE_DIAL = 2               # a connection is being made
    PHASE_PAUSE = 3              # waits before the same endpoint is dialled again
    PHASE_ASK = 4                # the request goes out; no final answer yet
    PHASE_ANSWER = 5             # the answer goes back
    PHASE_TUNNEL = 6             # bytes both ways
    PHASE_END = 7

cdef enum:                       # Exchange.flags
    X_CLIENT_STAYS = 1           # the client's port may carry another exchange after this one
    X_BACK_STAYS = 2             # the server's port may carry another exchange
    X_FRESH = 4                  # dial a new connection, take none from the pool
    X_UPGRADE = 8                # the client asked for another protocol
    X_BY_COOKIE = 16
    X_PRIVATE = 32               # the server's port belongs to this client
    X_REDISPATCHED = 64
    X_COUNTED = 128              # stands in the `served` cells
    X_TCP = 256
    X_REPLAYED = 512
    X_HEARD = 1024               # the endpoint has sent something
    X_IDEMPOTENT = 2048
    X_ANSWER_BEGUN = 4096        # bytes of a final answer have been handed to the client's port
    X_SILENT = 8192              # no access line
    X_CUT = 16384                # the client's port must be closed, as a reset where the answer was cut
    X_FIRST = 32768              # first exchange of its client
    X_HEAD = 65536               # the method is HEAD
    X_JSON = 131072              # the client prefers JSON pages
    X_QUEUED = 262144            # linked in a queue of the engine
    X_TUNNEL = 524288            # counted in the tally's tunnels
    X_DETACHED = 1048576         # has a copy of what it needs instead of a table
    X_AWAITS_100 = 2097152       # the client may wait for a 100 before it sends its body
    X_STAYS = 4194304            # a tunnel that another engine would not take

cdef struct Exchange:
    Deadline deadline
    Exchange* next               # in the engine's queue
    Exchange* prev
    Client* client
    Port* front                  # towards the client
    Port* back                   # towards the endpoint; NULL: none
    void* owner                  # the conversation that began it
    Table* table                 # held for as long as the exchange lives
    const Recipe* recipe
    const Backend* backend       # NULL: no route
    const Endpoint* endpoint
    const Endpoint* bound        # with PHASE_QUEUE: wait for this one only
    Flow asking
    Flow answering
    int64_t began_ms             # first byte of the request
    int64_t began_us             # wall clock of it
    int64_t head_ms              # the moments below: 0 is "not reached"
    int64_t placed_ms
    int64_t connected_ms
    int64_t asked_ms             # the request is out
    int64_t answered_ms          # the final head is there
    int64_t moved_ms             # bytes moved last
    uint64_t moved_mark          # sum of the ports' counters at moved_ms
    uint64_t sent_before         # front.sent when it began
    uint64_t received_before
    uint64_t received_head       # front.received where the head ends
    char* line                   # copies of method, target and host, for the access line
    const char* fault            # why TLS with the endpoint failed, for as long as the process lives; NULL: it did not
    Notes* notes                 # with Shared.plan; NULL: nothing was noted
    View method
    View target
    View host
    int32_t idle_ms              # before the first byte
    uint32_t head_size           # of the request head that still stands in front.rx; 0: it has been taken
    uint32_t seen                # bytes of an incomplete answer's head that have been looked at
    uint32_t flags
    uint32_t ahead_endpoint      # queue positions when it began to wait
    uint32_t ahead_backend
    uint16_t status              # sent to the client; 0: none
    uint16_t retries
    uint8_t phase
    uint8_t verb
    uint8_t minor
    char cause                   # termination letters (http-edge-behaviour.md 10)
    char state
    char cookie_in
    char cookie_out

# All of these answer wants. `exchange_begin` follows a parsed head in Shared.head that stands at the front of front.rx.
cdef Exchange* exchange_open(Shared* s, Client* client, Port* front, void* owner) noexcept nogil     # NULL: no memory
cdef uint32_t exchange_begin(Shared* s, Exchange* x) noexcept nogil
cdef uint32_t exchange_begin_tcp(Shared* s, Exchange* x, const Recipe* recipe) noexcept nogil          # NULL: that of the listener
cdef uint32_t exchange_step(Shared* s, Exchange* x) noexcept nogil
cdef uint32_t exchange_dialled(Shared* s, Exchange* x, Port* back) noexcept nogil     # a channel, connected or connecting
cdef uint32_t exchange_connected(Shared* s, Exchange* x) noexcept nogil
cdef uint32_t exchange_timeout(Shared* s, Exchange* x) noexcept nogil
cdef void exchange_close(Shared* s, Exchange* x) noexcept nogil                       # after WANT_END: gives everything back
