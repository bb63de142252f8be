# What the rooms of this floor share: the engine's state, and the channels in it. One thread only.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.memory.buffer cimport Buffer, Stock
from edged._fast.run.keyring cimport Keys
from edged._fast.run.notices cimport Notices
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.format cimport Op
from edged._fast.talk.wants cimport Client, Deadline, Listener, Port, Shared

cdef enum:
    WHEEL_SLOTS = 4096
    TICK_BITS = 3                # a tick is 8 ms
    GATHERED_MOST = 32           # enough that code and caches stay warm; few enough that the first does not wait for long

cdef struct Link:
    Deadline* next
    Deadline* prev

cdef struct Wheel:
    Link slots[4096]
    uint64_t used[64]            # a bit for each slot that is not empty
    int64_t tick                 # all before it are done

cdef enum ChannelKind:
    CHANNEL_CLIENT = 0
    CHANNEL_SERVER = 1

cdef enum TlsState:
    TLS_HANDSHAKE = 0
    TLS_OPEN = 1
    TLS_FAILED = 2

cdef enum:
    SECRET_MOST = 48             # SHA-384

cdef struct Direction:           # of a TLS 1.3 connection
    void* cipher                 # EVP_CIPHER_CTX, with its key
    uint64_t records             # so many under this key
    uint8_t iv[12]
    uint8_t secret[48]           # traffic secret: the next one is made of it

cdef struct Records:             # see records.pxd
    Direction opening            # what the client sends
    Direction sealing
    char* part                   # malloc'd: bytes that were read and not opened yet; NULL: none
    char* rest                   # malloc'd: plain bytes of a record for which there was no room; NULL: none
    uint32_t part_n
    uint32_t rest_at
    uint32_t rest_n
    uint8_t suite                # index in the list of suites
    uint8_t known                # 1: the client's secret, 2: ours
    uint16_t updates             # of the client's keys, without data in between

cdef struct TlsLink:             # what makes a channel a TLS one
    void* ssl                    # NULL: records are opened and sealed by our own hand
    Records* records             # and this is what is needed for it
    uint64_t sealed_before       # records that OpenSSL sealed with the key that it left behind
    Buffer sealed_in             # records, or parts of one, that were read and not opened yet
    char* sealed_out             # malloc'd: records that the kernel has not taken; Port.sealed tells how many bytes are left
    uint32_t sealed_at
    uint32_t burst               # bytes of a body that are sealed at once: less for those who take little
    View ocsp                    # malloc'd: a response to staple; n == 0: none
    Channel* next                # in the queue for a handshake
    uint8_t state                # a TlsState
    uint8_t readable             # the kernel has, or may have, bytes
    uint8_t ended                # the kernel has told the end
    uint8_t queued
    uint8_t alpn                 # a protocol may be agreed on
    uint8_t said_bye
    uint8_t kept                 # its session has been put away for the next connection

cdef struct Session:             # of the last TLS connection to an endpoint, for the next one
    void* session
    uint64_t address_hash

cdef struct Channel:             # an open byte stream. The port comes first: a Port* of this engine is a Channel*
    Port port
    void* owner                  # client: its Front; server: its Exchange, NULL while it is parked
    Channel* next                # all channels; after the close: the grave
    Channel* prev
    Channel* shelf_next          # server, parked: in its shelf; client, not watched yet: in that list
    Channel* shelf_prev
    Client* kept_by              # idle, and the client it belongs to
    TlsLink* tls                 # NULL: plain
    Channel* again               # the next one that has work left from this turn, or a large move to make
    uint64_t address_hash        # server: where it leads
    uint32_t slot                # server: of its endpoint
    int fd
    int pipe_in                  # towards us; -1: none
    int pipe_out
    uint8_t kind                 # a ChannelKind
    uint8_t in_again             # in one of these two lists
    uint8_t watched              # in epoll
    uint8_t unwatched            # 1 + the list of those that are not; 0: in none. 255: watched, and its descriptor may have copies elsewhere
    uint8_t spliced              # server: the answer of this exchange goes through a pipe
    uint8_t large                # server: so did the one before
    uint8_t spoiled              # bytes that belong to nobody are in the pipe towards us
    uint8_t full_reads           # reads in a row that filled the buffer: worth a pipe

