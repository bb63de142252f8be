# One port with the world behind it; see wires.pyx. `play` is the engine's part: it is told when something happens.

from libc.stdint cimport int64_t, uint32_t

from edged._fast.memory.buffer cimport Blocks
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport Port

cdef int need(bint truth, str what) except -1        # as assert, but in every build

cdef int64_t due_of(Front* f) noexcept

cdef class Wire:
    cdef Port port
    cdef object play
    cdef dict wires                  # the play's: address of a port -> Wire
    cdef Blocks* blocks
    cdef const int64_t* now_ms
    cdef bint pipes
    cdef Front* front                # a client's, while it is open
    cdef Exchange* exchange          # a server's, while it carries one
    cdef uint32_t slot
    cdef bytearray waiting           # sent by the peer, not read yet
    cdef bytearray pipe
    cdef bint ends                   # the peer's direction ends behind what waits
    cdef bint breaks                 # ... by a reset
    cdef Wire private_to             # parked for this client alone
    cdef readonly bytearray got      # what the peer has received
    cdef readonly str endpoint       # server: its name
    cdef readonly str end            # "": open; "shut": our direction has ended; "closed"; "reset"
    cdef public object window        # bytes that the peer still takes; None: all
    cdef bint pull(self) except -1
    cdef bint push(self) except -1
    cdef uint32_t deliver(self, const char* at, uint32_t n) except? 0xffffffff
    cdef bint refuses_bytes(self) except -1
    cdef bint push_raw(self, Wire source) except -1
    cdef bint push_pipe(self, Wire source) except -1
    cdef bint is_fed_by_pipe(self, Wire source) except -1
    cdef bint is_quiet(self) except -1
    cdef int close(self, str how) except -1
