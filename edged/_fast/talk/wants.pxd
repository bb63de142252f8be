# What conversations and the engine have in common: ports, deadlines, and the words in which a conversation asks for something.
#
# A conversation never calls the system. It reads bytes from `rx` of its ports, writes to `tx`, sets flags, and answers wants; the
# engine carries them out and calls again when something changed. Nothing here assumes that a port is a socket: for HTTP/1 and TCP
# it is one, for HTTP/2 it will be a stream.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.memory.arena cimport ListenerCell, Tally
from edged._fast.memory.buffer cimport Blocks, Buffer, Stock
from edged._fast.parse.head cimport Head, HeadLimits
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.route.balance cimport Bench
from edged._fast.route.edit cimport Peer
from edged._fast.route.table cimport Table
from edged._fast.talk.notes cimport Plan
from edged._fast.talk.spelling cimport Spellings

cdef enum:                       # what a step answers
    WANT_NOTHING = 0
    WANT_DIAL = 1                # a channel to Exchange.endpoint (a fresh one if Exchange.fresh)
    WANT_QUEUE = 2               # a place at Exchange.bound, or at any endpoint of Exchange.backend
    WANT_PARK = 4                # the server port is clean: keep it for others
    WANT_DROP = 8                # close the server port
    WANT_END = 16                # the exchange is over: account for it and tell its front

cdef enum:                       # Port.flags
    PORT_READ = 1                # the conversation wants more bytes in rx
    PORT_SHUT_ASKED = 2          # after what is on its way: end our direction
    PORT_SHUT = 4                # our direction has been ended
    PORT_EOF = 8                 # the peer has ended its direction, and rx holds all that came before
    PORT_BROKEN = 16             # reset or failed: nothing can be sent or received any more
    PORT_CONNECTING = 32
    PORT_HUNG_UP = 256           # the peer has ended its direction; bytes may still wait before that end
    PORT_CUT = 8192              # with PORT_EOF: it ended without the goodbye of TLS, so that something may be missing
    PORT_RAW_LAST = 4096         # with the raw bytes the message ends: what follows them in raw_from is not part of it
    # the engine's own
    PORT_READABLE = 64           # the kernel has, or may have, bytes for us
    PORT_WRITABLE = 128
    PORT_DEAF = 2048             # takes no more bytes; PORT_BROKEN when all that it has said is read
    PORT_REUSED = 512            # a server channel that has carried an exchange before
    PORT_GONE = 1024             # closed; its memory goes at the end of the turn
    PORT_AWAY = 16384            # on its way to another engine: nothing is done with it meanwhile

cdef enum:
    RAW_ENDLESS = 0xffffffffffffffff

cdef struct Port:
    Buffer rx
    Buffer tx
    Port* raw_from               # after tx, this many bytes of raw_from go out here as they are, by copy or by splice
    uint64_t raw_left
    uint64_t received
    uint64_t sent
    uint32_t in_pipe             # bytes of raw_from that wait in the pipe towards us
    uint32_t sealed              # bytes of TLS records that wait for the kernel; what they carry counts as sent
    uint32_t bare                # so many bytes at the head of tx go out before TLS begins: a PROXY header
    uint32_t flags

cdef inline uint32_t port_unsent(const Port* port) noexcept nogil:
    """Bytes of our own, or of TLS, that the kernel has not taken yet."""
    return port.tx.tail - port.tx.head + port.sealed

cdef enum DeadlineKind:
    DEADLINE_FRONT = 0
    DEADLINE_EXCHANGE = 1

cdef struct Deadline:            # first member of its owner; linked by the wheel
    Deadline* next               # NULL: not planned
    Deadline* prev
    int64_t due_ms               # when the owner wants to be called
    int64_t planned_ms           # where the wheel has it: never later than due_ms
    uint8_t kind

cdef struct Times:               # the defaults of [timeouts]
    int32_t client_ms
    int32_t server_ms
    int32_t connect_ms
    int32_t http_request_ms
    int32_t http_keep_alive_ms
    int32_t queue_ms
    int32_t tunnel_ms
    int32_t client_fin_ms
    int32_t server_fin_ms
    int32_t proxy_header_ms
    int32_t tls_handshake_ms

