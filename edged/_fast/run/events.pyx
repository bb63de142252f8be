"""What epoll tells, and work left over. See events.pxd."""

from libc.stdint cimport int64_t, uintptr_t

from edged._fast.base.linux cimport EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, edged_mono_us
from edged._fast.base.view cimport unlikely
from edged._fast.run.channel cimport channel_close, channel_quiet
from edged._fast.run.core cimport CHANNEL_CLIENT, Channel, TLS_HANDSHAKE
from edged._fast.run.gate cimport gate_accept
from edged._fast.run.handshake cimport handshake_next, handshake_queue
from edged._fast.run.pool cimport pool_discard
from edged._fast.run.serve cimport serve_client, serve_handshake, serve_server
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport Listener, PORT_BROKEN, PORT_CONNECTING, PORT_GONE, PORT_HUNG_UP, PORT_READABLE, PORT_WRITABLE

cdef enum:
    HANDSHAKES_US = 1000         # in one turn; all others wait so long at most, and for one handshake more


cdef void event(Core* core, Ring ring, void* who, uint32_t events) noexcept nogil:
    cdef Channel* c = <Channel*>who
    cdef bint failed
    if <uintptr_t>who & 1:
        gate_accept(core, ring, <Listener*>(<char*>who - 1))
        return
    if unlikely(c.port.flags & PORT_GONE):
        return
    if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
        c.port.flags |= PORT_READABLE
    if events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
        c.port.flags |= PORT_HUNG_UP
    if events & EPOLLOUT:
        c.port.flags |= PORT_WRITABLE
    if c.tls != NULL:
        if c.port.flags & PORT_READABLE:
            c.tls.readable = True
        if c.tls.state == TLS_HANDSHAKE:
            handshake_queue(core, c)
            return
    if c.kind == CHANNEL_CLIENT:
        if unlikely(events & EPOLLERR):
            c.port.flags |= PORT_BROKEN          # it will never read what we write
        serve_client(core, ring, <Front*>c.owner)
    elif c.owner != NULL:
        failed = c.port.flags & PORT_CONNECTING and events & (EPOLLERR | EPOLLHUP)
        serve_server(core, ring, c, failed)
    elif c.port.flags & (PORT_READABLE | PORT_HUNG_UP):
        forget_idle(core, c)


cdef void forget_idle(Core* core, Channel* c) noexcept nogil:
    """The endpoint closed an idle channel, or said something that nobody asked for, which session tickets are not."""
    if c.tls != NULL and channel_quiet(core, c):
        return
    if c.kept_by != NULL:
        c.kept_by.own = NULL
        channel_close(core, c)
    else:
        pool_discard(core, c)


cdef void events_handshakes(Core* core, Ring ring) noexcept nogil:
    """Some of those that wait for their turn, at least one."""
    cdef int64_t until_us = edged_mono_us() + HANDSHAKES_US
    while core.handshakes_first != NULL:
        serve_handshake(core, ring, handshake_next(core))
        if edged_mono_us() >= until_us:
            return


cdef void events_left(Core* core, Ring ring) noexcept nogil:
    """What the last turn left unfinished so that others got their share."""
    cdef Channel* c = core.again_first
    cdef Channel* after
    core.again_first = NULL
    core.again_last = NULL
    while c != NULL:
        after = c.again
        c.in_again = False
        if not c.port.flags & PORT_GONE:
            if c.kind == CHANNEL_CLIENT:
                serve_client(core, ring, <Front*>c.owner)
            elif c.owner != NULL:
                serve_server(core, ring, c, False)
        c = after
