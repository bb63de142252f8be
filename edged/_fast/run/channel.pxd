# An open byte stream: its socket, its place in epoll (edge-triggered, entered once), reading and writing.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.run.core cimport Channel, Core

cdef Channel* channel_open(Core* core, int fd, uint8_t kind) noexcept nogil   # NULL: no memory; the descriptor stays the caller's
cdef bint channel_watch(Core* core, Channel* c) noexcept nogil                # enter it in epoll; False: no memory
cdef void channel_attend(Core* core, Channel* c) noexcept nogil               # before it rests: watch it if it waits for its peer
cdef void channels_watch(Core* core) noexcept nogil                           # those that have been busy for a while and are not in epoll yet
cdef bint channel_copied(Core* core, Channel* c) noexcept nogil               # other processes may hold its descriptor: watch it as such; False: no memory
cdef void channel_leave(Core* core, Channel* c) noexcept nogil                # out of epoll
cdef void channel_close(Core* core, Channel* c) noexcept nogil                # its memory lives until the turn ends
cdef void channel_reset(Core* core, Channel* c) noexcept nogil                # the peer gets a reset
cdef bint channel_pull(Core* core, Channel* c) noexcept nogil                 # read what fits; True: something changed
cdef bint channel_push(Core* core, Channel* c) noexcept nogil                 # write tx, then raw bytes; shut when asked; True: something changed
cdef bint channel_quiet(Core* core, Channel* c) noexcept nogil                # nothing to read and not closed: fit to be parked
cdef void channel_again(Core* core, Channel* c) noexcept nogil                # go on with it in the next turn
cdef void channel_bulk(Core* core, Channel* c) noexcept nogil                 # a large move of its bytes, when all smaller work is done
cdef void channels_bury(Core* core) noexcept nogil                            # end of the turn
