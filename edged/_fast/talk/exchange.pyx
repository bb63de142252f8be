"""One request, the story in one place: look up, choose, edit, dial, retry, relay, end. See exchange.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from edged._fast.base.view cimport View, check, unlikely, view, view_is
from edged._fast.memory.buffer cimport buffer_hold, buffer_n, buffer_room, buffer_take, stock_give, stock_take
from edged._fast.parse.head cimport (
    HEAD_CHUNKED, HEAD_CLOSE, HEAD_EXPECT_CONTINUE, HEAD_KEEP_ALIVE, HEAD_LENGTH, HEAD_UPGRADE, Head, VERB_CONNECT, VERB_DELETE,
    VERB_GET, VERB_HEAD, VERB_OPTIONS, VERB_PRI, VERB_PUT, VERB_TRACE,
)
from edged._fast.route.reply cimport REPLY_HEAD, reply_monitor, reply_redirect, reply_wants_json
from edged._fast.route.table cimport Found, RECIPE_PLAIN, RECIPE_TLS, table_backend, table_find, table_of_listener
from edged._fast.talk.answer cimport answer_head
from edged._fast.talk.detach cimport detach_free
from edged._fast.talk.ending cimport end_cut, end_done, end_refuse, end_said, leave_endpoint, manner, take_head
from edged._fast.talk.flow cimport (
    FLOW_BAD, FLOW_CHUNKED, FLOW_CUT, FLOW_DONE, FLOW_GOING, FLOW_LARGE, FLOW_LENGTH, FLOW_NONE, FLOW_TO_EOF, flow_open, flow_step,
)
from edged._fast.talk.reach cimport reach, reach_compose
from edged._fast.talk.record cimport record_request
from edged._fast.talk.wants cimport (
    DEADLINE_EXCHANGE, PORT_BROKEN, PORT_CONNECTING, PORT_EOF, PORT_HUNG_UP, PORT_READ, PORT_REUSED, PORT_SHUT, PORT_SHUT_ASKED,
    WANT_DIAL, WANT_DROP, WANT_END, WANT_NOTHING, port_unsent,
)

cdef enum:
    LOGGED_TARGET_MOST = 1024


# --- begin and close -------------------------------------------------------------------------------------------------

cdef Exchange* exchange_open(Shared* s, Client* client, Port* front, void* owner) noexcept nogil:
    cdef Exchange* x = <Exchange*>stock_take(&s.exchanges)
    if unlikely(x == NULL):
        return NULL
    x.deadline.kind = DEADLINE_EXCHANGE
    x.client = client
    x.front = front
    x.owner = owner
    x.cause = c"-"
    x.state = c"-"
    x.cookie_in = c"-"
    x.cookie_out = c"-"
    x.minor = 1
    x.asking.done = True
    x.answering.done = False
    x.began_ms = s.now_ms
    x.began_us = s.wall_us
    x.moved_ms = s.now_ms
    x.sent_before = front.sent
    x.received_before = front.received
    if client.requests == 0:
        x.flags = X_FIRST
    client.requests += 1
    s.tally.exchanges += 1
    return x


cdef void exchange_close(Shared* s, Exchange* x) noexcept nogil:
    check(x.phase == PHASE_END and x.deadline.next == NULL and not x.flags & X_QUEUED)
    leave_endpoint(s, x)
    if x.backend != NULL:
        s.bench.cells[x.backend.slot].served -= 1
    if x.flags & X_DETACHED:
        detach_free(x)
    elif x.table != NULL:
        x.table.holders -= 1
    if x.flags & X_TUNNEL:
        s.tally.tunnels -= 1
    if s.head_of == x:
        s.head_of = NULL                         # another exchange may get the same memory
    x.front.raw_from = NULL
    x.front.raw_left = 0
    free(x.line)
    if unlikely(x.notes != NULL):
        free(x.notes)
    s.tally.exchanges -= 1
    stock_give(&s.exchanges, x)


cdef void remember_line(Shared* s, Exchange* x, const Head* head) noexcept nogil:
    """The access line is written when these bytes are long gone."""
    cdef size_t n = min(head.target.n, <size_t>LOGGED_TARGET_MOST)
    cdef char* at
    if not s.remember_lines:
        return
    at = <char*>malloc(head.method.n + n + head.authority.n + 1)
    if at == NULL:
        return
    x.line = at
    memcpy(at, head.method.at, head.method.n)
    x.method = view(at, head.method.n)
    at += head.method.n
    memcpy(at, head.target.at, n)
    x.target = view(at, n)
    at += n
    if head.authority.n:
        memcpy(at, head.authority.at, head.authority.n)
    x.host = view(at, head.authority.n)


cdef void hold_table(Shared* s, Exchange* x) noexcept nogil:
    x.table = s.table
    x.table.holders += 1


cdef void note_request(Shared* s, Exchange* x, const Head* head) noexcept nogil:
    """What is known from the head alone."""
    x.head_size = head.size
    x.received_head = x.received_before + head.size
    x.head_ms = s.now_ms
    x.verb = head.verb
    x.minor = head.minor
    if head.verb == VERB_HEAD:
        x.flags |= X_HEAD
    if head.verb in (VERB_GET, VERB_HEAD, VERB_OPTIONS, VERB_PUT, VERB_DELETE):
        x.flags |= X_IDEMPOTENT
    if head.flags & HEAD_UPGRADE:
        x.flags |= X_UPGRADE
    if head.flags & HEAD_EXPECT_CONTINUE:
        x.flags |= X_AWAITS_100
    if reply_wants_json(head):
        x.flags |= X_JSON
    if not head.flags & HEAD_CLOSE and (head.minor >= 1 or head.flags & HEAD_KEEP_ALIVE):
        x.flags |= X_CLIENT_STAYS
    if head.flags & HEAD_CHUNKED:
        flow_open(&x.asking, FLOW_CHUNKED, 0)
    elif head.flags & HEAD_LENGTH:
        flow_open(&x.asking, FLOW_LENGTH, head.length)
    else:
        flow_open(&x.asking, FLOW_NONE, 0)
    x.client.listener.cell.requests += 1
    s.tally.requests += 1
    remember_line(s, x, head)
    if unlikely(s.plan != NULL):
        record_request(s, x, head)


cdef uint32_t redirect(Shared* s, Exchange* x) noexcept nogil:
    """302 to https (openshift-routes.md 6.4); an absolute-form target is given by its path and query (19.4)."""
    cdef Head* head = s.head
    cdef View target = head.target
    cdef size_t n
    if head.authority.n == 0:
        return end_refuse(s, x, 400, b"no host that the redirect could name", c"P", c"R")
    if head.path.n:
        target = view(head.path.at, <size_t>(head.target.at + head.target.n - head.path.at))
    if not buffer_hold(&x.front.tx, &s.blocks):
        return end_cut(s, x, c"R", c"R")
    n = reply_redirect(x.front.tx.at + x.front.tx.tail, buffer_room(&x.front.tx, &s.blocks), head.authority, target, manner(s, x))
    return end_said(s, x, 302, n) if n else end_refuse(s, x, 414, b"too long to be redirected", c"P", c"R")


cdef uint32_t monitor(Shared* s, Exchange* x) noexcept nogil:
    """Whatever the host (openshift-routes.md 6.2, 15.4); WANT_NOTHING: another path is asked for. As with HAProxy, there is no access
    line. HAProxy answers 200 to every method; here only GET and HEAD ask how things are (high-availability.md B.2), and no method's
    requests get through to a route."""
    cdef bint allowed = s.head.verb == VERB_GET or s.head.verb == VERB_HEAD
    cdef uint32_t flags
    cdef size_t n
    if not view_is(s.head.path, b"/_______internal_router_healthz", 31):
        return WANT_NOTHING
    x.flags |= X_SILENT
    if not buffer_hold(&x.front.tx, &s.blocks):
        return end_cut(s, x, c"R", c"R")
    flags = manner(s, x) | (REPLY_HEAD if x.flags & X_HEAD else 0)
    n = reply_monitor(x.front.tx.at + x.front.tx.tail, buffer_room(&x.front.tx, &s.blocks), allowed, flags)
    return end_said(s, x, 200 if allowed else 405, n)


cdef uint32_t exchange_begin(Shared* s, Exchange* x) noexcept nogil:
    cdef Head* head = s.head
    cdef Found found
    cdef uint64_t most
    cdef uint32_t wants
    s.head_of = x
    note_request(s, x, head)
    if unlikely(x.client.monitored):
        wants = monitor(s, x)
        if wants:
            return wants
    if head.verb == VERB_PRI:
        return end_refuse(s, x, 505, b"HTTP/2 is not spoken here", c"P", c"R")
    if head.verb == VERB_CONNECT or head.verb == VERB_TRACE:
        return end_refuse(s, x, 405, b"this method is not forwarded", c"P", c"R")
    if unlikely(x.client.certificate != NULL and x.client.certificate.refused):
        return end_refuse(s, x, 403, b"the client's certificate is not accepted here", c"P", c"R")
    if s.table == NULL:
        return end_refuse(s, x, 503, b"no routes yet", c"S", c"C")
    hold_table(s, x)
    found = table_find(x.table, head.authority, head.path, RECIPE_TLS if x.client.tls else RECIPE_PLAIN)
    if unlikely(found.redirect):
        return redirect(s, x)
    if unlikely(found.recipe == NULL):
        return end_refuse(s, x, 404 if s.no_route_status else 503, b"no route", c"S", c"C")
    x.recipe = found.recipe
    x.backend = table_backend(x.table, x.recipe)
    s.bench.cells[x.backend.slot].served += 1
    most = x.recipe.max_body_bytes if x.recipe.max_body_bytes else s.max_body_bytes
    if unlikely(most) and not x.asking.done:
        if x.asking.kind == FLOW_LENGTH and x.asking.left > most:
            return end_refuse(s, x, 413, b"the body is too large", c"P", c"R")
        x.asking.most = most
    return reach(s, x, NULL)


cdef uint32_t exchange_begin_tcp(Shared* s, Exchange* x, const Recipe* recipe) noexcept nogil:
    x.flags |= X_TCP | X_IDEMPOTENT
    flow_open(&x.asking, FLOW_TO_EOF, 0)
    flow_open(&x.answering, FLOW_TO_EOF, 0)
    x.head_ms = s.now_ms
    s.tally.requests += 1
    if unlikely(x.client.certificate != NULL and x.client.certificate.refused):
        return end_cut(s, x, c"P", c"R")
    if s.table == NULL:
        return end_cut(s, x, c"S", c"C")
    hold_table(s, x)
    x.recipe = recipe if recipe != NULL else table_of_listener(x.table, x.client.listener.number)
    if x.recipe == NULL:
        return end_cut(s, x, c"S", c"C")
    x.backend = table_backend(x.table, x.recipe)
    s.bench.cells[x.backend.slot].served += 1
    return reach(s, x, NULL)


# --- connected -------------------------------------------------------------------------------------------------------

cdef uint32_t exchange_dialled(Shared* s, Exchange* x, Port* back) noexcept nogil:
    x.back = back
    if back.flags & PORT_REUSED:
        s.bench.cells[x.endpoint.slot].reused += 1
    else:
        s.bench.cells[x.endpoint.slot].connects += 1
    if unlikely(not reach_compose(s, x)):
        return end_refuse(s, x, 431, b"the head does not fit with what is added to it", c"P", c"R")
    if back.flags & PORT_CONNECTING:
        x.phase = PHASE_DIAL
        x.deadline.due_ms = deadline(s, x.backend.connect_ms, s.times.connect_ms, s.now_ms)
        return WANT_NOTHING
    return exchange_connected(s, x)


cdef uint32_t exchange_connected(Shared* s, Exchange* x) noexcept nogil:
    x.connected_ms = s.now_ms
    x.moved_ms = s.now_ms
    if x.flags & X_TCP:
        x.phase = PHASE_TUNNEL
        x.flags |= X_TUNNEL
        s.tally.tunnels += 1
    else:
        x.phase = PHASE_ASK
        x.flags |= X_BACK_STAYS
        if not x.asking.done:
            take_head(x)                         # its body moves on from behind it, so it cannot be repeated
    return exchange_step(s, x)


# --- the conversation itself -----------------------------------------------------------------------------------------

cdef inline int64_t deadline(const Shared* s, int32_t own_ms, int32_t default_ms, int64_t since_ms) noexcept nogil:
    cdef int32_t ms = own_ms if own_ms >= 0 else default_ms
    return since_ms + ms if ms else 0


cdef uint32_t back_failed(Shared* s, Exchange* x) noexcept nogil:
    """The endpoint closed or reset before a complete head of an answer."""
    cdef bint nothing_came = not x.flags & X_HEARD
    if x.back.flags & PORT_REUSED and nothing_came:
        if x.flags & X_IDEMPOTENT and x.head_size and not x.flags & X_REPLAYED:
            x.flags |= X_REPLAYED | X_FRESH
            x.asked_ms = 0
            x.phase = PHASE_DIAL
            return WANT_DROP | WANT_DIAL
        if not x.flags & X_FIRST:
            x.flags |= X_SILENT                  # the client knows: it repeats what it sent on a kept connection
            return end_cut(s, x, c"S", c"H")
    s.bench.cells[x.endpoint.slot].response_errors += 1
    return end_refuse(s, x, 502, b"the endpoint closed before it answered" if nothing_came else b"the endpoint's answer is incomplete",
                      c"S", c"H")


cdef uint32_t step_asking(Shared* s, Exchange* x) noexcept nogil:
    """The request's body on its way to the endpoint."""
    cdef int state = flow_step(&x.asking, x.front, x.back, &s.blocks)
    if state == FLOW_LARGE:
        return end_refuse(s, x, 413, b"the body is too large", c"P", c"R")
    if state == FLOW_BAD:
        return end_refuse(s, x, 400, b"the body's framing is broken", c"P", c"R")
    if state == FLOW_CUT:
        s.bench.cells[x.endpoint.slot].client_aborts += 1
        if x.flags & X_ANSWER_BEGUN:
            give_up_asking(x)
        else:
            return end_refuse(s, x, 400, b"the body is incomplete", c"C", c"H")
    return WANT_NOTHING


