# Carrying out what conversations want.

from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Channel, Core
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport Client, Deadline

cdef void serve_client(Core* core, Ring ring, Front* f) noexcept nogil            # something happened on its channel
cdef void serve_server(Core* core, Ring ring, Channel* c, bint failed) noexcept nogil     # likewise; failed: its connection attempt
cdef void serve_gathered(Core* core, Ring ring, Front* f) noexcept nogil          # its exchange had something to send
cdef void serve_deadline(Core* core, Ring ring, Deadline* d) noexcept nogil
cdef void serve_waiting(Core* core, Ring ring) noexcept nogil                     # places may have become free at other workers
cdef void serve_close(Core* core, Ring ring, Front* f) noexcept nogil             # cut a client off, whatever it is doing
cdef void serve_handshake(Core* core, Ring ring, Channel* c) noexcept nogil                  # it has its turn
cdef void serve_detached(Core* core) noexcept nogil                               # exchanges that hold old tables go on without them
