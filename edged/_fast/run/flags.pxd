# What the kernel's answers mean for a channel: flags of its port. For all who read and write its socket; a header only.

from libc.stdint cimport uint32_t
from edged._fast.base.linux cimport EAGAIN, EINTR, edged_errno
from edged._fast.run.core cimport CHANNEL_CLIENT, Channel
from edged._fast.talk.wants cimport PORT_BROKEN, PORT_DEAF, PORT_EOF, PORT_HUNG_UP, PORT_READABLE


cdef inline void flag_end(Channel* c) noexcept nogil:                          # its end has been read
    c.port.flags = (c.port.flags | (PORT_BROKEN if c.port.flags & PORT_DEAF else PORT_EOF)) & ~<uint32_t>PORT_READABLE


cdef inline ssize_t flag_none_read(Channel* c, ssize_t n) noexcept nogil:      # n: what the read answered, 0 or less; answers -1 if it is broken
    if n == 0:
        flag_end(c)
    elif edged_errno() == EAGAIN:
        c.port.flags &= ~<uint32_t>PORT_READABLE
    elif edged_errno() != EINTR:
        c.port.flags |= PORT_BROKEN
        return -1
    return 0


cdef inline void flag_write_failed(Channel* c) noexcept nogil:
    # An endpoint that has had enough of a request may have answered it before it closed.
    if c.kind == CHANNEL_CLIENT or c.port.flags & PORT_EOF:
        c.port.flags |= PORT_BROKEN
    else:
        c.port.flags |= PORT_DEAF | PORT_READABLE | PORT_HUNG_UP