cdef void give_up_asking(Exchange* x) noexcept nogil:
    """The client stopped in the middle of its body, but what the endpoint answers meanwhile is still of use to it."""
    x.back.raw_left = 0
    x.back.flags |= PORT_SHUT_ASKED
    x.asking.done = True
    x.flags &= ~<uint32_t>(X_CLIENT_STAYS | X_BACK_STAYS)


cdef uint32_t step_ask(Shared* s, Exchange* x) noexcept nogil:
    cdef uint32_t wants
    if not x.asking.done and not x.back.flags & PORT_BROKEN:
        wants = step_asking(s, x)
        if wants:
            return wants
    if x.asking.done and x.asked_ms == 0 and port_unsent(x.back) == 0 and x.back.raw_left == 0:
        x.asked_ms = s.now_ms
        x.moved_ms = s.now_ms
        if not x.back.flags & PORT_REUSED:
            take_head(x)                         # a fresh connection that has it all: no reason to repeat it any more
    if s.abort_on_close and x.asking.done and client_left(x):
        s.bench.cells[x.endpoint.slot].client_aborts += 1
        return end_refuse(s, x, 400, b"the client left", c"C", c"H")
    if buffer_n(&x.back.rx):
        x.flags |= X_HEARD
        wants = answer_head(s, x)
        if wants or x.phase != PHASE_ASK:
            return wants
    else:
        x.back.flags |= PORT_READ
    if x.back.flags & PORT_READ and x.back.flags & (PORT_EOF | PORT_BROKEN):
        return back_failed(s, x)
    return WANT_NOTHING


