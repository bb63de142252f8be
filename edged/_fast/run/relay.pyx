"""Bytes through a pipe. See relay.pxd."""

from libc.stdint cimport uint32_t, uint64_t

from edged._fast.base.linux cimport EAGAIN, EINTR, F_SETPIPE_SZ, O_CLOEXEC, O_NONBLOCK, close, edged_errno, edged_splice, fcntl, pipe2
from edged._fast.base.view cimport check
from edged._fast.memory.buffer cimport buffer_drop
from edged._fast.run.core cimport CHANNEL_SERVER
from edged._fast.run.flags cimport flag_none_read, flag_write_failed
from edged._fast.talk.wants cimport (
    PORT_BROKEN, PORT_DEAF, PORT_EOF, PORT_HUNG_UP, PORT_RAW_LAST, PORT_READ, PORT_READABLE, PORT_WRITABLE, RAW_ENDLESS,
)

cdef enum:
    SPLICE_LEAST = 65536         # of a known length
    SEAL_LEAST = 16384           # the same where it is sealed
    SPARE_PIPES = 64
    PIPE_BYTES = 1048576
    REST_MS = 1000               # without pipes, after descriptors ran out
    TURN_MOST = 2097152          # bytes for one direction in one turn; others want their share
    THIN = 8192                  # a tunnel whose pieces are smaller goes back to copying
    LARGE = 262144               # a piece that is taken in one turn and sent in the next


cdef bint relay_fits(Core* core, Channel* source, Channel* to) noexcept nogil:
    cdef uint64_t least = SPLICE_LEAST
    if to.tls != NULL:
        if to.port.sealed:
            return False
        least = SEAL_LEAST
    elif source.tls != NULL or not core.splice or core.s.now_ms < core.splice_ms:
        return False
    if not source.port.flags & PORT_READABLE or source.port.flags & (PORT_EOF | PORT_BROKEN):
        return False
    if not to.port.flags & PORT_WRITABLE or not source.port.flags & PORT_READ:
        return False
    if to.port.raw_left >= RAW_ENDLESS // 2:                  # a tunnel: only when reads have been filling their buffer
        return source.full_reads > 0
    return to.port.raw_left >= least


cdef bint take_pipe(Core* core, Channel* to) noexcept nogil:
    cdef int ends[2]
    if to.pipe_in >= 0:
        return True
    if core.n_pipes:
        core.n_pipes -= 1
        to.pipe_out = core.pipes[core.n_pipes][0]
        to.pipe_in = core.pipes[core.n_pipes][1]
        return True
    if pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0:
        return False
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES)                  # refused beyond the user's share: then it stays as it is
    to.pipe_out = ends[0]
    to.pipe_in = ends[1]
    return True


cdef void relay_drop_pipe(Core* core, Channel* to) noexcept nogil:
    if to.pipe_in < 0:
        return
    if to.port.in_pipe == 0 and not to.spoiled and core.n_pipes < SPARE_PIPES:
        core.pipes[core.n_pipes][0] = to.pipe_out
        core.pipes[core.n_pipes][1] = to.pipe_in
        core.n_pipes += 1
    else:
        close(to.pipe_in)
        close(to.pipe_out)
    to.port.in_pipe = 0
    to.spoiled = False
    to.pipe_in = -1
    to.pipe_out = -1


cdef void relay_close(Core* core) noexcept nogil:
    while core.n_pipes:
        core.n_pipes -= 1
        close(core.pipes[core.n_pipes][0])
        close(core.pipes[core.n_pipes][1])


cdef ssize_t fill(Channel* source, Channel* to) noexcept nogil:
    """Socket to pipe: bytes moved, 0 where the source has nothing or has ended, -1 where it broke."""
    cdef ssize_t n
    # One byte more than is due of an endpoint's answer: where it does not come, the source is empty and need not be asked again.
    cdef bint last = source.kind == CHANNEL_SERVER and to.port.flags & PORT_RAW_LAST and to.port.raw_left <= PIPE_BYTES
    if not source.port.flags & PORT_READABLE or source.port.flags & (PORT_EOF | PORT_BROKEN):
        return 0
    n = edged_splice(source.fd, to.pipe_in, <size_t>min(to.port.raw_left, <uint64_t>PIPE_BYTES) + last, False)
    if n > 0:
        source.port.received += <uint64_t>n
        if <uint64_t>n > to.port.raw_left:
            to.spoiled = True                                 # a body longer than announced: its rest reaches nobody
            source.port.flags |= PORT_HUNG_UP
            n = <ssize_t>to.port.raw_left
        elif last and <uint64_t>n == to.port.raw_left and not source.port.flags & PORT_HUNG_UP:
            source.port.flags &= ~<uint32_t>PORT_READABLE
        to.port.in_pipe = <uint32_t>n
        source.spliced = True
        return n
    return flag_none_read(source, n)


cdef ssize_t empty(Core* core, Channel* to) noexcept nogil:
    """Pipe to socket: bytes moved, 0 where it takes none now, -1 where it broke."""
    cdef ssize_t n
    if not to.port.flags & PORT_WRITABLE:
        return 0
    n = edged_splice(to.pipe_out, to.fd, to.port.in_pipe, to.port.raw_left > to.port.in_pipe and to.port.raw_left < RAW_ENDLESS // 2)
    if n > 0:
        to.port.in_pipe -= <uint32_t>n
        to.port.raw_left -= <uint64_t>n
        to.port.sent += <uint64_t>n
        core.s.tally.spliced += <uint64_t>n
        return n
    if n < 0 and edged_errno() == EAGAIN:
        to.port.flags &= ~<uint32_t>PORT_WRITABLE
    elif n < 0 and edged_errno() != EINTR:
        flag_write_failed(to)
        return -1
    return 0


cdef RelayMove relay_splice(Core* core, Channel* source, Channel* to) noexcept nogil:
    """A large piece is taken at the end of one turn and sent at the end of the next: requests that follow upon the piece before it come
    in meanwhile, and go on before this one is sent (see events_bulk)."""
    cdef uint64_t moved = 0
    cdef uint32_t flags = source.port.flags
    cdef bint taken = to.port.in_pipe > 0                     # in a turn before
    cdef ssize_t n
    check(to.port.tx.at == NULL or to.port.tx.head == to.port.tx.tail)
    if not taken:
        buffer_drop(&source.port.rx, &core.s.blocks)
    if not take_pipe(core, to):
        core.splice_ms = core.s.now_ms + REST_MS              # no descriptors: copying works as well
        return RELAY_MOVED
    while moved < TURN_MOST and to.port.raw_left:
        if to.port.in_pipe == 0:
            if taken and core.bulk_first != NULL:
                break
            n = fill(source, to)
            if n <= 0:
                break
            source.full_reads = 1 if n >= THIN else 0
            if n >= LARGE:
                return RELAY_TAKEN
        n = empty(core, to)
        if n <= 0:
            break
        moved += <uint64_t>n
        if source.full_reads == 0 and to.port.raw_left >= RAW_ENDLESS // 2 and to.port.in_pipe == 0:
            break
    if to.port.in_pipe == 0:
        relay_drop_pipe(core, to)
        if taken and relay_fits(core, source, to):
            return RELAY_AGAIN
    if moved >= TURN_MOST:
        return RELAY_AGAIN
    if moved or flags != source.port.flags or to.port.flags & (PORT_BROKEN | PORT_DEAF):
        return RELAY_MOVED
    return RELAY_STILL
