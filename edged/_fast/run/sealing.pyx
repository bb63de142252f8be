"""Bodies that go out as TLS. See sealing.pxd."""

from libc.stdint cimport uint32_t, uint64_t

from edged._fast.base.linux cimport edged_recv
from edged._fast.base.view cimport check
from edged._fast.memory.buffer cimport buffer_drop, buffer_n
from edged._fast.run.flags cimport flag_none_read
from edged._fast.run.relay cimport RELAY_AGAIN, RELAY_MOVED, RELAY_STILL
from edged._fast.run.tls cimport tls_flush, tls_open_records, tls_seal
from edged._fast.talk.wants cimport PORT_BROKEN, PORT_DEAF, PORT_HUNG_UP, PORT_READABLE, RAW_ENDLESS

cdef enum:
    TURN_MOST = 524288           # bytes for one direction in one turn; others want their share


cdef ssize_t read_some(Core* core, Channel* source, uint32_t most) noexcept nogil:
    """Into Core.plain: bytes, 0 where there is nothing now or the end has come, -1 where the source broke."""
    cdef ssize_t n
    if source.tls != NULL:
        return tls_open_records(core, source, core.plain, most)
    n = edged_recv(source.fd, core.plain, most, 0)
    if n > 0:
        if <uint32_t>n < most and not source.port.flags & PORT_HUNG_UP:
            source.port.flags &= ~<uint32_t>PORT_READABLE     # edge-triggered: the next bytes bring an event of their own
        return n
    return flag_none_read(source, n)


cdef RelayMove sealing_move(Core* core, Channel* source, Channel* to) noexcept nogil:
    cdef uint64_t moved = 0
    cdef uint32_t flags = source.port.flags, most
    cdef ssize_t n = 1
    check(buffer_n(&to.port.tx) == 0 and buffer_n(&source.port.rx) == 0)
    buffer_drop(&source.port.rx, &core.s.blocks)
    while moved < TURN_MOST and to.port.raw_left and to.port.sealed == 0 and source.port.flags & PORT_READABLE:
        most = <uint32_t>min(to.port.raw_left, <uint64_t>to.tls.burst)
        n = read_some(core, source, most)
        if n <= 0:
            break
        source.port.received += <uint64_t>n
        source.full_reads = 1 if <uint32_t>n == most else 0
        core.sealed_n = 0
        if tls_seal(core, to, core.plain, <uint32_t>n) < n:
            to.port.flags |= PORT_BROKEN
            return RELAY_MOVED
        to.port.raw_left -= <uint64_t>n
        to.port.sent += <uint64_t>n
        moved += <uint64_t>n
        if not tls_flush(core, to):
            return RELAY_MOVED
        if source.full_reads == 0 and to.port.raw_left >= RAW_ENDLESS // 2:
            break
    if moved >= TURN_MOST or (n == 0 and source.port.flags & PORT_READABLE):     # there may be more behind what was no data
        return RELAY_AGAIN
    if moved or flags != source.port.flags or to.port.flags & (PORT_BROKEN | PORT_DEAF):
        return RELAY_MOVED
    return RELAY_STILL