cdef struct Shelf:               # parked channels of one endpoint, the one used last first
    Channel* first
    Channel* last
    uint32_t n
    uint32_t least               # fewest since the last purge: so many were not needed
    uint32_t next_listed         # slot + 1 in the list of shelves in use
    uint8_t listed

cdef struct Waiters:             # exchanges that wait for a place at an endpoint, or at any of a backend (by the backend's slot)
    Exchange* first
    Exchange* last
    uint32_t n
    uint32_t next_listed
    uint8_t listed

cdef struct Wire:                # to another engine, for tunnels (see handoff.pxd)
    Wire* next
    uint64_t number              # of the last tunnel that was sent, or came
    int fd
    uint8_t takes                # else it gives
    uint8_t agreed               # the other side knows the layout, and so do we
    uint8_t same_arena           # slots mean the same to both

cdef struct Handoff:
    Wire* giving                 # the first is in use, those behind it are tried when it breaks
    Wire* taking                 # all of them
    void* sent[128]              # Fronts on their way, the one sent first at `first`
    uint32_t first
    uint32_t n
    uint8_t more                 # the last look came to an end before all were sent
    int64_t look_ms              # for tunnels that can be given now
    int64_t heard_ms             # when the wire said something, or was told something after all was heard
    char* room                   # for one message
    uint64_t arena[2]            # device and inode
    uint64_t given               # and taken by the other side
    uint64_t taken

cdef struct Core:
    Shared s
    Wheel wheel
    Stock channels
    Channel* all                 # open channels
    Channel* grave               # closed in this turn
    Channel* unwatched[2]        # not in epoll: short exchanges on new connections end without it. By turns, a list for each span of time
    int64_t watch_ms             # when those of the span before, which are still busy, are entered
    uint8_t unwatched_now        # the list of this span
    Channel* gathered[32]        # clients whose exchanges have something to send: first all is read, then all is sent
    uint32_t n_gathered
    uint8_t gathers              # what could be sent now is gathered
    Channel* again_first
    Channel* again_last
    Channel* bulk_first          # have a large move to make (splice, or sealing) once all smaller work is done
    Channel* bulk_last
    Channel* bulk                # whose turn that is now; NULL: nobody's, or the move was made
    int64_t bulk_left            # bytes to move until epoll is asked for smaller work
    uint32_t bulk_taken          # bytes that the turn before took for the first of them
    Shelf* shelves               # by slot
    Waiters* waiters             # by slot
    uint32_t slots
    uint32_t shelves_listed      # first slot + 1
    uint32_t shelves_purged      # likewise: those that the purge under way has done with
    uint32_t waiters_listed
    uint32_t waiting             # exchanges in queues
    uint8_t place_freed          # look at them before this turn ends
    int64_t purge_ms             # next purge of the pool
    int64_t poll_ms              # next look at the queues on behalf of other workers
    int pipes[64][2]             # spare pipes
    uint32_t n_pipes
    int ep
    uint32_t pool_most           # idle channels kept for one endpoint
    uint32_t pooled_most         # and for all of them
    uint8_t splice               # allowed
    int64_t splice_ms            # not before: there was no descriptor for a pipe
    uint8_t log_format
    const Op* format             # of HTTP lines, in place of log_format; NULL: none
    uint32_t format_n
    uint64_t lines               # written in that format
    uint8_t accept_paused
    uint8_t no_descriptors       # accept or connect ran out of them
    int64_t resume_ms            # accept again
    uint32_t max_connections
    Listener* listeners
    Notices notices
    uint8_t noticed              # there are new ones: ring the bell when the turn ends
    # TLS
    const Keys* keys             # NULL: none yet
    Stock links
    Stock records
    void* aeads[3]               # EVP_CIPHER of each suite of records.pyx
    char* opening                # room for records that were read
    Session* sessions            # by slot
    void* bio                    # all TLS channels read and write through it: it serves `speaking`
    void* bio_method
    Channel* speaking
    char* plain                  # room for what is about to be sealed
    char* sealed                 # room for records on their way to the kernel
    uint32_t sealed_n
    Channel* handshakes_first    # those that may go on
    Channel* handshakes_last
    Handoff handoff              # large, and touched at a reload alone
    # a drain
    uint8_t cutting              # CUT_* of drain.pxd: whose time is over
    int64_t cut_ms               # next look for them
    uint64_t cut_off             # exchanges and tunnels that were cut because of it
