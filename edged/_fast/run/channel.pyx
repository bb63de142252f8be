"""An open byte stream. See channel.pxd."""

from libc.stdint cimport int64_t

from edged._fast.base.linux cimport (
    EAGAIN, EINTR, EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLL_CTL_ADD, EPOLL_CTL_DEL, SHUT_WR, close, edged_errno, edged_reset,
    edged_send2, edged_recv, edged_watch, shutdown,
)
from edged._fast.base.view cimport check, likely, unlikely
from edged._fast.memory.buffer cimport buffer_drop, buffer_hold, buffer_n, buffer_room, buffer_take, stock_give, stock_take
from edged._fast.run.core cimport CHANNEL_CLIENT, TLS_OPEN
from edged._fast.run.flags cimport flag_end, flag_write_failed
from edged._fast.run.relay cimport RELAY_AGAIN, RELAY_MOVED, RELAY_TAKEN, RelayMove, relay_drop_pipe, relay_fits, relay_splice
from edged._fast.run.sealing cimport sealing_move
from edged._fast.run.tls cimport tls_bye, tls_detach, tls_pull, tls_push
from edged._fast.talk.wants cimport (
    PORT_BROKEN, PORT_CONNECTING, PORT_DEAF, PORT_EOF, PORT_GONE, PORT_HUNG_UP, PORT_READ, PORT_READABLE, PORT_SHUT,
    PORT_SHUT_ASKED, PORT_WRITABLE, Port, RAW_ENDLESS, port_unsent,
)

cdef extern from * nogil:
    int MSG_PEEK

cdef enum:
    HEAD_ROOM = 1024             # read where only a head should be copied and its body go through a pipe
    JOIN_LEAST = 65536           # with so much to follow at once, a piece need not leave by itself
    COPIED = 255                 # Channel.unwatched: in no list, but in epoll, which would keep what is closed while there is a copy


cdef void unwatched_add(Core* core, Channel* c) noexcept nogil:
    cdef Channel** first = &core.unwatched[core.unwatched_now]
    c.unwatched = 1 + core.unwatched_now
    c.shelf_next = first[0]
    if first[0] != NULL:
        first[0].shelf_prev = c
    first[0] = c


cdef void unwatched_remove(Core* core, Channel* c) noexcept nogil:
    if c.unwatched == 0:
        return
    if unlikely(c.unwatched == COPIED):
        edged_watch(core.ep, EPOLL_CTL_DEL, c.fd, 0, NULL)
        c.unwatched = 0
        c.watched = False
        return
    if c.shelf_prev != NULL:
        c.shelf_prev.shelf_next = c.shelf_next
    else:
        core.unwatched[c.unwatched - 1] = c.shelf_next
    if c.shelf_next != NULL:
        c.shelf_next.shelf_prev = c.shelf_prev
    c.shelf_next = NULL
    c.shelf_prev = NULL
    c.unwatched = 0


cdef Channel* channel_open(Core* core, int fd, uint8_t kind) noexcept nogil:
    cdef Channel* c = <Channel*>stock_take(&core.channels)
    if unlikely(c == NULL):
        return NULL
    c.fd = fd
    c.kind = kind
    c.pipe_in = -1
    c.pipe_out = -1
    c.port.flags = PORT_WRITABLE
    if kind == CHANNEL_CLIENT:
        unwatched_add(core, c)
    elif unlikely(not channel_watch(core, c)):
        stock_give(&core.channels, c)
        return NULL
    c.next = core.all
    if core.all != NULL:
        core.all.prev = c
    core.all = c
    return c


cdef bint channel_watch(Core* core, Channel* c) noexcept nogil:
    # What is readable already brings an event at once, so nothing is missed by entering late.
    unwatched_remove(core, c)
    c.watched = edged_watch(core.ep, EPOLL_CTL_ADD, c.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | <uint32_t>EPOLLET, c) == 0
    return c.watched


cdef void channel_attend(Core* core, Channel* c) noexcept nogil:
    if c.watched or not (c.port.flags & PORT_READ or not c.port.flags & PORT_WRITABLE):
        return
    if not channel_watch(core, c):
        c.port.flags |= PORT_BROKEN
        channel_again(core, c)


cdef bint channel_copied(Core* core, Channel* c) noexcept nogil:
    if not c.watched and not channel_watch(core, c):
        return False
    c.unwatched = COPIED
    return True


cdef void channel_leave(Core* core, Channel* c) noexcept nogil:
    if c.watched:
        c.unwatched = COPIED
    unwatched_remove(core, c)


