"""The endpoint's answer, read and handed on. See answer.pxd."""

from edged._fast.base.status cimport BAD, MORE, Status
from edged._fast.base.view cimport View, likely, unlikely, view
from edged._fast.memory.buffer cimport buffer_hold, buffer_n, buffer_room, buffer_take, buffer_view
from edged._fast.parse.head cimport (
    HEAD_CHUNKED, HEAD_CLOSE, HEAD_KEEP_ALIVE, HEAD_LENGTH, HEAD_PRIVATE_AUTH, Head, head_response,
)
from edged._fast.route.edit cimport (
    EDIT_CLOSE, EDIT_DECHUNK, EDIT_KEEP_ALIVE, EDIT_NO_FRAMING, EDIT_SWITCH, edit_response,
)
from edged._fast.route.table cimport table_text
from edged._fast.talk.ending cimport end_refuse, take_head
from edged._fast.talk.exchange cimport (
    PHASE_ANSWER, PHASE_TUNNEL, X_ANSWER_BEGUN, X_AWAITS_100, X_BACK_STAYS, X_BY_COOKIE, X_CLIENT_STAYS, X_HEAD, X_PRIVATE, X_TUNNEL,
    X_UPGRADE,
)
from edged._fast.talk.flow cimport FLOW_CHUNKED, FLOW_LENGTH, FLOW_NONE, FLOW_TO_EOF, flow_open
from edged._fast.talk.notes cimport notes_take
from edged._fast.talk.spelling cimport spell_head
from edged._fast.talk.wants cimport PORT_READ, WANT_NOTHING


cdef uint32_t refuse_answer(Shared* s, Exchange* x, const char* why) noexcept nogil:
    s.bench.cells[x.endpoint.slot].response_errors += 1
    return end_refuse(s, x, 502, why, c"P", c"H")


cdef bint hand_on(Shared* s, Exchange* x, uint32_t flags, View cookie) noexcept nogil:
    """Write the edited head to the client's port; False: it does not fit (yet)."""
    cdef View certificate = view(NULL, 0)
    cdef size_t n
    if unlikely(x.client.certificate != NULL):
        certificate = x.client.certificate.der
    if not buffer_hold(&x.front.tx, &s.blocks):
        return False
    n = edit_response(x.front.tx.at + x.front.tx.tail, buffer_room(&x.front.tx, &s.blocks), s.answer, x.table, x.recipe, cookie,
                      certificate, flags)
    if unlikely(s.spellings != NULL):
        spell_head(s.spellings, x.front.tx.at + x.front.tx.tail, n)
    x.front.tx.tail += <uint32_t>n
    return n > 0


cdef uint32_t does_not_fit(Shared* s, Exchange* x) noexcept nogil:
    """Where interim answers are still on their way, this head is read again when they are out."""
    return WANT_NOTHING if buffer_n(&x.front.tx) else refuse_answer(s, x, b"the answer's head does not fit")


cdef void open_body(Exchange* x, const Head* head) noexcept nogil:
    """RFC 9112 section 6.3, for answers."""
    if x.flags & X_HEAD or head.status == 204 or head.status == 304:
        flow_open(&x.answering, FLOW_NONE, 0)
    elif head.flags & HEAD_CHUNKED:
        flow_open(&x.answering, FLOW_CHUNKED, 0)
        x.answering.decode = x.minor == 0
    elif head.flags & HEAD_LENGTH:
        flow_open(&x.answering, FLOW_LENGTH, head.length)
    else:
        flow_open(&x.answering, FLOW_TO_EOF, 0)


