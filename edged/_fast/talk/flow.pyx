"""One direction of an exchange: a message body from one port to another. See flow.pxd."""

from libc.string cimport memcpy, memset

from edged._fast.base.view cimport View, check, likely
from edged._fast.memory.buffer cimport buffer_hold, buffer_n, buffer_room, buffer_take, buffer_view
from edged._fast.parse.chunked cimport CHUNK_BAD, CHUNK_END, CHUNK_MORE, ChunkEvent, chunked_next, chunked_size_line, chunked_start
from edged._fast.talk.wants cimport PORT_BROKEN, PORT_CUT, PORT_EOF, PORT_RAW_LAST, PORT_READ, RAW_ENDLESS

cdef enum:
    COPY_MOST = 4096             # a body up to this size leaves in one piece with its head
    RAW_LEAST = 16384            # from here on a chunk's payload is worth a way of its own
    SIZE_LINE_ROOM = 20
    TRAILERS_MOST = 8192


cdef void flow_open(Flow* flow, uint8_t kind, uint64_t length) noexcept nogil:
    memset(flow, 0, sizeof(Flow))
    flow.kind = kind
    flow.left = length
    if kind == FLOW_CHUNKED:
        chunked_start(&flow.chunk)
    flow.done = kind == FLOW_NONE or (kind == FLOW_LENGTH and length == 0)


cdef void put(Port* to, const char* at, uint32_t n) noexcept nogil:
    memcpy(to.tx.at + to.tx.tail, at, n)
    to.tx.tail += n


cdef inline bint ended(const Port* source) noexcept nogil:
    return source.flags & (PORT_EOF | PORT_BROKEN) != 0 and buffer_n(&source.rx) == 0


cdef void send_raw(Flow* flow, Port* source, Port* to, uint64_t n) noexcept nogil:
    check(to.raw_left == 0)
    to.raw_from = source
    to.raw_left = n
    to.flags &= ~<uint32_t>PORT_RAW_LAST
    flow.raw = True
    source.flags |= PORT_READ


cdef int step_length(Flow* flow, Port* source, Port* to, Blocks* blocks) noexcept nogil:
    cdef uint32_t n
    if flow.raw:
        if to.raw_left > 0:
            if ended(source) and to.in_pipe == 0:
                return FLOW_CUT
            source.flags |= PORT_READ
            return FLOW_GOING
        flow.total += flow.left
        flow.raw = False
        flow.done = True
        return FLOW_DONE
    if flow.left <= COPY_MOST and flow.left <= buffer_n(&source.rx) and buffer_hold(&to.tx, blocks):
        n = <uint32_t>flow.left
        if buffer_room(&to.tx, blocks) >= n:
            put(to, source.rx.at + source.rx.head, n)
            buffer_take(&source.rx, n)
            flow.total += n
            flow.done = True
            return FLOW_DONE
    send_raw(flow, source, to, flow.left)
    to.flags |= PORT_RAW_LAST
    return FLOW_CUT if ended(source) else FLOW_GOING


cdef int step_to_eof(Flow* flow, Port* source, Port* to) noexcept nogil:
    if not flow.raw:
        send_raw(flow, source, to, RAW_ENDLESS)
    if ended(source) and to.in_pipe == 0:
        flow.total = RAW_ENDLESS - to.raw_left
        to.raw_left = 0
        flow.raw = False
        flow.done = True
        flow.broken = source.flags & (PORT_BROKEN | PORT_CUT) != 0      # RFC 9112 section 9.8
        return FLOW_CUT if flow.broken else FLOW_DONE
    source.flags |= PORT_READ
    return FLOW_GOING


cdef bint end_raw_chunk(Flow* flow, Port* to, Blocks* blocks) noexcept nogil:
    if not flow.decode:
        if not buffer_hold(&to.tx, blocks) or buffer_room(&to.tx, blocks) < 2:
            return False
        put(to, b"\r\n", 2)
    flow.raw = False
    return True


