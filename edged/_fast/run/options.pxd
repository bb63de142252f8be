# What the settings say, as the engine keeps it. For the Python thread, before the engine looks.

from edged._fast.run.core cimport Core
from edged._fast.talk.wants cimport Listener

cdef int options_read(Core* core, config) except -1
cdef Listener* listener_make(number, fd, name, mode, accept_proxy, trusted, port, tls, monitor) except NULL
cdef void listener_free(Listener* listener)
