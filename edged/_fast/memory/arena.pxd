# The arena: one shared memory file made by the supervisor; it outlives workers and reloads. Control owns the standing of
# endpoints; each worker counts in a stripe of its own, so that a cell has a single writer and needs no lock.
#
#   header page | standings (one per slot) | stripe 0: tally, listener cells, one Cell per slot | stripe 1 | ...

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    ARENA_LAYOUT = 1             # raised with every change of a struct below
    LISTENERS_MOST = 256
    STRIPES_MOST = 64

cdef enum StandingWord:
    STANDING_UP = 0              # also: nobody checks it
    STANDING_DOWN = 1
    STANDING_DRAINING = 2        # only for requests whose cookie names it
    STANDING_MAINTENANCE = 3

cdef struct Standing:            # 32 bytes; written by control, read by all
    uint64_t key                 # hash of backend and endpoint name; 0: the slot is free
    uint32_t version             # rises with each change of the fields below
    uint16_t weight              # user weight 0..256 in force
    uint8_t standing             # a StandingWord
    uint8_t percent              # slow start: share of weight and maxconn; 100: all
    uint32_t maxconn             # over all workers; 0: no limit
    uint32_t reserved[3]

cdef struct Cell:                # 192 bytes; how one worker sees one endpoint (or, by its own slot, one backend as a whole)
    int64_t served               # gauge: exchanges or tunnels running now
    int64_t queued               # gauge: waiting for this one
    uint64_t sessions            # exchanges and tunnels given to it
    uint64_t connects            # new connections to it
    uint64_t reused              # exchanges over a kept connection
    uint64_t bytes_in            # from clients
    uint64_t bytes_out           # to clients
    uint64_t answers[6]          # 1xx..5xx, other
    uint64_t connect_errors
    uint64_t response_errors
    uint64_t retries
    uint64_t redispatches
    uint64_t client_aborts
    uint32_t npos                # balance: see http-edge-behaviour.md 12.1
    uint32_t rw
    uint64_t turn                # balance: scratch of leastconn's rotation and others
    uint64_t reserved[4]

cdef struct ListenerCell:        # 64 bytes
    int64_t current              # gauge: open client connections
    uint64_t accepted
    uint64_t requests
    uint64_t bytes_in
    uint64_t bytes_out
    uint64_t bad_requests
    uint64_t denied
    uint64_t proxy_refused

cdef struct Tally:               # of one worker as a whole; 64-bit words only
    int64_t connections          # gauge
    int64_t exchanges            # gauge
    int64_t tunnels              # gauge
    int64_t pooled               # gauge: idle connections to endpoints
    int64_t buffers              # gauge: blocks handed out
    uint64_t accepted
    uint64_t requests
    uint64_t bytes_in
    uint64_t bytes_out
    uint64_t spliced             # bytes that went through a pipe
    uint64_t log_dropped
    uint64_t accept_paused       # times the engine had no descriptor left
    uint64_t answered_here       # error pages and redirects
    uint64_t table_version
    uint64_t turns               # of the loop; rises while the engine lives
    uint64_t tls_handshakes      # of clients, that came to a good end
    uint64_t tls_resumed         # of these
    uint64_t tls_failed
    uint64_t tls_absent          # clients of a TLS port that spoke something else
    uint64_t tls_endpoint_handshakes
    uint64_t tls_endpoint_resumed
    uint64_t tls_endpoint_failed
    uint64_t reserved[2]

cdef struct ArenaHeader:
    uint64_t shape               # tag, layout, stripes and slots in one word, so that formatting is one compare-and-swap
    uint32_t stripes_in_use
    uint32_t slots_high          # highest slot ever claimed, plus one: no scan goes further, pages behind it stay untouched
    uint64_t pad[6]
    uint64_t epoch               # rises with each change of any standing; on a cache line of its own

cdef class Arena:
    cdef char* at                # the mapping; unmapped in __dealloc__
    cdef int fd                  # ours; closed in __dealloc__
    cdef ArenaHeader* header
    cdef readonly size_t bytes
    cdef readonly uint32_t slots
    cdef readonly uint32_t stripes
    cdef Standing* standings     # slots of them; slot 0 is never claimed
    cdef size_t stripe_bytes
    cdef char* first_stripe
    cdef dict slot_of            # key -> slot, for the one process that claims slots (control); None until the first claim
    cdef object free             # a deque of slots to claim again, the one freed longest ago first
    cdef Tally* tally(self, uint32_t stripe) noexcept nogil
    cdef ListenerCell* listener(self, uint32_t stripe, uint32_t number) noexcept nogil
    cdef Cell* cells(self, uint32_t stripe) noexcept nogil           # slots of them
    cdef uint32_t stripes_in_use(self) noexcept nogil                # highest stripe ever opened by a worker, plus one
    cdef int need_stripe(self, uint32_t stripe) except -1            # IndexError if there is none such
    cdef int need_slot(self, uint32_t slot) except -1
    cdef int recover_slots(self) except -1
    cdef void reset_cells(self, Cell* cells, size_t at, size_t until) noexcept nogil
    cdef void forget_counts(self, uint32_t slot) noexcept nogil
    cdef void tell_change(self, Standing* s) noexcept nogil
