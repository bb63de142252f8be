"""Access lines leave the worker.

Nothing here waits: the ring is the only queue, and a target that does not keep up loses lines, counted. A short refusal
(a full pipe, a busy syslog daemon) is borne for PATIENCE_S while lines wait in the ring; then, and at once where a target
is dead, what waits is dropped. A line that a target has taken in part is completed before anything else, so that lines
never tear; on a pipe that others share, whole lines go in pieces of at most PIPE_BUF, which the kernel keeps in one piece.
"""

import errno as errnos
import os
import socket
import stat
import threading
import time

from libc.errno cimport EAGAIN, EINTR, EMSGSIZE, ENOBUFS
from libc.string cimport memcpy, memmove, memset

from edged._fast.run.syslog cimport syslog_header, syslog_priority

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <limits.h>
    #include <poll.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <time.h>
    #include <unistd.h>

    typedef struct { struct mmsghdr messages[64]; struct iovec parts[64][2]; uint64_t cursors[64]; } edged_datagrams;

    static inline void edged_datagram_set(edged_datagrams *d, int i, const char *head, size_t head_n, const char *line, size_t n) {
        d->parts[i][0].iov_base = (void *)head;
        d->parts[i][0].iov_len = head_n;
        d->parts[i][1].iov_base = (void *)line;
        d->parts[i][1].iov_len = n;
        memset(&d->messages[i], 0, sizeof d->messages[i]);
        d->messages[i].msg_hdr.msg_iov = d->parts[i];
        d->messages[i].msg_hdr.msg_iovlen = 2;
    }
    static inline int edged_datagrams_send(int fd, edged_datagrams *d, int first, int n) {
        return sendmmsg(fd, d->messages + first, (unsigned)(n - first), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    static inline ssize_t edged_send(int fd, const char *at, size_t n) { return send(fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL); }
    static inline int edged_would_take(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        return poll(&p, 1, 0) > 0;
    }
    static inline void edged_set_errno(int error) { errno = error; }
    static inline int64_t edged_now_us(void) {
        struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    """
    ctypedef struct Datagrams "edged_datagrams":
        uint64_t cursors[64]
    int errno
    enum: PIPE_BUF
    void datagram_set "edged_datagram_set"(Datagrams* d, int i, const char* head, size_t head_n, const char* line, size_t n)
    int datagrams_send "edged_datagrams_send"(int fd, Datagrams* d, int first, int n)
    ssize_t socket_send "edged_send"(int fd, const char* at, size_t n)
    ssize_t file_write "write"(int fd, const char* at, size_t n)
    bint would_take "edged_would_take"(int fd)
    void set_errno "edged_set_errno"(int error)
    int64_t now_us "edged_now_us"()

PATIENCE_S = 1.0
RETRY_S = 0.02
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0

cdef enum:                       # so that a flood does not keep the caller for ever
    ROUNDS = 64                  # batches without a look at Python
    TURNS = 4                    # times that more has come meanwhile

cdef class Shipper:
    """Takes the lines of `ring` to `target`: "stderr", "file:/path", "syslog:host:port" or "syslog:/path/of/a/socket".

    Syslog messages are made by RFC 3164 or 5424 (`rfc`) and cut at `max_length` bytes; `hostname` None means this machine's
    over the network and none towards a local socket, where daemons do not expect it. Raises ValueError for a target that
    cannot be read and OSError for a file that cannot be opened; a syslog server may be away at first."""

    def __cinit__(self, Ring ring not None, str target not None, *, str facility="local1", str severity="info", str tag="edged",
                  str rfc="3164", uint32_t max_length=1024, hostname=None, int fd=2):
        self.ring = ring
        self.target = target
        self.trouble = ""
        self.fd = -1
        self.pause_s = FIRST_PAUSE_S
        self.max_length = max_length
        kind, _, where = target.partition(":")
        if target == "stderr":
            self.fd = fd
            self.settle_kind()
        elif kind == "file" and where.startswith("/"):
            self.path = where
            self.open_file()
        elif kind == "syslog" and where.startswith("/"):
            self.path = where
            self.syslog = True
        elif kind == "syslog" and where:
            host, _, port = where.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"a syslog server is host:port, not {where!r}")
            self.remote = (host.strip("[]"), int(port))
            self.syslog = True
        else:
            raise ValueError(f"log lines cannot go to {target!r}")
        if self.syslog:
            self.set_head(facility, severity, tag, rfc, hostname)
            self.find_remote()

    def __dealloc__(self):
        self.shut()

    cdef int set_head(self, str facility, str severity, str tag, str rfc, hostname) except -1:
        if rfc not in ("3164", "5424"):
            raise ValueError(f"syslog messages follow RFC 3164 or 5424, not {rfc}")
        if hostname is None:
            hostname = socket.gethostname() if self.remote else ""
        cdef bytes host = clean(hostname)[:255], name = clean(tag)[:48]
        self.head.rfc5424 = rfc == "5424"
        self.head.priority = syslog_priority(facility, severity)
        self.head.pid = os.getpid()
        memset(self.head.host, 0, sizeof(self.head.host))
        memset(self.head.tag, 0, sizeof(self.head.tag))
        memcpy(self.head.host, <const char*>host, len(host))
        memcpy(self.head.tag, <const char*>name, len(name))
        return 0

    @property
    def written(self):
        """Lines that the target took."""
        return self.written_lines

    @property
    def dropped(self):
        """Lines that were lost, here or because the ring was full."""
        return self.dropped_lines + self.ring.dropped

    def ship(self):
        """Send what waits. Answers the seconds after which to call again though the bell be silent, or None. Never waits for the
        target and never raises for it; see `trouble`."""
        cdef Outcome outcome
        cdef double now_s = time.monotonic()
        cdef int i
        self.ring.hush()
        for i in range(TURNS):
            outcome = self.send_all(now_s)
            if outcome == FULL:
                self.ring.doze()
                return RETRY_S
            if outcome == AGAIN:
                break
            if self.ring.fall_asleep():
                return None
        self.ring.wake()
        return 0.0

    cdef Outcome send_all(self, double now_s):
        """EMPTY, also where all has been dropped; AGAIN, or FULL where what waits may still go."""
        cdef Outcome outcome
        cdef uint64_t written = self.written_lines
        if self.fd < 0 and not self.open_target(now_s):
            self.drop_waiting()
            return EMPTY
        with nogil:
            outcome = self.drain()
        if self.written_lines != written:
            self.refused_since_s = 0
        if outcome == FULL:
            return EMPTY if self.lose_patience(now_s) else FULL
        self.refused_since_s = 0
        if outcome == DEAD:
            self.lose_target(now_s)
            return EMPTY
        self.trouble = ""
        return outcome

    cdef bint lose_patience(self, double now_s):
        """True where the target has refused for so long that what waits has been dropped."""
        if self.refused_since_s == 0:
            self.refused_since_s = now_s
        if now_s - self.refused_since_s < PATIENCE_S:
            return False
        self.trouble = "the target takes no lines"
        self.drop_waiting()
        return True

    cdef void lose_target(self, double now_s):
        """What waits is lost. A socket is connected anew after a pause; a file or stderr is kept and tried again."""
        self.trouble = os.strerror(self.error)
        self.drop_waiting()
        if self.syslog:
            self.shut()
            self.put_off(now_s)

    cdef void put_off(self, double now_s):
        """The next attempt to open the target, later each time."""
        self.next_try_s = now_s + self.pause_s
        self.pause_s = min(self.pause_s * 2, <double>LONGEST_PAUSE_S)

    def reopen(self):
        """Open a file target anew, by its path; nothing for others. Raises OSError, and then goes on with the old file."""
        if not self.syslog and self.path is not None:
            self.open_file()

    def close(self):
        """Let the target go; call `ship` first. Nothing is sent any more."""
        self.shut()
        self.next_try_s = float("inf")

    # ---- opening

    cdef int open_file(self) except -1:
        cdef int fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o640)
        self.shut()
        self.fd = fd
        self.own_fd = True
        self.ask_first = False
        self.batch_bytes = BATCH_BYTES if stat.S_ISREG(os.fstat(fd).st_mode) else PIPE_BUF
        return 0

    cdef void settle_kind(self):
        """How to write to a descriptor that we were given. O_NONBLOCK belongs to the open file, which others share (the shell of
        the operator, the supervisor, other workers): to set it would break their writes. So a socket is told with each send
        that it must not wait; a file never waits; a pipe or terminal is opened anew for ourselves, and where that is
        forbidden (it belongs to another user) it is asked before each write, of which it then takes PIPE_BUF bytes."""
        cdef int mode
        try:
            mode = os.fstat(self.fd).st_mode
        except OSError as why:
            self.trouble = str(why)
            self.fd = -1
            self.next_try_s = float("inf")
            return
        self.batch_bytes = PIPE_BUF
        if stat.S_ISREG(mode):
            self.batch_bytes = BATCH_BYTES
        elif stat.S_ISSOCK(mode):
            self.is_socket = True
        else:
            try:
                self.fd = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
                self.own_fd = True
            except OSError:
                self.ask_first = True

    cdef void find_remote(self):
        """Look the server up. A name may take long, so another thread does it; until then lines are dropped."""
        if self.remote is None or self.found is not None or (self.finder is not None and self.finder.is_alive()):
            return
        try:
            self.found = socket.getaddrinfo(*self.remote, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            self.finder = threading.Thread(target=look_up, args=(self,), daemon=True)
            self.finder.start()

    cdef bint open_target(self, double now_s):
        if now_s < self.next_try_s:
            return False
        try:
            self.connect()
        except OSError as why:
            self.trouble = str(why)
            self.put_off(now_s)
            return False
        self.pause_s = FIRST_PAUSE_S
        return True

    cdef int connect(self) except -1:
        if self.remote is not None:
            self.find_remote()
            if self.found is None:
                raise OSError(self.trouble or f"{self.remote[0]} is being looked up")
            family, _, _, _, address = self.found[0]
            return self.connect_to(family, socket.SOCK_DGRAM, address)
        try:
            return self.connect_to(socket.AF_UNIX, socket.SOCK_DGRAM, self.path)
        except OSError as why:
            if why.errno != errnos.EPROTOTYPE:
                raise
        return self.connect_to(socket.AF_UNIX, socket.SOCK_STREAM, self.path)

    cdef int connect_to(self, family, kind, address) except -1:
        """Datagrams need no agreement, and a local stream is there at once or refused: neither waits."""
        s = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            s.connect(address)
        except OSError:
            s.close()
            raise
        self.datagrams = kind == socket.SOCK_DGRAM
        self.is_socket = True
        self.own_fd = True
        self.batch_bytes = PIPE_BUF
        self.fd = s.detach()
        return 0

    cdef void shut(self) noexcept:
        if self.fd >= 0 and self.own_fd:
            os.close(self.fd)
        self.fd = -1
        self.dropped_lines += self.rest_n > 0
        self.rest_n = 0

    # ---- sending, without the GIL

    cdef Outcome drain(self) noexcept nogil:
        cdef Outcome outcome = self.send_rest()
        cdef int i
        if outcome != EMPTY:
            return outcome
        for i in range(ROUNDS):
            outcome = self.send_datagrams() if self.datagrams else self.send_lines()
            if outcome != AGAIN:
                return outcome
        return AGAIN

    cdef Outcome after_error(self) noexcept nogil:
        self.error = errno
        return FULL if errno == EAGAIN or errno == ENOBUFS else AGAIN if errno == EINTR else DEAD

    cdef Outcome send_rest(self) noexcept nogil:
        cdef ssize_t sent
        if self.rest_n == 0:
            return EMPTY
        sent = write_some(self, self.rest, self.rest_n)
        if sent < 0:
            return self.after_error()
        self.rest_n -= <uint32_t>sent
        if self.rest_n:
            memmove(self.rest, self.rest + sent, self.rest_n)
            return FULL
        self.written_lines += 1
        return EMPTY

    cdef uint32_t gather(self) noexcept nogil:
        """Whole lines into the batch; answers their number."""
        cdef char header[SYSLOG_HEADER_MOST]
        cdef uint64_t cursor = self.ring.part.head
        cdef uint32_t lines = 0, at = 0, n = 0
        cdef size_t header_n = syslog_header(header, &self.head, now_us()) if self.syslog else 0
        cdef const char* line
        while lines < BATCH_LINES:
            line = self.ring.next_record(&cursor, &n)
            if line == NULL:
                break
            if n and line[n - 1] == c"\n":
                n -= 1
            if self.syslog:
                n = min(n, self.max_length - min(self.max_length, <uint32_t>header_n))
            n = min(n, <uint32_t>(LINE_MOST - header_n - 1))
            if lines and at + header_n + n + 1 > self.batch_bytes:
                break
            memcpy(self.batch + at, header, header_n)
            memcpy(self.batch + at + header_n, line, n)
            at += header_n + n + 1
            self.batch[at - 1] = c"\n"
            self.ends[lines] = at
            self.cursors[lines] = cursor
            lines += 1
        return lines

    cdef Outcome send_lines(self) noexcept nogil:
        cdef uint32_t lines = self.gather()
        cdef ssize_t sent
        if lines == 0:
            return EMPTY
        sent = write_some(self, self.batch, self.ends[lines - 1])
        if sent < 0:
            return self.after_error()
        self.account(lines, sent)
        return AGAIN if sent == self.ends[lines - 1] else FULL

    cdef void account(self, uint32_t lines, size_t sent) noexcept nogil:
        """Release what went; of a line that was torn, keep the rest."""
        cdef uint32_t whole = 0, begins
        while whole < lines and self.ends[whole] <= sent:
            whole += 1
        self.written_lines += whole
        begins = self.ends[whole - 1] if whole else 0
        if whole < lines and sent > begins:
            self.rest_n = self.ends[whole] - <uint32_t>sent
            memcpy(self.rest, self.batch + sent, self.rest_n)
            whole += 1
        if whole:
            self.ring.release(self.cursors[whole - 1])

    cdef Outcome send_datagrams(self) noexcept nogil:
        cdef Datagrams d
        cdef char header[SYSLOG_HEADER_MOST]
        cdef uint64_t cursor = self.ring.part.head
        cdef uint32_t n = 0
        cdef size_t header_n = min(syslog_header(header, &self.head, now_us()), <size_t>self.max_length)
        cdef int count = 0, first = 0, sent
        cdef const char* line
        while count < DATAGRAMS:
            line = self.ring.next_record(&cursor, &n)
            if line == NULL:
                break
            if n and line[n - 1] == c"\n":
                n -= 1
            datagram_set(&d, count, header, header_n, line, min(n, self.max_length - <uint32_t>header_n))
            d.cursors[count] = cursor
            count += 1
        if count == 0:
            return EMPTY
        while first < count:
            sent = datagrams_send(self.fd, &d, first, count)
            if sent < 0:
                if errno == EMSGSIZE:        # this one will never go
                    self.dropped_lines += 1
                    sent = 1
                elif errno != EINTR:
                    return self.after_error()
                else:
                    continue
            else:
                self.written_lines += sent
            first += sent
            self.ring.release(d.cursors[first - 1])
        return AGAIN

    cdef void drop_waiting(self) noexcept nogil:
        cdef uint64_t cursor = self.ring.part.head
        cdef uint32_t n = 0
        while self.ring.next_record(&cursor, &n) != NULL:
            self.dropped_lines += 1
        self.ring.release(cursor)

def look_up(Shipper shipper not None):
    """The work of the thread that finds a syslog server."""
    try:
        shipper.found = socket.getaddrinfo(*shipper.remote, type=socket.SOCK_DGRAM)
    except OSError as why:
        shipper.trouble = str(why)

cdef ssize_t write_some(Shipper s, const char* at, size_t n) noexcept nogil:
    if s.is_socket:
        return socket_send(s.fd, at, n)
    if s.ask_first:
        if not would_take(s.fd):
            set_errno(EAGAIN)
            return -1
        n = min(n, <size_t>PIPE_BUF)
    return file_write(s.fd, at, n)

cdef bytes clean(str word):
    """A word of a header: printable ASCII without blanks."""
    return "".join(c if "!" <= c <= "~" else "_" for c in word).encode()