cdef inline bint client_left(const Exchange* x) noexcept nogil:
    """Nobody reads from it while its request is being served, so that the end of its direction may still wait behind the bytes."""
    return x.front.flags & (PORT_EOF | PORT_HUNG_UP) != 0


cdef uint32_t refuse_answer_begun(Shared* s, Exchange* x) noexcept nogil:
    """The body was broken from its start: as nothing of the answer has gone out, the client can still be told."""
    buffer_take(&x.front.tx, buffer_n(&x.front.tx))
    x.flags &= ~<uint32_t>X_ANSWER_BEGUN
    x.cookie_out = c"N" if x.recipe.cookie_name.n else c"-"
    return end_refuse(s, x, 502, b"the framing of the endpoint's answer is broken", c"P", c"H")


cdef uint32_t step_answer(Shared* s, Exchange* x) noexcept nogil:
    cdef uint32_t wants
    cdef int state
    if not x.asking.done and not x.back.flags & (PORT_BROKEN | PORT_EOF):
        wants = step_asking(s, x)
        if wants:
            return wants
    state = flow_step(&x.answering, x.back, x.front, &s.blocks)
    if state == FLOW_GOING:
        return WANT_NOTHING
    if state == FLOW_DONE:
        if port_unsent(x.front):
            return WANT_NOTHING
        if buffer_n(&x.back.rx) or x.back.raw_left or port_unsent(x.back):
            x.flags &= ~<uint32_t>X_BACK_STAYS   # bytes that nobody announced must never reach another client
        return end_done(s, x)
    if state == FLOW_CUT and port_unsent(x.front):
        return WANT_NOTHING                      # what came before is the client's
    s.bench.cells[x.endpoint.slot].response_errors += 1
    if state == FLOW_BAD and x.front.sent == x.sent_before:
        return refuse_answer_begun(s, x)
    return end_cut(s, x, c"S", c"D")


