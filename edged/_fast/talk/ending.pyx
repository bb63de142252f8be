"""How an exchange ends. See ending.pxd."""

from libc.string cimport strlen

from edged._fast.base.view cimport check, unlikely, view
from edged._fast.memory.buffer cimport buffer_hold, buffer_room, buffer_take
from edged._fast.route.reply cimport REPLY_CLOSE, REPLY_HEAD, REPLY_JSON, REPLY_KEEP_ALIVE, reply_error
from edged._fast.talk.exchange cimport (
    PHASE_END, X_BACK_STAYS, X_ANSWER_BEGUN, X_CLIENT_STAYS, X_COUNTED, X_CUT, X_HEAD, X_JSON, X_TCP,
)
from edged._fast.talk.spelling cimport spell_head
from edged._fast.talk.wants cimport PORT_BROKEN, WANT_DROP, WANT_END, WANT_PARK


cdef void take_head(Exchange* x) noexcept nogil:
    if x.head_size:
        buffer_take(&x.front.rx, x.head_size)
        x.head_size = 0


cdef void leave_endpoint(Shared* s, Exchange* x) noexcept nogil:
    if x.flags & X_COUNTED:
        x.flags &= ~<uint32_t>X_COUNTED
        s.bench.cells[x.endpoint.slot].served -= 1
        check(s.bench.cells[x.endpoint.slot].served >= 0)


cdef uint32_t finish(Exchange* x) noexcept nogil:
    cdef uint32_t wants = WANT_END
    take_head(x)
    x.phase = PHASE_END
    if x.back != NULL:
        wants |= WANT_PARK if x.flags & X_BACK_STAYS else WANT_DROP
    return wants


cdef uint32_t end_done(Shared* s, Exchange* x) noexcept nogil:
    x.cause = c"-"
    x.state = c"-"
    if not x.asking.done:
        # Answered before the request was read to its end: the rest of it is nobody's.
        x.flags &= ~<uint32_t>(X_CLIENT_STAYS | X_BACK_STAYS)
    return finish(x)


cdef uint32_t manner(Shared* s, Exchange* x) noexcept nogil:
    if not x.flags & X_CLIENT_STAYS or not x.asking.done or s.draining:
        x.flags &= ~<uint32_t>X_CLIENT_STAYS
        return REPLY_CLOSE
    return REPLY_KEEP_ALIVE if x.minor == 0 else 0


cdef uint32_t end_said(Shared* s, Exchange* x, uint16_t status, size_t n) noexcept nogil:
    if unlikely(s.spellings != NULL):
        spell_head(s.spellings, x.front.tx.at + x.front.tx.tail, n)
    x.front.tx.tail += <uint32_t>n
    x.status = status
    s.tally.answered_here += 1
    end_done(s, x)
    x.cause = c"L"
    x.state = c"R"
    return WANT_END


cdef uint32_t end_cut(Shared* s, Exchange* x, char cause, char state) noexcept nogil:
    x.cause = cause
    x.state = state
    x.flags &= ~<uint32_t>(X_CLIENT_STAYS | X_BACK_STAYS)
    x.flags |= X_CUT
    return finish(x)


cdef uint32_t end_refuse(Shared* s, Exchange* x, uint16_t status, const char* detail, char cause, char state) noexcept nogil:
    """Answer with a page of our own. Complete requests keep the client's connection (http-edge-behaviour.md 3); 400 and 408
    close it. A client that has part of another answer already, or speaks TCP, is cut off."""
    cdef uint32_t flags = 0, room
    cdef size_t n
    cdef bint stays
    if x.flags & (X_ANSWER_BEGUN | X_TCP) or x.front.flags & PORT_BROKEN:
        return end_cut(s, x, cause, state)
    stays = x.flags & X_CLIENT_STAYS and x.asking.done and status != 400 and status != 408 and not s.draining
    x.flags &= ~<uint32_t>(X_BACK_STAYS | X_CLIENT_STAYS)
    if not buffer_hold(&x.front.tx, &s.blocks):
        return end_cut(s, x, cause, state)
    if x.flags & X_HEAD:
        flags |= REPLY_HEAD
    if x.flags & X_JSON:
        flags |= REPLY_JSON
    if not stays:
        flags |= REPLY_CLOSE
    elif x.minor == 0:
        flags |= REPLY_KEEP_ALIVE
    room = buffer_room(&x.front.tx, &s.blocks)
    n = reply_error(x.front.tx.at + x.front.tx.tail, room, status, view(detail, strlen(detail)), flags)
    if n == 0:
        return end_cut(s, x, cause, state)
    if unlikely(s.spellings != NULL):
        spell_head(s.spellings, x.front.tx.at + x.front.tx.tail, n)
    x.front.tx.tail += <uint32_t>n
    if stays:
        x.flags |= X_CLIENT_STAYS
    x.status = status
    x.cause = cause
    x.state = state
    s.tally.answered_here += 1
    return finish(x)
