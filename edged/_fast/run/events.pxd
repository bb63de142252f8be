# What epoll tells, and work left over from the turn before.

from libc.stdint cimport uint32_t
from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core

cdef void event(Core* core, Ring ring, void* who, uint32_t events) noexcept nogil     # `who`: a Channel*; tagged in its low bits, a Listener* (1) or a Wire* (3)
cdef void events_bulk(Core* core, Ring ring) noexcept nogil                           # large moves, so many bytes: the last thing in a turn
cdef void events_gathered(Core* core, Ring ring) noexcept nogil                       # send what was put off while there was more to read
cdef void events_left(Core* core, Ring ring) noexcept nogil                           # go on with what was cut short so that others got their share
cdef void events_handshakes(Core* core, Ring ring) noexcept nogil              # in one turn
cdef void events_forget(Core* core) noexcept nogil                                    # nobody goes on with any of it
