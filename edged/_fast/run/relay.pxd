# Large bodies and busy tunnels go through a pipe by splice: the bytes never come up to user space.

from edged._fast.run.core cimport Channel, Core

cdef enum RelayMove:
    RELAY_STILL = 0              # neither side is ready
    RELAY_MOVED = 1              # bytes moved, or a side ended
    RELAY_AGAIN = 2              # the turn's share is used up; there is more
    RELAY_TAKEN = 3              # a large piece is in the pipe, and should leave it first thing in the next turn

cdef bint relay_fits(Core* core, Channel* source, Channel* to) noexcept nogil       # is a pipe worth it for what is left?
cdef RelayMove relay_splice(Core* core, Channel* source, Channel* to) noexcept nogil
cdef void relay_drop_pipe(Core* core, Channel* to) noexcept nogil                   # back to the spare ones, or closed if bytes are in it
cdef void relay_close(Core* core) noexcept nogil