cdef void channels_watch(Core* core) noexcept nogil:
    cdef uint8_t before = core.unwatched_now ^ 1
    cdef Channel* c
    while core.unwatched[before] != NULL:
        c = core.unwatched[before]
        if not channel_watch(core, c):
            c.port.flags |= PORT_BROKEN
            channel_again(core, c)
    core.unwatched_now = before


cdef void bury(Core* core, Channel* c) noexcept nogil:
    unwatched_remove(core, c)
    relay_drop_pipe(core, c)
    if c.tls != NULL:
        tls_detach(core, c)
    buffer_drop(&c.port.rx, &core.s.blocks)
    buffer_drop(&c.port.tx, &core.s.blocks)
    if c.prev != NULL:
        c.prev.next = c.next
    else:
        core.all = c.next
    if c.next != NULL:
        c.next.prev = c.prev
    c.port.flags |= PORT_GONE | PORT_BROKEN
    c.owner = NULL
    c.next = core.grave
    core.grave = c


cdef void channel_close(Core* core, Channel* c) noexcept nogil:
    check(not c.port.flags & PORT_GONE)
    if c.tls != NULL and not c.port.flags & PORT_HUNG_UP:
        tls_bye(core, c)
    bury(core, c)
    close(c.fd)


cdef void channel_reset(Core* core, Channel* c) noexcept nogil:
    check(not c.port.flags & PORT_GONE)
    bury(core, c)
    edged_reset(c.fd)


cdef void channels_bury(Core* core) noexcept nogil:
    cdef Channel* c = core.grave
    cdef Channel* kept = NULL
    cdef Channel* after
    while c != NULL:
        after = c.next
        if c.in_again:                           # the list of unfinished work still names it
            c.next = kept
            kept = c
        else:
            stock_give(&core.channels, c)
        c = after
    core.grave = kept


cdef void queue(Channel** first, Channel** last, Channel* c) noexcept nogil:
    if c.in_again:                               # then it comes to everything that it has to do
        return
    c.in_again = True
    c.again = NULL
    if last[0] != NULL:
        last[0].again = c
    else:
        first[0] = c
    last[0] = c


cdef void channel_again(Core* core, Channel* c) noexcept nogil:
    queue(&core.again_first, &core.again_last, c)


cdef void channel_bulk(Core* core, Channel* c) noexcept nogil:
    queue(&core.bulk_first, &core.bulk_last, c)


cdef void bulk_next(Core* core, Channel* source, uint32_t taken) noexcept nogil:
    """What it has in the pipe is the first large move of the next turn, and the last thing that this one did."""
    core.bulk_left = 0
    if source.in_again:
        return
    core.bulk_taken = taken
    source.in_again = True
    source.again = core.bulk_first
    core.bulk_first = source
    if core.bulk_last == NULL:
        core.bulk_last = source


cdef bint channel_pull(Core* core, Channel* c) noexcept nogil:
    cdef Port* port = &c.port
    cdef uint32_t room
    cdef ssize_t n
    if not port.flags & PORT_READABLE or port.flags & (PORT_EOF | PORT_BROKEN | PORT_CONNECTING):
        return False
    if c.tls != NULL and c.tls.state != TLS_OPEN:
        return False
    if not buffer_hold(&port.rx, &core.s.blocks):
        port.flags |= PORT_BROKEN
        return True
    room = buffer_room(&port.rx, &core.s.blocks)
    if room == 0:
        return False
    if c.tls != NULL:
        return tls_pull(core, c, room)
    if c.large and not c.spliced and buffer_n(&port.rx) == 0 and room > HEAD_ROOM:
        room = HEAD_ROOM
    n = edged_recv(c.fd, port.rx.at + port.rx.tail, room, 0)
    if likely(n > 0):
        port.rx.tail += <uint32_t>n
        port.received += <uint64_t>n
        if <uint32_t>n < room:
            c.full_reads = 0
            if not port.flags & PORT_HUNG_UP:
                port.flags &= ~<uint32_t>PORT_READABLE       # edge-triggered: the next bytes bring an event of their own
        elif c.full_reads < 255:
            c.full_reads += 1
        return True
    if buffer_n(&port.rx) == 0:
        buffer_drop(&port.rx, &core.s.blocks)
    if n == 0:
        flag_end(c)
        return True
    if edged_errno() == EAGAIN:
        port.flags &= ~<uint32_t>PORT_READABLE
        return False
    if edged_errno() == EINTR:
        return True
    port.flags |= PORT_BROKEN
    return True


