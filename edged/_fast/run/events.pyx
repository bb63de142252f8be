"""What epoll tells, and work left over. See events.pxd."""

from libc.stdint cimport int64_t, uintptr_t

from edged._fast.base.linux cimport EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, edged_mono_us
from edged._fast.base.view cimport likely, unlikely
from edged._fast.run.channel cimport channel_close, channel_quiet
from edged._fast.run.core cimport CHANNEL_CLIENT, GATHERED_MOST, Channel, TLS_HANDSHAKE, Wire
from edged._fast.run.gate cimport gate_accept
from edged._fast.run.handoff cimport handoff_event
from edged._fast.run.handshake cimport handshake_next, handshake_queue
from edged._fast.run.pool cimport pool_discard
from edged._fast.run.serve cimport serve_client, serve_gathered, serve_handshake, serve_server
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport (
    Listener, PORT_AWAY, PORT_BROKEN, PORT_CONNECTING, PORT_GONE, PORT_HUNG_UP, PORT_READABLE, PORT_WRITABLE,
)

cdef enum:
    HANDSHAKES_US = 1000         # in one turn; all others wait so long at most, and for one handshake more
    BULK_LEAST = 524288          # bytes of large moves in one turn; the last one may go beyond it


cdef void event(Core* core, Ring ring, void* who, uint32_t events) noexcept nogil:
    cdef Channel* c = <Channel*>who
    core.gathers = True
    if <uintptr_t>who & 1:
        if unlikely(<uintptr_t>who & 2 != 0):
            handoff_event(core, ring, <Wire*>(<char*>who - 3))
        else:
            gate_accept(core, ring, <Listener*>(<char*>who - 1))
    elif likely(not c.port.flags & PORT_GONE):
        of_channel(core, ring, c, events)
    if core.n_gathered == GATHERED_MOST:
        events_gathered(core, ring)


cdef inline void of_channel(Core* core, Ring ring, Channel* c, uint32_t events) noexcept nogil:
    cdef bint failed
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


cdef void go_on(Core* core, Ring ring, Channel* c) noexcept nogil:
    c.in_again = False
    if c.port.flags & (PORT_GONE | PORT_AWAY):
        return
    if c.kind == CHANNEL_CLIENT:
        serve_client(core, ring, <Front*>c.owner)
    elif c.owner != NULL:
        serve_server(core, ring, c, False)


cdef void events_gathered(Core* core, Ring ring) noexcept nogil:
    cdef uint32_t i
    core.gathers = False
    for i in range(core.n_gathered):
        if not core.gathered[i].port.flags & PORT_GONE:
            serve_gathered(core, ring, <Front*>core.gathered[i].owner)
    core.n_gathered = 0


cdef void events_left(Core* core, Ring ring) noexcept nogil:
    """What the last turn left unfinished so that others got their share."""
    cdef Channel* c = core.again_first
    cdef Channel* after
    core.again_first = NULL
    core.again_last = NULL
    while c != NULL:
        after = c.again
        go_on(core, ring, c)
        c = after


cdef void events_bulk(Core* core, Ring ring) noexcept nogil:
    """Small exchanges wait for one large move at most, or for a few that turn out not to be so large. For large ones it pays as
    well: more has come when their turn comes, and peers that were handed their requests first are awake and at work, so that
    sends need not wake them: on another core that is the dearest part of a send after the bytes themselves. That is also why the piece
    that is sent first was taken a turn ago, and the last one is only taken: whoever got the piece before it has had the time to ask for
    more, and this is seen in between."""
    cdef Channel* last = core.bulk_last          # those that come in meanwhile, or are not done, wait for the next turn
    cdef Channel* c
    core.bulk_left = BULK_LEAST + <int64_t>core.bulk_taken
    core.bulk_taken = 0
    while core.bulk_left > 0:
        c = core.bulk_first
        core.bulk_first = c.again
        if core.bulk_first == NULL:
            core.bulk_last = NULL
        core.bulk = c
        go_on(core, ring, c)
        if c == last:
            break
    core.bulk = NULL


cdef void forget(Channel** first, Channel** last) noexcept nogil:
    while first[0] != NULL:
        first[0].in_again = False
        first[0] = first[0].again
    last[0] = NULL


cdef void events_forget(Core* core) noexcept nogil:
    forget(&core.again_first, &core.again_last)
    forget(&core.bulk_first, &core.bulk_last)