cdef void half_close(Port* source, Port* to, Flow* flow) noexcept nogil:
    """`source` has ended and all of it is out: end the same direction behind us."""
    if flow.done and not to.flags & (PORT_SHUT | PORT_SHUT_ASKED):
        to.flags |= PORT_SHUT_ASKED


cdef uint32_t step_tunnel(Shared* s, Exchange* x) noexcept nogil:
    flow_step(&x.asking, x.front, x.back, &s.blocks)
    flow_step(&x.answering, x.back, x.front, &s.blocks)
    if x.back.flags & PORT_BROKEN:
        return end_cut(s, x, c"S", c"D") if x.answering.done and port_unsent(x.front) == 0 else WANT_NOTHING
    half_close(x.front, x.back, &x.asking)
    half_close(x.back, x.front, &x.answering)
    if x.asking.done and x.answering.done and x.front.flags & PORT_SHUT and x.back.flags & PORT_SHUT:
        return end_done(s, x)
    return WANT_NOTHING


cdef uint32_t client_broke(Shared* s, Exchange* x) noexcept nogil:
    if x.endpoint != NULL:
        s.bench.cells[x.endpoint.slot].client_aborts += 1
    if x.phase == PHASE_QUEUE:
        x.placed_ms = s.now_ms                   # the line tells how long it has waited
        return end_cut(s, x, c"C", c"Q")
    if x.phase == PHASE_DIAL or x.phase == PHASE_PAUSE:
        return end_cut(s, x, c"C", c"C")
    if x.phase == PHASE_ASK:
        return end_cut(s, x, c"C", c"H")
    return end_cut(s, x, c"C", c"D")


