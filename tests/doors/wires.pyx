"""One port with the world behind it: bytes that the peer has sent wait here until the conversation wants them, and what the
conversation writes is in `got`. Channels and relays of the run floor do the same with descriptors."""

from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from edged._fast.memory.buffer cimport buffer_drop, buffer_hold, buffer_n, buffer_room, buffer_take
from edged._fast.talk.h1 cimport FRONT_EXCHANGE
from edged._fast.talk.wants cimport PORT_BROKEN, PORT_CONNECTING, PORT_DEAF, PORT_EOF, PORT_HUNG_UP, PORT_READ, PORT_SHUT, PORT_SHUT_ASKED

FRONTS = ("proxy", "idle", "head", "exchange", "linger", "closed")
PHASES = (None, "queue", "dial", "pause", "ask", "answer", "tunnel", "end")
PIPE_BYTES = 65536

cdef int need(bint truth, str what) except -1:
    if not truth:
        raise AssertionError(what)
    return 0

cdef int64_t due_of(Front* f) noexcept:
    if f == NULL:
        return 0
    return f.exchange.deadline.due_ms if f.state == FRONT_EXCHANGE else f.deadline.due_ms


cdef class Wire:
    def __cinit__(self):
        self.waiting, self.pipe, self.got = bytearray(), bytearray(), bytearray()
        self.end = ""

    # --- the peer's side ---

    def send(self, bytes data not None):
        self.waiting += data
        self.play.stir(self)
        return self

    def fin(self):
        self.ends = True
        self.port.flags |= PORT_HUNG_UP
        self.play.stir(self)
        return self

    def crash(self, bytes data not None):
        """An endpoint sends its last words and resets, both at once."""
        self.waiting += data
        return self.reset()

    def reset(self):
        """A client is gone at once; of a server, what it has sent can still be read, but it takes nothing more."""
        self.breaks = True
        if self.front != NULL:
            self.port.flags |= PORT_BROKEN
        self.play.stir(self)
        return self

    def take(self):
        """What came since the last time."""
        taken = bytes(self.got)
        self.got.clear()
        return taken

    def more(self, int n):
        """The peer takes so many bytes more (a first call ends its unlimited appetite)."""
        self.window = (self.window or 0) + n
        self.play.stir(self)
        return self

    def connect(self):
        self.port.flags &= ~<uint32_t>PORT_CONNECTING
        self.play.connected(self)
        return self

    def refuse(self):
        self.play.refused(self)

    @property
    def open(self):
        return self.end in ("", "shut")

    @property
    def state(self):
        """Of a client: where its front stands, or the phase of its exchange."""
        if self.front == NULL:
            return "closed"
        if self.front.state == FRONT_EXCHANGE:
            return PHASES[self.front.exchange.phase]
        return FRONTS[self.front.state]

    @property
    def due_in(self):
        """Milliseconds until the next deadline of this client; None: it has none."""
        due = due_of(self.front)
        return due - self.now_ms[0] if due else None

    @property
    def back(self):
        """Of a client: the wire that carries its exchange to the endpoint, or None."""
        if self.front == NULL or self.front.exchange == NULL or self.front.exchange.back == NULL:
            return None
        return self.wires[<uintptr_t>self.front.exchange.back]

    @property
    def unread(self):
        return len(self.waiting)

    # --- the engine's side: channel.pyx and relay.pyx without a descriptor ---

    cdef bint pull(self) except -1:
        cdef Port* port = &self.port
        cdef uint32_t n
        if port.flags & (PORT_EOF | PORT_BROKEN | PORT_CONNECTING):
            return False
        if self.waiting:
            if not buffer_hold(&port.rx, self.blocks):
                raise MemoryError
            n = min(buffer_room(&port.rx, self.blocks), <uint32_t>len(self.waiting))
            memcpy(port.rx.at + port.rx.tail, <const char*>self.waiting, n)
            port.rx.tail += n
            port.received += n
            del self.waiting[:n]
            return n > 0
        if self.breaks or (self.ends and port.flags & PORT_DEAF):
            port.flags |= PORT_BROKEN
            return True
        if self.ends:
            port.flags |= PORT_EOF
            return True
        return False

    cdef uint32_t deliver(self, const char* at, uint32_t n) except? 0xffffffff:
        if self.window is not None:
            n = min(n, <uint32_t>self.window)
            self.window -= n
        self.got += at[:n]
        self.port.sent += n
        return n

    cdef bint refuses_bytes(self) except -1:
        """As channel_write_failed."""
        if not self.breaks:
            return False
        if self.front != NULL or self.port.flags & PORT_EOF:
            self.port.flags |= PORT_BROKEN
        else:
            self.port.flags |= PORT_DEAF | PORT_HUNG_UP
        return True

    cdef bint push(self) except -1:
        cdef Port* port = &self.port
        cdef Wire source
        cdef uint32_t n
        need(buffer_n(&port.tx) <= self.blocks.size and buffer_n(&port.rx) <= self.blocks.size, "more than a block")
        if port.flags & (PORT_BROKEN | PORT_CONNECTING | PORT_SHUT | PORT_DEAF):
            return False
        if buffer_n(&port.tx):
            if self.refuses_bytes():
                return True
            n = self.deliver(port.tx.at + port.tx.head, buffer_n(&port.tx))
            buffer_take(&port.tx, n)
            if buffer_n(&port.tx) == 0:
                buffer_drop(&port.tx, self.blocks)
            return n > 0
        if port.raw_left:
            source = self.wires[<uintptr_t>port.raw_from]
            return self.push_pipe(source) if self.is_fed_by_pipe(source) else self.push_raw(source)
        if port.flags & PORT_SHUT_ASKED:
            port.flags |= PORT_SHUT
            self.end = "shut"
            return True
        return False

    cdef bint push_raw(self, Wire source) except -1:
        cdef uint32_t n = <uint32_t>min(<uint64_t>buffer_n(&source.port.rx), self.port.raw_left)
        if n == 0 or self.refuses_bytes():
            return n > 0
        n = self.deliver(source.port.rx.at + source.port.rx.head, n)
        buffer_take(&source.port.rx, n)
        self.port.raw_left -= n
        return n > 0

    cdef bint push_pipe(self, Wire source) except -1:
        cdef uint32_t n
        cdef bint moved = False
        if self.port.in_pipe == 0:
            buffer_drop(&source.port.rx, self.blocks)
            n = <uint32_t>min(<uint64_t>min(len(source.waiting), PIPE_BYTES), self.port.raw_left)
            self.pipe += source.waiting[:n]
            del source.waiting[:n]
            source.port.received += n
            self.port.in_pipe = n
            moved = n > 0
        if self.port.in_pipe and self.refuses_bytes():
            return True
        n = self.deliver(<const char*>self.pipe, self.port.in_pipe)
        del self.pipe[:n]
        self.port.in_pipe -= n
        self.port.raw_left -= n
        return moved or n > 0

    cdef bint is_fed_by_pipe(self, Wire source) except -1:
        """As goes_by_pipe: bytes of `source` must not be read while others are, or should be, in the pipe before them."""
        if self.port.raw_from != &source.port or self.port.raw_left == 0:
            return False
        if self.port.in_pipe:
            return True
        return self.pipes and bool(source.waiting) and buffer_n(&self.port.tx) == 0 and buffer_n(&source.port.rx) == 0 and (
            source.port.flags & PORT_READ != 0)

    cdef bint is_quiet(self) except -1:
        """As channel_quiet: fit to be kept for another exchange."""
        return not (self.port.flags & (PORT_BROKEN | PORT_EOF | PORT_HUNG_UP | PORT_SHUT | PORT_SHUT_ASKED | PORT_DEAF) or
                    buffer_n(&self.port.rx) or buffer_n(&self.port.tx) or self.port.in_pipe or self.waiting)

    cdef int close(self, str how) except -1:
        need(self.open, "closed twice")
        self.end = how
        buffer_drop(&self.port.rx, self.blocks)
        buffer_drop(&self.port.tx, self.blocks)
        self.port.flags |= PORT_BROKEN
        self.exchange = NULL
        self.private_to = None
        del self.wires[<uintptr_t>&self.port]
        return 0
