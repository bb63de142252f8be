"""The way to an endpoint. See reach.pxd."""

from libc.stdint cimport int32_t, uint8_t

from edged._fast.base.status cimport DONE
from edged._fast.base.view cimport check, unlikely, view
from edged._fast.memory.arena cimport STANDING_DRAINING, STANDING_UP
from edged._fast.memory.buffer cimport buffer_hold, buffer_n, buffer_room, buffer_view
from edged._fast.parse.head cimport head_request
from edged._fast.parse.proxyline cimport proxyline_write
from edged._fast.route.balance cimport Asked, Choice, balance_choose, balance_has_room
from edged._fast.route.edit cimport EDIT_UPGRADE, Extra, edit_cookie, edit_request
from edged._fast.route.lineup cimport effective_weight
from edged._fast.route.table cimport (
    BALANCE_HDR, BALANCE_SOURCE, BALANCE_URI, BALANCE_URL_PARAM, RECIPE_ADJUST_CASE, Backend, table_text,
)
from edged._fast.talk.address cimport address_text
from edged._fast.talk.ending cimport end_refuse, leave_endpoint
from edged._fast.talk.exchange cimport (
    PHASE_DIAL, PHASE_PAUSE, PHASE_QUEUE, X_BY_COOKIE, X_COUNTED, X_FIRST, X_FRESH, X_IDEMPOTENT, X_PRIVATE, X_REDISPATCHED, X_TCP,
    X_UPGRADE,
)
from edged._fast.talk.spelling cimport spell_head
from edged._fast.talk.wants cimport PORT_REUSED, Port, REUSE_ALWAYS, REUSE_NEVER, WANT_DIAL, WANT_NOTHING, WANT_QUEUE

cdef enum:
    PAUSE_MOST_MS = 1000         # before the same endpoint is dialled again


cdef bint read_head_again(Shared* s, Exchange* x) noexcept nogil:
    """Shared.head as it was when the exchange began; the head still stands in front.rx."""
    if x.flags & X_TCP or s.head_of == x:
        return True
    if x.head_size == 0 or head_request(s.head, buffer_view(&x.front.rx), 0, &s.limits) != DONE:
        return False
    s.head_of = x
    return True


cdef uint32_t reach(Shared* s, Exchange* x, const Endpoint* avoid) noexcept nogil:
    """An endpoint, a place in a queue, or 503."""
    cdef Asked asked
    cdef Choice choice
    cdef bint newcomer = x.phase != PHASE_QUEUE
    asked.head = NULL
    asked.cookie = view(NULL, 0)
    asked.source = x.client.peer
    asked.avoid = avoid
    if not x.flags & X_TCP and read_head_again(s, x):
        asked.head = s.head
        if x.recipe.cookie_name.n and avoid == NULL:
            asked.cookie = edit_cookie(s.head, table_text(x.table, x.recipe.cookie_name))
            x.cookie_in = c"I" if asked.cookie.n else c"N"
            x.cookie_out = c"N"
    choice = balance_choose(&s.bench, x.table, x.backend, &asked)
    if choice.by_cookie:
        x.flags |= X_BY_COOKIE
        x.cookie_in = c"V"
    else:
        x.flags &= ~<uint32_t>X_BY_COOKIE
        if choice.cookie_down or x.cookie_in == c"V":
            x.cookie_in = c"D"
    if choice.endpoint == NULL and not choice.full:
        return end_refuse(s, x, 503, b"no endpoint is available", c"S", c"C")
    if newcomer and not choice.by_cookie and x.backend.limited and s.bench.cells[x.backend.slot].queued > 0:
        return wait_in_queue(s, x, choice.bound)     # a place that became free belongs to those who wait already
    if choice.endpoint == NULL:
        return wait_in_queue(s, x, choice.bound) if newcomer else WANT_NOTHING
    return place(s, x, choice.endpoint)


cdef uint32_t place(Shared* s, Exchange* x, const Endpoint* endpoint) noexcept nogil:
    x.endpoint = endpoint
    x.placed_ms = s.now_ms
    s.bench.cells[x.endpoint.slot].served += 1
    s.bench.cells[x.endpoint.slot].sessions += 1
    x.flags |= X_COUNTED
    x.phase = PHASE_DIAL
    return WANT_DIAL


cdef uint32_t wait_in_queue(Shared* s, Exchange* x, const Endpoint* bound) noexcept nogil:
    cdef int32_t wait = x.backend.queue_ms if x.backend.queue_ms >= 0 else s.times.queue_ms
    x.bound = bound
    x.endpoint = bound
    x.phase = PHASE_QUEUE
    x.ahead_backend = <uint32_t>s.bench.cells[x.backend.slot].queued
    if bound != NULL:
        x.ahead_endpoint = <uint32_t>s.bench.cells[bound.slot].queued
    x.deadline.due_ms = s.now_ms + wait if wait else 0
    return WANT_QUEUE


cdef uint32_t reach_place(Shared* s, Exchange* x) noexcept nogil:
    cdef const Endpoint* bound = x.bound
    cdef uint8_t standing
    check(x.phase == PHASE_QUEUE)
    if bound != NULL:
        # Those who wait for it are counted, so `reach` would call it full.
        standing = s.bench.standings[bound.slot].standing
        if standing == STANDING_UP or (standing == STANDING_DRAINING and x.flags & X_BY_COOKIE):
            return place(s, x, bound) if balance_has_room(&s.bench, bound) else WANT_NOTHING
    return reach(s, x, NULL)