cdef uint32_t final(Shared* s, Exchange* x) noexcept nogil:
    cdef Head* head = s.answer
    cdef uint32_t flags = 0, answered
    cdef View cookie = view(NULL, 0)
    open_body(x, head)
    if x.answering.kind == FLOW_TO_EOF or x.answering.decode or s.draining:
        x.flags &= ~<uint32_t>X_CLIENT_STAYS
    if head.flags & HEAD_CLOSE or (head.minor == 0 and not head.flags & HEAD_KEEP_ALIVE) or x.answering.kind == FLOW_TO_EOF:
        x.flags &= ~<uint32_t>X_BACK_STAYS
    if head.flags & HEAD_PRIVATE_AUTH:
        x.flags |= X_PRIVATE
    if not x.flags & X_CLIENT_STAYS:
        flags |= EDIT_CLOSE
    elif x.minor == 0:
        flags |= EDIT_KEEP_ALIVE
    if head.status == 204:
        flags |= EDIT_NO_FRAMING
    if x.minor == 0:
        flags |= EDIT_DECHUNK
    if x.recipe.cookie_name.n and not x.flags & X_BY_COOKIE and x.endpoint.cookie.n:
        cookie = table_text(x.table, x.endpoint.cookie)
        x.cookie_out = c"I"
    if not hand_on(s, x, flags, cookie):
        return does_not_fit(s, x)
    if unlikely(x.notes != NULL):
        notes_take(x.notes, s.plan, head, True)
    buffer_take(&x.back.rx, head.size)
    take_head(x)
    answered = head.status // 100
    s.bench.cells[x.endpoint.slot].answers[answered - 1 if answered <= 5 else 5] += 1
    x.status = head.status
    x.flags |= X_ANSWER_BEGUN
    x.answered_ms = s.now_ms
    x.phase = PHASE_ANSWER
    return WANT_NOTHING


cdef uint32_t switch_protocols(Shared* s, Exchange* x) noexcept nogil:
    """101: from here on the two ports are a tunnel."""
    if not x.flags & X_UPGRADE:
        return refuse_answer(s, x, b"it switched protocols without being asked")
    if not x.asking.done:
        return refuse_answer(s, x, b"it switched protocols before it had the whole request")
    if not hand_on(s, x, EDIT_SWITCH | EDIT_NO_FRAMING, view(NULL, 0)):
        return does_not_fit(s, x)
    if unlikely(x.notes != NULL):
        notes_take(x.notes, s.plan, s.answer, True)
    buffer_take(&x.back.rx, s.answer.size)
    take_head(x)
    x.flags &= ~<uint32_t>(X_CLIENT_STAYS | X_BACK_STAYS)
    x.flags |= X_ANSWER_BEGUN
    x.status = 101
    x.answered_ms = s.now_ms
    x.phase = PHASE_TUNNEL
    flow_open(&x.asking, FLOW_TO_EOF, 0)
    flow_open(&x.answering, FLOW_TO_EOF, 0)
    s.bench.cells[x.endpoint.slot].answers[0] += 1
    x.flags |= X_TUNNEL
    s.tally.tunnels += 1
    return WANT_NOTHING


cdef uint32_t answer_head(Shared* s, Exchange* x) noexcept nogil:
    cdef Status status
    while True:
        status = head_response(s.answer, buffer_view(&x.back.rx), x.seen, &s.limits)
        if status == MORE:
            if x.back.rx.head == 0 and buffer_room(&x.back.rx, &s.blocks) == 0:
                return refuse_answer(s, x, b"the answer's head is too large")
            x.seen = buffer_n(&x.back.rx)
            x.back.flags |= PORT_READ
            return WANT_NOTHING
        x.seen = 0
        if status == BAD:
            return refuse_answer(s, x, s.answer.why)
        if likely(s.answer.status >= 200):
            return final(s, x)
        if s.answer.status == 101:
            return switch_protocols(s, x)
        # An interim answer: passed to HTTP/1.1 clients only (http-edge-behaviour.md 18.3).
        if x.minor >= 1 and not hand_on(s, x, EDIT_NO_FRAMING, view(NULL, 0)):
            return does_not_fit(s, x)
        x.flags &= ~<uint32_t>X_AWAITS_100
        buffer_take(&x.back.rx, s.answer.size)
        if buffer_n(&x.back.rx) == 0:
            x.back.flags |= PORT_READ
            return WANT_NOTHING