cdef int pass_chunk(Flow* flow, Port* source, Port* to, Blocks* blocks) noexcept nogil:
    """Hand over payload of the current chunk: what has come so far as a chunk of its own, or all of a large one as raw bytes."""
    cdef char line[SIZE_LINE_ROOM]
    cdef uint32_t have = buffer_n(&source.rx), room, n
    cdef uint64_t left = flow.chunk.left
    if not buffer_hold(&to.tx, blocks):
        return FLOW_BAD
    room = buffer_room(&to.tx, blocks)
    if room < SIZE_LINE_ROOM + 3:
        return FLOW_GOING                        # the engine empties tx first
    if left >= RAW_LEAST:
        if not flow.decode:
            put(to, line, <uint32_t>chunked_size_line(line, left))
        flow.total += left
        flow.chunk.left = 0
        send_raw(flow, source, to, left)
        return FLOW_GOING
    if have == 0:
        source.flags |= PORT_READ
        return FLOW_CUT if ended(source) else FLOW_GOING
    n = <uint32_t>min(left, <uint64_t>min(have, room - SIZE_LINE_ROOM - 2))
    if not flow.decode:
        put(to, line, <uint32_t>chunked_size_line(line, n))
    put(to, source.rx.at + source.rx.head, n)
    if not flow.decode:
        put(to, b"\r\n", 2)
    buffer_take(&source.rx, n)
    flow.chunk.left -= n
    flow.total += n
    return FLOW_DONE


cdef bint end_chunked(Flow* flow, Port* to, Blocks* blocks) noexcept nogil:
    """The last chunk and the trailers; False: no room yet."""
    cdef View trailers = flow.chunk.trailers
    if flow.decode:
        return True
    if not buffer_hold(&to.tx, blocks) or buffer_room(&to.tx, blocks) < trailers.n + 5:
        return False
    put(to, b"0\r\n", 3)
    if trailers.n:
        put(to, trailers.at, <uint32_t>trailers.n)
    put(to, b"\r\n", 2)
    return True


cdef int step_chunked(Flow* flow, Port* source, Port* to, Blocks* blocks) noexcept nogil:
    cdef size_t used = 0
    cdef ChunkEvent event
    cdef Chunked before
    cdef int state
    if flow.raw:
        if to.raw_left > 0:
            if ended(source) and to.in_pipe == 0:
                return FLOW_CUT
            source.flags |= PORT_READ
            return FLOW_GOING
        if not end_raw_chunk(flow, to, blocks):
            return FLOW_GOING
    while True:
        if flow.chunk.left > 0:
            state = pass_chunk(flow, source, to, blocks)
            if state != FLOW_DONE:
                return state
            continue
        if buffer_n(&source.rx) == 0:
            source.flags |= PORT_READ
            return FLOW_CUT if ended(source) else FLOW_GOING
        before = flow.chunk
        event = chunked_next(&flow.chunk, buffer_view(&source.rx), &used, min(<uint32_t>TRAILERS_MOST, blocks.size - SIZE_LINE_ROOM))
        if event == CHUNK_BAD:
            return FLOW_BAD
        if flow.most and flow.total + flow.chunk.left > flow.most:
            return FLOW_LARGE
        if event == CHUNK_END:
            if not end_chunked(flow, to, blocks):
                flow.chunk = before              # read the end again when there is room
                return FLOW_GOING
            buffer_take(&source.rx, <uint32_t>used)
            flow.done = True
            return FLOW_DONE
        buffer_take(&source.rx, <uint32_t>used)
        if event == CHUNK_MORE:
            source.flags |= PORT_READ
            return FLOW_CUT if source.flags & (PORT_EOF | PORT_BROKEN) else FLOW_GOING


cdef int flow_step(Flow* flow, Port* source, Port* to, Blocks* blocks) noexcept nogil:
    if likely(flow.done):
        return FLOW_CUT if flow.broken else FLOW_DONE
    if flow.kind == FLOW_LENGTH:
        return step_length(flow, source, to, blocks)
    if flow.kind == FLOW_CHUNKED:
        return step_chunked(flow, source, to, blocks)
    return step_to_eof(flow, source, to)
