# Listening sockets: accepting, pausing where there is no room, starting again.

from libc.stdint cimport uint16_t, uint32_t
from edged._fast.base.view cimport View
from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core
from edged._fast.talk.wants cimport Listener

cdef void gates_watch(Core* core, bint watch) noexcept nogil                          # all of them
cdef void gates_use(Core* core, uint32_t number, void* context) noexcept nogil        # another SSL_CTX from the next connection on
cdef Listener* gate_named(Core* core, View name, uint16_t port) noexcept nogil        # one that accepts nothing, where there is none of that name any more; NULL: no memory
cdef void gate_accept(Core* core, Ring ring, Listener* listener) noexcept nogil       # it is readable
cdef void gate_watch(Core* core, Listener* listener, bint watch) noexcept nogil       # in or out of epoll
cdef bint gate_resume(Core* core) noexcept nogil                                      # once a turn: pause or start again as there is room; True: changed