cdef uint32_t reach_place_at(Shared* s, Exchange* x, const Endpoint* endpoint) noexcept nogil:
    check(x.phase == PHASE_QUEUE and x.bound == NULL)
    # A backup is not for everybody, even where a cookie names it.
    if endpoint.backup or effective_weight(&s.bench.standings[endpoint.slot], endpoint) == 0 or not balance_has_room(&s.bench, endpoint):
        return WANT_NOTHING
    return place(s, x, endpoint)


cdef bint reach_may_reuse(const Shared* s, const Exchange* x) noexcept nogil:
    """option http-reuse (http-edge-behaviour.md 5). What can be repeated may take any idle channel: should that one turn out to be
    closed, the request goes out again on a fresh one (18.7), so `safe` need not spare it to first requests."""
    if x.flags & (X_FRESH | X_TCP) or x.backend.send_proxy or s.reuse == REUSE_NEVER:
        return False
    if s.reuse == REUSE_ALWAYS or not x.flags & X_FIRST:
        return True
    return x.flags & X_IDEMPOTENT and x.asking.done


cdef bint reach_compose(Shared* s, Exchange* x) noexcept nogil:
    """What the endpoint is to read first, in back.tx: the PROXY header, then the request's head."""
    cdef Port* back = x.back
    cdef uint32_t flags = EDIT_UPGRADE if x.flags & X_UPGRADE else 0
    cdef Extra id
    cdef const Extra* extra = NULL
    cdef size_t n
    if x.flags & X_TCP and not x.backend.send_proxy:
        return True                              # an idle tunnel holds no block
    if not buffer_hold(&back.tx, &s.blocks):
        return False
    if x.backend.send_proxy and not back.flags & PORT_REUSED:
        back.tx.tail += <uint32_t>proxyline_write(back.tx.at + back.tx.tail, x.backend.send_proxy, &x.client.peer, &x.client.local)
        if x.backend.trust:
            back.bare = buffer_n(&back.tx)
        x.flags |= X_PRIVATE
    if x.flags & X_TCP:
        return True
    if not read_head_again(s, x):
        return False
    if s.peer_of != x.client:
        address_text(&s.peer, x.client)
        s.peer_of = x.client
    if unlikely(x.notes != NULL and x.notes.id_n and s.plan.id_header.n):
        id.name, id.value = s.plan.id_header, view(x.notes.id, x.notes.id_n)
        extra = &id
    n = edit_request(back.tx.at + back.tx.tail, buffer_room(&back.tx, &s.blocks), s.head, x.table, x.recipe, &s.peer, flags, extra)
    if unlikely(s.spellings != NULL) and x.recipe.flags & RECIPE_ADJUST_CASE:
        spell_head(s.spellings, back.tx.at + back.tx.tail, n)
    back.tx.tail += <uint32_t>n
    return n > 0


cdef bint moves_on(const Shared* s, const Exchange* x) noexcept nogil:
    """option redispatch (http-edge-behaviour.md 6): does this retry go to another endpoint?"""
    cdef const Backend* backend = x.backend
    if backend.redispatch == 0:
        return False
    if s.bench.standings[x.endpoint.slot].standing != STANDING_UP:
        return True
    if backend.n_active > 1 and not x.flags & X_BY_COOKIE and backend.algorithm not in (
            BALANCE_SOURCE, BALANCE_URI, BALANCE_URL_PARAM, BALANCE_HDR):
        return True
    if backend.redispatch < 0:
        return x.retries == backend.retries
    return x.retries % backend.redispatch == 0


cdef uint32_t reach_failed(Shared* s, Exchange* x, bint timed_out) noexcept nogil:
    cdef const Endpoint* failed = x.endpoint
    cdef int32_t pause = x.backend.connect_ms if x.backend.connect_ms >= 0 else s.times.connect_ms
    cdef uint32_t wants
    x.back = NULL
    s.bench.cells[failed.slot].connect_errors += 1
    if x.fault != NULL and x.backend.n_active <= 1:
        return end_refuse(s, x, 503, b"the endpoint is not the one that is expected there", c"S", c"C")
    if x.retries >= x.backend.retries:
        return end_refuse(s, x, 503, b"the endpoint cannot be reached", c"s" if timed_out else c"S", c"C")
    x.retries += 1
    if moves_on(s, x):
        leave_endpoint(s, x)
        wants = reach(s, x, failed)
        if wants != WANT_DIAL or x.endpoint != failed:
            s.bench.cells[failed.slot].redispatches += 1
            x.flags |= X_REDISPATCHED
            return wants
    s.bench.cells[failed.slot].retries += 1      # there is no other one
    if timed_out:
        return WANT_DIAL                         # a timeout has been pause enough
    x.phase = PHASE_PAUSE
    x.deadline.due_ms = s.now_ms + (min(pause, PAUSE_MOST_MS) if pause else PAUSE_MOST_MS)
    return WANT_NOTHING
