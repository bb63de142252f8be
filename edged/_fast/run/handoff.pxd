# Established tunnels go to an engine of the next generation, over a SOCK_SEQPACKET pair between the two: one message for each tunnel,
# with its descriptors. Two generations may be of different code, so they first agree on the layout; where they cannot, tunnels stay.
#
# The taker makes the whole tunnel of what came, then says that it has taken it, and only then touches its sockets. The giver keeps
# what it has sent, untouched, until it hears so. Should the wire break in between, the giver reads what was still said on it and goes
# on with all others by itself: no tunnel is served by two, and none is lost but with the process that has it.

from libc.stdint cimport int64_t
from edged._fast.memory.arena cimport Arena
from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core, Wire

cdef enum HandoffKind:           # of a message
    HANDOFF_HELLO = 1            # giver: which layout, which arena
    HANDOFF_AGREED = 2           # taker
    HANDOFF_UNKNOWN = 3          # taker: not with this layout
    HANDOFF_TUNNEL = 4           # giver: a Bundle
    HANDOFF_TAKEN = 5            # taker: the number of each, in their order
    HANDOFF_REFUSED = 6          # taker: likewise; it stays with the giver

cdef int handoff_open(Core* core, Arena arena) except -2                           # -1: errno tells why
cdef void handoff_give(Core* core, int fd) noexcept nogil                      # ours from now on; < 0: there is none
cdef void handoff_take(Core* core, int fd) noexcept nogil                      # likewise
cdef void handoff_event(Core* core, Ring ring, Wire* wire) noexcept nogil      # there is something to read on it
cdef void handoff_turn(Core* core) noexcept nogil                              # the end of a turn, while there are wires
cdef int64_t handoff_wait_ms(const Core* core, int64_t most_ms) noexcept nogil # while there is somebody to give to: until the next turn is needed
cdef void handoff_close(Core* core) noexcept nogil                             # what is on its way comes back