cdef void set_deadline(Shared* s, Exchange* x) noexcept nogil:
    """Inactivity of whoever has to act next (http-edge-behaviour.md 7: time the slow side)."""
    cdef uint64_t mark = x.front.sent + x.front.received + x.back.sent + x.back.received - x.front.sealed - x.back.sealed
    cdef int64_t due
    cdef const Backend* b = x.backend
    if mark != x.moved_mark:
        x.moved_mark = mark
        x.moved_ms = s.now_ms
    if x.phase == PHASE_TUNNEL:
        due = deadline(s, b.tunnel_ms, s.times.tunnel_ms, x.moved_ms)
        if x.answering.done:                     # the client has been told the end, and it is its turn to end
            due = deadline(s, b.client_fin_ms, s.times.client_fin_ms, x.moved_ms) or due
        elif x.asking.done:
            due = deadline(s, b.server_fin_ms, s.times.server_fin_ms, x.moved_ms) or due
    elif waits_for_client(x):
        due = deadline(s, b.client_ms, s.times.client_ms, x.moved_ms)
    else:
        due = deadline(s, b.server_ms, s.times.server_ms, x.moved_ms)
    x.deadline.due_ms = due


cdef bint waits_for_client(const Exchange* x) noexcept nogil:
    """To take (a part of) the answer, or to send its body."""
    if port_unsent(x.front) > 0 or x.front.in_pipe > 0 or (x.front.raw_left > 0 and buffer_n(&x.back.rx) > 0):
        return True
    if x.asking.done or port_unsent(x.back) > 0 or x.back.in_pipe > 0 or not x.front.flags & PORT_READ:
        return False
    if x.asking.raw and buffer_n(&x.front.rx) > 0:
        return False                             # the endpoint does not take it
    return not x.flags & X_AWAITS_100 or x.front.received > x.received_head