cdef bint shut_when_empty(Core* core, Port* port, Channel* c) noexcept nogil:
    if not port.flags & PORT_SHUT_ASKED or port.flags & PORT_SHUT or port.in_pipe:
        return False
    if c.tls != NULL:
        tls_bye(core, c)
        if port.sealed:
            return True
    port.flags |= PORT_SHUT
    shutdown(c.fd, SHUT_WR)
    return True


cdef bint relay(Core* core, Channel* source, Channel* c) noexcept nogil:
    cdef RelayMove move
    cdef uint64_t before
    if c.port.in_pipe:
        if not c.port.flags & PORT_WRITABLE:
            return False
    elif not relay_fits(core, source, c):
        return False
    if core.bulk != source:
        channel_bulk(core, source)
        return False
    core.bulk = NULL
    before = c.port.sent
    move = relay_splice(core, source, c) if c.tls == NULL else sealing_move(core, source, c)
    core.bulk_left -= <int64_t>(c.port.sent - before)
    if move == RELAY_TAKEN:
        bulk_next(core, source, c.port.in_pipe)
    elif move == RELAY_AGAIN:
        channel_bulk(core, source)               # others want their share of this turn
    return move == RELAY_MOVED


cdef inline bint more_at_once(const Port* port, const Port* source, uint32_t raw) noexcept nogil:
    return raw and port.raw_left - raw >= JOIN_LEAST and port.raw_left < RAW_ENDLESS // 2 and source.flags & PORT_READABLE != 0


cdef bint channel_push(Core* core, Channel* c) noexcept nogil:
    cdef Port* port = &c.port
    cdef Port* source = port.raw_from
    cdef uint32_t own, raw = 0, of_own
    cdef ssize_t n
    if port.flags & (PORT_BROKEN | PORT_CONNECTING | PORT_SHUT | PORT_DEAF):
        return False
    own = buffer_n(&port.tx)
    if port.in_pipe == 0 and port.raw_left:
        raw = <uint32_t>min(<uint64_t>buffer_n(&source.rx), port.raw_left)
    if own == 0 and raw == 0 and port.sealed == 0:
        if port.raw_left == 0:
            return shut_when_empty(core, port, c)
        return relay(core, <Channel*>source, c)
    if c.tls != NULL:
        return tls_push(core, c)
    if not port.flags & PORT_WRITABLE:
        return False
    n = edged_send2(c.fd, port.tx.at + port.tx.head if own else NULL, own, source.rx.at + source.rx.head if raw else NULL, raw,
                    more_at_once(port, source, raw))
    if unlikely(n < 0):
        if edged_errno() == EAGAIN:
            port.flags &= ~<uint32_t>PORT_WRITABLE
            return False
        if edged_errno() == EINTR:
            return True
        flag_write_failed(c)
        return True
    port.sent += <uint64_t>n
    if <uint32_t>n < own + raw:
        port.flags &= ~<uint32_t>PORT_WRITABLE
    of_own = <uint32_t>n if <uint32_t>n < own else own
    if of_own:
        buffer_take(&port.tx, of_own)
        if buffer_n(&port.tx) == 0:
            buffer_drop(&port.tx, &core.s.blocks)
    if <uint32_t>n > of_own:
        buffer_take(&source.rx, <uint32_t>n - of_own)
        port.raw_left -= <uint64_t>n - of_own
    return True


cdef bint tls_quiet(Core* core, Channel* c) noexcept nogil:
    """What came may be session tickets alone, which are OpenSSL's."""
    channel_pull(core, c)
    if c.port.rx.at != NULL or c.port.flags & (PORT_BROKEN | PORT_EOF | PORT_HUNG_UP):
        return False
    return True


cdef bint channel_quiet(Core* core, Channel* c) noexcept nogil:
    cdef char byte
    if c.port.flags & (PORT_BROKEN | PORT_EOF | PORT_HUNG_UP | PORT_SHUT | PORT_SHUT_ASKED | PORT_DEAF):
        return False
    if buffer_n(&c.port.rx) or port_unsent(&c.port) or c.port.in_pipe:
        return False
    if not c.port.flags & PORT_READABLE:
        return True
    if c.tls != NULL:
        return tls_quiet(core, c)
    # The last read filled its buffer, or went through a pipe: only the kernel knows whether more has come.
    if edged_recv(c.fd, &byte, 1, MSG_PEEK) < 0 and edged_errno() == EAGAIN:
        c.port.flags &= ~<uint32_t>PORT_READABLE
        return True
    return False
