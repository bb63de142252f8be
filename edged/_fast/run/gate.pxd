# Listening sockets: accepting, pausing where there is no room, starting again.

from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core
from edged._fast.talk.wants cimport Listener

cdef void gate_accept(Core* core, Ring ring, Listener* listener) noexcept nogil       # it is readable
cdef void gate_watch(Core* core, Listener* listener, bint watch) noexcept nogil       # in or out of epoll
cdef bint gate_resume(Core* core, Listener* listeners) noexcept nogil                 # once a turn: pause or start again as there is room; True: changed