cdef enum Reuse:                 # option http-reuse (http-edge-behaviour.md 5)
    REUSE_NEVER = 0
    REUSE_SAFE = 1
    REUSE_AGGRESSIVE = 2
    REUSE_ALWAYS = 3

cdef enum ListenerMode:
    MODE_HTTP = 0
    MODE_TCP = 1

cdef enum ProxyMode:             # high-availability.md D.1
    ACCEPT_PROXY_OFF = 0
    ACCEPT_PROXY_REQUIRED = 1
    ACCEPT_PROXY_TRUSTED_ONLY = 2

cdef enum Monitor:               # who is answered at the monitor path
    MONITOR_OFF = 0
    MONITOR_LOCAL = 1            # clients on this node
    MONITOR_ALL = 2

cdef struct Network:
    uint8_t family               # 4 or 6
    uint8_t bits
    uint8_t at[16]

cdef struct Listener:
    uint32_t number
    uint16_t port
    uint8_t mode
    uint8_t accept_proxy
    uint8_t tls                  # TLS ends here, but for passthrough routes
    uint8_t strict_sni           # names without a certificate of their own are refused
    uint8_t client_auth          # clients are asked for certificates
    uint8_t monitor              # a Monitor
    void* context                # SSL_CTX
    void* filter                 # of client certificates' subjects; NULL: none
    View name
    Network* trusted
    uint32_t n_trusted
    ListenerCell* cell
    int fd
    uint8_t watched              # in the engine's epoll set
    uint8_t removed
    uint32_t holders             # open connections that came in here
    Listener* next

cdef struct ClientCertificate:   # what is said of it to endpoints; one for each connection with mutual TLS, also without a certificate
    View lines                   # ready lines of a head (openshift-routes.md 7.8)
    View der                     # n == 0: none was given
    uint8_t refused              # its subject is not one that the listener takes

cdef struct Client:              # one client connection, for all exchanges that come over it
    Listener* listener
    Port* own                    # a server channel that belongs to this client alone; the engine closes it with the client
    uint32_t own_slot
    uint32_t requests            # exchanges begun
    int64_t accepted_ms
    int64_t accepted_us          # wall clock
    ProxyAddress peer            # effective: from a PROXY header where there was one
    ProxyAddress local
    uint8_t local_known          # else ask the kernel first
    uint8_t tls                  # was terminated here
    uint8_t monitored            # the monitor path is answered by the engine itself
    int32_t handshake_ms         # from the first byte, or before, to the end of the TLS handshake
    const ClientCertificate* certificate      # NULL: the listener does not ask for one
    const char* tls_version      # "TLSv1.3", for as long as the process lives
    const char* tls_cipher
    char* sni                    # malloc'd, with Shared.sni_wanted: the name that was asked for; NULL: none was

cdef struct Shared:              # what all conversations of one engine have in common
    int64_t now_ms               # monotonic; set once a turn
    int64_t wall_us              # since the epoch, of the same moment
    Table* table                 # in force; NULL before the first
    Bench bench
    HeadLimits limits
    Times times
    Blocks blocks
    Stock exchanges
    Stock fronts
    Head* head                   # of the request parsed last, and whose it is
    void* head_of
    char* hello_room             # HELLO_MOST bytes: pieces of a ClientHello are joined there
    Head* answer
    Peer peer                    # text of one client's address, and whose it is
    void* peer_of
    Tally* tally
    uint64_t max_body_bytes      # 0: no limit
    uint8_t reuse                # a Reuse
    uint8_t abort_on_close
    uint8_t ignore_probes        # no answer to connections that sent nothing
    uint8_t dont_log_null
    uint8_t draining
    uint8_t remember_lines       # access lines are wanted: keep method, target and host of each request
    uint8_t sni_wanted           # ids or lines tell the name that clients asked for in their hello
    uint8_t local_wanted         # ids or lines tell the address that clients connected to
    const Plan* plan             # what is noted of every exchange; NULL: nothing
    const Spellings* spellings   # of names of fields; NULL: they go as they are
    uint8_t no_route_status      # 0: 503; 1: 404, the operator gave a page for it
    int64_t drained_ms           # since when it drains
