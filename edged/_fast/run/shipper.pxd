# Lines from a ring to where they are kept: a descriptor, a file, or syslog. Called by the Python thread of a worker.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from edged._fast.memory.ring cimport Ring
from edged._fast.run.syslog cimport SYSLOG_HEADER_MOST, Syslog

cdef enum:
    BATCH_BYTES = 65536          # written at once to a file
    BATCH_LINES = 512
    LINE_MOST = 8192             # with its header; what is longer is cut
    DATAGRAMS = 64               # sent at once

cdef enum Outcome:
    EMPTY = 0                    # all that was there has gone
    AGAIN                        # a fair share has gone, there is more
    FULL                         # the target takes no more at this moment
    DEAD                         # it failed: `error` says how

cdef class Shipper:
    cdef Ring ring               # held: its records are borrowed
    cdef readonly str target
    cdef readonly str trouble    # why lines are being lost at the moment; "" while all is well
    cdef object path             # of a file or unix socket, or None
    cdef object remote           # (host, port) of a syslog server, or None
    cdef object found            # its socket addresses; None until they are looked up
    cdef object finder           # the thread that looks them up, or None
    cdef uint8_t syslog          # every line gets a header
    cdef uint8_t datagrams
    cdef uint8_t is_socket
    cdef uint8_t ask_first       # the descriptor may block: poll before each write, and write little
    cdef int fd                  # -1: closed
    cdef bint own_fd
    cdef uint32_t batch_bytes
    cdef uint32_t max_length
    cdef int error
    cdef double refused_since_s  # 0: the target takes lines
    cdef double next_try_s       # not opened again before
    cdef double pause_s
    cdef uint64_t written_lines
    cdef uint64_t dropped_lines
    cdef Syslog head
    cdef char rest[LINE_MOST]    # the end of a line that was torn: it goes first
    cdef uint32_t rest_n
    cdef char batch[BATCH_BYTES]
    cdef uint32_t ends[BATCH_LINES]          # where each line of the batch ends
    cdef uint64_t cursors[BATCH_LINES]       # where the ring goes on after it

    cdef int set_head(self, str facility, str severity, str tag, str rfc, hostname) except -1
    cdef Outcome send_all(self, double now_s)
    cdef bint lose_patience(self, double now_s)
    cdef void lose_target(self, double now_s)
    cdef void put_off(self, double now_s)
    cdef int connect_to(self, family, kind, address) except -1
    cdef Outcome drain(self) noexcept nogil
    cdef Outcome send_rest(self) noexcept nogil
    cdef Outcome send_lines(self) noexcept nogil
    cdef uint32_t gather(self) noexcept nogil
    cdef void account(self, uint32_t lines, size_t sent) noexcept nogil
    cdef Outcome send_datagrams(self) noexcept nogil
    cdef Outcome after_error(self) noexcept nogil
    cdef void drop_waiting(self) noexcept nogil
    cdef bint open_target(self, double now_s)
    cdef int connect(self) except -1
    cdef int open_file(self) except -1
    cdef void settle_kind(self)
    cdef void find_remote(self)
    cdef void shut(self) noexcept
