"""Carrying out what conversations want. See serve.pxd."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from edged._fast.base.linux cimport (
    EINPROGRESS, EMFILE, ENFILE, close, edged_address, edged_address_read, edged_connect_ip, edged_connect_unix, edged_errno,
    edged_local, edged_socket,
)
from edged._fast.base.view cimport View, check, unlikely
from edged._fast.memory.buffer cimport buffer_drop, buffer_n
from edged._fast.route.table cimport Endpoint, table_text
from edged._fast.run.account cimport account
from edged._fast.run.channel cimport (
    channel_again, channel_attend, channel_close, channel_open, channel_pull, channel_push, channel_quiet, channel_reset,
)
from edged._fast.run.core cimport CHANNEL_SERVER
from edged._fast.run.pool cimport pool_discard, pool_oldest, pool_put, pool_take
from edged._fast.run.relay cimport relay_drop_pipe, relay_fits
from edged._fast.run.waitlist cimport waitlist_add, waitlist_remove
from edged._fast.run.wheel cimport wheel_drop, wheel_plan
from edged._fast.talk.ending cimport end_cut
from edged._fast.talk.exchange cimport (
    PHASE_ASK, PHASE_DIAL, X_FRESH, X_PRIVATE, X_QUEUED, exchange_close, exchange_connected, exchange_dialled, exchange_step,
    exchange_timeout,
)
from edged._fast.talk.h1 cimport (
    FRONT_BEGUN, FRONT_CLOSE, FRONT_CLOSED, FRONT_EXCHANGE, FRONT_RESET, FRONT_WAIT, FrontWant, front_close, front_ended, front_step,
    front_timeout,
)
from edged._fast.talk.reach cimport reach_failed, reach_may_reuse, reach_place, reach_place_at
from edged._fast.talk.wants cimport (
    DEADLINE_FRONT, PORT_CONNECTING, PORT_READ, PORT_READABLE, PORT_REUSED, PORT_SHUT, PORT_SHUT_ASKED, PORT_WRITABLE, Port,
    REUSE_NEVER, WANT_DIAL, WANT_DROP, WANT_END, WANT_NOTHING, WANT_PARK, WANT_QUEUE,
)

cdef extern from * nogil:
    """
    static inline uint64_t edged_mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
    }
    """
    uint64_t mix "edged_mix"(uint64_t hash, uint64_t word)

cdef enum Course:                # of a front, after one step
    COURSE_AWAY = 0              # closed, or in an exchange: not ours to touch any more
    COURSE_REST = 1              # nothing more can be done now
    COURSE_ON = 2

cdef enum:
    ROUNDS_MOST = 64             # of one conversation in one turn; others want their share


# --- channels to endpoints -------------------------------------------------------------------------------------------

cdef uint64_t address_hash(const Endpoint* e, View path, uint8_t send_proxy) noexcept nogil:
    """Where the endpoint is, and how it is spoken to: no exchange may get a channel that leads elsewhere."""
    cdef uint64_t words[4]
    cdef uint64_t hash = e.family | <uint64_t>send_proxy << 8
    cdef uint32_t i
    words[3] = 0
    memcpy(words, e.socket, sizeof(e.socket))
    for i in range(4):
        hash = mix(hash, words[i])
    for i in range(path.n):
        hash = mix(hash, <uint8_t>path.at[i])
    return hash


cdef int open_socket(Core* core, uint8_t family) noexcept nogil:
    """A descriptor; where none is left, an idle channel of the pool gives its own."""
    cdef int fd = edged_socket(family)
    cdef Channel* spare
    if unlikely(fd < 0 and (edged_errno() == EMFILE or edged_errno() == ENFILE)):
        core.no_descriptors = True
        spare = pool_oldest(core)
        if spare != NULL:
            pool_discard(core, spare)
            fd = edged_socket(family)
    return fd


cdef Channel* connect_to(Core* core, Exchange* x, View path, uint64_t hash) noexcept nogil:
    """NULL: failed at once."""
    cdef const Endpoint* e = x.endpoint
    cdef int fd = open_socket(core, e.family), failed
    cdef Channel* c
    if unlikely(fd < 0):
        return NULL
    failed = edged_connect_unix(fd, path.at, path.n) if e.family == 1 else edged_connect_ip(fd, e.socket, e.socket_bytes)
    if failed and edged_errno() != EINPROGRESS:
        close(fd)
        return NULL
    c = channel_open(core, fd, CHANNEL_SERVER)
    if unlikely(c == NULL):
        close(fd)
        return NULL
    if failed:
        c.port.flags = PORT_CONNECTING
    c.slot = e.slot
    c.address_hash = hash
    return c


cdef Channel* own_channel(Core* core, Exchange* x, uint64_t hash) noexcept nogil:
    """The channel that belongs to this client, if it leads to the endpoint that was chosen."""
    cdef Channel* c = <Channel*>x.client.own
    if c == NULL:
        return NULL
    x.client.own = NULL
    c.kept_by = NULL
    if x.client.own_slot == x.endpoint.slot and c.address_hash == hash and channel_quiet(c) and not x.flags & X_FRESH:
        x.flags |= X_PRIVATE
        return c
    channel_close(core, c)
    return NULL


cdef void serve_local_address(Client* client, int fd) noexcept nogil:
    cdef edged_address local
    if client.local_known or edged_local(fd, &local) != 0:
        return
    client.local.family = <uint8_t>edged_address_read(&local, client.local.at, &client.local.port)
    client.local_known = True


cdef uint32_t dial(Core* core, Exchange* x) noexcept nogil:
    cdef View path = table_text(x.table, x.endpoint.path)
    cdef uint64_t hash = address_hash(x.endpoint, path, x.backend.send_proxy)
    cdef Channel* c = own_channel(core, x, hash)
    if x.backend.send_proxy:
        serve_local_address(x.client, (<Channel*>x.front).fd)
    if c == NULL and reach_may_reuse(&core.s, x):
        c = pool_take(core, x.endpoint.slot, hash)
    if c == NULL:
        c = connect_to(core, x, path, hash)
    if unlikely(c == NULL):
        return reach_failed(&core.s, x, False)
    c.owner = x
    return exchange_dialled(&core.s, x, &c.port)


cdef void let_go(Core* core, Exchange* x, bint keep) noexcept nogil:
    cdef Channel* c = <Channel*>x.back
    x.back = NULL
    if c == NULL:
        return
    if x.front.raw_from == &c.port:
        relay_drop_pipe(core, <Channel*>x.front)
        x.front.raw_from = NULL
        x.front.raw_left = 0
    c.owner = NULL
    if not keep or not channel_quiet(c):
        channel_close(core, c)
        return
    c.port.flags |= PORT_REUSED
    c.large = c.spliced
    c.spliced = False
    c.port.raw_from = NULL
    buffer_drop(&c.port.rx, &core.s.blocks)
    if x.flags & X_PRIVATE or core.s.reuse == REUSE_NEVER:
        check(x.client.own == NULL)
        c.kept_by = x.client
        x.client.own = &c.port
        x.client.own_slot = c.slot
    else:
        pool_put(core, c)


# --- an exchange -----------------------------------------------------------------------------------------------------

cdef bint move(Core* core, Exchange* x) noexcept nogil:
    """Push and pull whatever is possible now; True: something changed."""
    cdef bint moved = False
    cdef Channel* front = <Channel*>x.front
    cdef Channel* back = <Channel*>x.back
    if back != NULL and has_to_push(&back.port):
        moved = channel_push(core, back)
    if has_to_push(&front.port):
        moved |= channel_push(core, front)
    if back != NULL and has_to_pull(&back.port) and not goes_by_pipe(core, back, front):
        moved |= channel_pull(core, back)
    if has_to_pull(&front.port) and not (back != NULL and goes_by_pipe(core, front, back)):
        moved |= channel_pull(core, front)
    return moved


cdef inline bint has_to_push(const Port* port) noexcept nogil:
    return buffer_n(&port.tx) or port.raw_left or port.flags & (PORT_SHUT_ASKED | PORT_SHUT) == PORT_SHUT_ASKED


cdef inline bint has_to_pull(const Port* port) noexcept nogil:
    return port.flags & (PORT_READ | PORT_READABLE) == PORT_READ | PORT_READABLE


cdef bint goes_by_pipe(Core* core, Channel* source, Channel* to) noexcept nogil:
    """Bytes of `source` must not be read while those before them are in, or about to go into, the pipe."""
    if to.port.raw_from != &source.port or to.port.raw_left == 0:
        return False
    if to.port.in_pipe:
        return True
    return buffer_n(&to.port.tx) == 0 and buffer_n(&source.port.rx) == 0 and relay_fits(core, source, to)


cdef inline void tidy(Core* core, Port* port) noexcept nogil:
    """Who has nothing in hand holds no block."""
    if port.rx.at != NULL and buffer_n(&port.rx) == 0:
        buffer_drop(&port.rx, &core.s.blocks)


cdef bint settle(Core* core, Ring ring, Exchange* x, uint32_t wants) noexcept nogil:
    """Carry on until nothing moves any more; True: it has ended and is gone."""
    cdef uint32_t rounds = 0
    while True:
        if wants & (WANT_PARK | WANT_DROP):
            let_go(core, x, wants & WANT_PARK != 0)
        if wants & WANT_END:
            end(core, ring, x)
            return True
        if wants & WANT_QUEUE:
            waitlist_add(core, x)
            break
        if wants & WANT_DIAL:
            wants = dial(core, x)
            continue
        if wants == WANT_NOTHING and not move(core, x):
            break
        rounds += 1
        if rounds > ROUNDS_MOST:
            channel_again(core, <Channel*>x.front)
            break
        wants = exchange_step(&core.s, x)
    wheel_plan(&core.wheel, &x.deadline)
    tidy(core, x.front)
    channel_attend(core, <Channel*>x.front)
    if x.back != NULL:
        tidy(core, x.back)
    return False


cdef void end(Core* core, Ring ring, Exchange* x) noexcept nogil:
    """Account for it and tell its front."""
    cdef Front* f = <Front*>x.owner
    wheel_drop(&core.wheel, &x.deadline)
    if x.flags & X_QUEUED:
        waitlist_remove(core, x)
    account(core, ring, x)
    if (<Channel*>x.front).pipe_in >= 0:
        relay_drop_pipe(core, <Channel*>x.front)
    f.wants = <uint32_t>front_ended(&core.s, f)
    f.exchange = NULL
    exchange_close(&core.s, x)
    core.place_freed = True


cdef Exchange* elder_of(Core* core, Exchange* x) noexcept nogil:
    """Who waits for any endpoint of the backend, and longer than x for its own: of two queues the older one wins."""
    cdef Exchange* elder = core.waiters[x.backend.slot].first
    return elder if elder != NULL and elder.table == x.table and elder.head_ms < x.head_ms else NULL


cdef bint offer(Core* core, Ring ring, Exchange* x) noexcept nogil:
    """Let x, or who waits longer than x, try again; True: one has left its queue."""
    cdef Exchange* elder = elder_of(core, x) if x.bound != NULL else NULL
    cdef uint32_t wants = reach_place_at(&core.s, elder, x.bound) if elder != NULL else WANT_NOTHING
    cdef Front* f
    if wants != WANT_NOTHING:
        x = elder
    else:
        wants = reach_place(&core.s, x)
    if wants == WANT_NOTHING:
        return False
    f = <Front*>x.owner
    waitlist_remove(core, x)
    if settle(core, ring, x, wants):
        serve_ended(core, ring, f)
    return True


cdef void serve_waiting(Core* core, Ring ring) noexcept nogil:
    cdef uint32_t listed = core.waiters_listed, at
    core.place_freed = False
    core.waiters_listed = 0                      # those that come in meanwhile are listed anew
    while listed:
        at = listed
        listed = core.waiters[at - 1].next_listed
        core.waiters[at - 1].listed = False
        while core.waiters[at - 1].first != NULL and offer(core, ring, core.waiters[at - 1].first):
            pass
        if core.waiters[at - 1].first != NULL and not core.waiters[at - 1].listed:
            core.waiters[at - 1].listed = True
            core.waiters[at - 1].next_listed = core.waiters_listed
            core.waiters_listed = at


# --- a client --------------------------------------------------------------------------------------------------------

cdef void close_client(Core* core, Front* f, bint reset) noexcept nogil:
    cdef Channel* c = <Channel*>f.port
    wheel_drop(&core.wheel, &f.deadline)
    if f.client.own != NULL:
        channel_close(core, <Channel*>f.client.own)
        f.client.own = NULL
    f.state = FRONT_CLOSED
    front_close(&core.s, f)
    core.s.tally.connections -= 1
    if reset:
        channel_reset(core, c)
    else:
        channel_close(core, c)


cdef void serve_ended(Core* core, Ring ring, Front* f) noexcept nogil:
    """Its exchange is over; Front.wants holds what front_ended answered."""
    if f.wants == FRONT_CLOSE or f.wants == FRONT_RESET:
        channel_push(core, <Channel*>f.port)
        close_client(core, f, f.wants == FRONT_RESET)
    else:
        serve_client(core, ring, f)


cdef Course go_on(Core* core, Ring ring, Front* f, FrontWant want) noexcept nogil:
    """Do what the front wants."""
    if want == FRONT_BEGUN:
        f.deadline.due_ms = 0                    # the wheel forgets it when it comes by, unless it is planned again before
        if not settle(core, ring, f.exchange, f.wants):
            return COURSE_AWAY
        want = <FrontWant>f.wants
        if want == FRONT_WAIT:
            return COURSE_ON
        channel_push(core, <Channel*>f.port)
    if want == FRONT_WAIT:
        return COURSE_ON if channel_push(core, <Channel*>f.port) else COURSE_REST
    close_client(core, f, want == FRONT_RESET)
    return COURSE_AWAY


cdef void serve_client(Core* core, Ring ring, Front* f) noexcept nogil:
    cdef Channel* c = <Channel*>f.port
    cdef uint32_t rounds = 0
    cdef bint pulled
    cdef Course course
    while f.state != FRONT_EXCHANGE:
        pulled = f.port.flags & PORT_READ and channel_pull(core, c)
        course = go_on(core, ring, f, front_step(&core.s, f))
        if course == COURSE_AWAY:
            return
        # The step may have asked for more than was read before it; a client's end may lie there since the last event.
        if course == COURSE_REST and not pulled and not (f.port.flags & PORT_READ and channel_pull(core, c)):
            wheel_plan(&core.wheel, &f.deadline)
            tidy(core, f.port)
            channel_attend(core, c)
            return
        rounds += 1
        if rounds > ROUNDS_MOST:
            wheel_plan(&core.wheel, &f.deadline)
            channel_again(core, c)
            return
    if settle(core, ring, f.exchange, exchange_step(&core.s, f.exchange)):
        serve_ended(core, ring, f)


cdef void serve_close(Core* core, Ring ring, Front* f) noexcept nogil:
    cdef Exchange* x = f.exchange
    if x != NULL:
        waitlist_remove(core, x)
        settle(core, ring, x, end_cut(&core.s, x, c"K", c"D"))
    close_client(core, f, False)


# --- events ----------------------------------------------------------------------------------------------------------

cdef void carry(Core* core, Ring ring, Exchange* x, uint32_t wants) noexcept nogil:
    cdef Front* f = <Front*>x.owner
    if settle(core, ring, x, wants):
        serve_ended(core, ring, f)


cdef void serve_server(Core* core, Ring ring, Channel* c, bint failed) noexcept nogil:
    cdef Exchange* x = <Exchange*>c.owner
    if failed:
        channel_close(core, c)
        carry(core, ring, x, reach_failed(&core.s, x, False))
    elif c.port.flags & PORT_CONNECTING:
        if not c.port.flags & PORT_WRITABLE:
            return
        c.port.flags &= ~<uint32_t>PORT_CONNECTING
        carry(core, ring, x, exchange_connected(&core.s, x))
    else:
        if c.port.flags & PORT_READ and x.phase == PHASE_ASK:
            channel_pull(core, c)
        carry(core, ring, x, exchange_step(&core.s, x))


cdef void serve_deadline(Core* core, Ring ring, Deadline* d) noexcept nogil:
    cdef Front* f
    cdef Exchange* x
    cdef Channel* back
    if d.kind == DEADLINE_FRONT:
        f = <Front*>d
        if go_on(core, ring, f, front_timeout(&core.s, f)) != COURSE_AWAY:
            serve_client(core, ring, f)
        return
    x = <Exchange*>d
    if x.phase == PHASE_DIAL:
        back = <Channel*>x.back
        if back != NULL:
            channel_close(core, back)
        carry(core, ring, x, reach_failed(&core.s, x, True))
        return
    waitlist_remove(core, x)
    carry(core, ring, x, exchange_timeout(&core.s, x))