cdef uint32_t exchange_step(Shared* s, Exchange* x) noexcept nogil:
    cdef uint32_t wants
    if x.phase == PHASE_END:
        return WANT_NOTHING
    if unlikely(x.front.flags & PORT_BROKEN):
        return client_broke(s, x)
    if x.phase < PHASE_ASK:
        if s.abort_on_close and client_left(x) and not x.flags & X_TCP:
            return client_broke(s, x)
        return WANT_NOTHING
    x.front.flags &= ~<uint32_t>PORT_READ
    x.back.flags &= ~<uint32_t>PORT_READ
    wants = WANT_NOTHING
    if x.phase == PHASE_ASK:
        wants = step_ask(s, x)
    if wants == WANT_NOTHING and x.phase == PHASE_ANSWER:
        wants = step_answer(s, x)
    if wants == WANT_NOTHING and x.phase == PHASE_TUNNEL:
        wants = step_tunnel(s, x)
    if wants == WANT_NOTHING:
        set_deadline(s, x)
    return wants


cdef uint32_t exchange_timeout(Shared* s, Exchange* x) noexcept nogil:
    """Its deadline has passed. In PHASE_DIAL the engine closes the half-open channel and calls reach_failed instead."""
    if x.phase == PHASE_PAUSE:
        x.phase = PHASE_DIAL
        return WANT_DIAL
    if x.phase == PHASE_QUEUE:
        x.placed_ms = s.now_ms
        return end_refuse(s, x, 503, b"no place became free in time", c"s", c"Q")
    if x.phase == PHASE_TUNNEL:
        return end_cut(s, x, c"s" if x.asking.done and not x.answering.done else c"c", c"D")
    if waits_for_client(x):
        if x.phase == PHASE_ASK:
            return end_refuse(s, x, 408, b"the body did not arrive in time", c"c", c"H")
        return end_cut(s, x, c"c", c"D")
    s.bench.cells[x.endpoint.slot].response_errors += 1
    if x.phase == PHASE_ASK:
        return end_refuse(s, x, 504, b"the endpoint did not answer in time", c"s", c"H")
    return end_cut(s, x, c"s", c"D")
