"""Carrying out what conversations want. See serve.pxd."""

from libc.stdint cimport uint8_t, uint32_t

from edged._fast.base.openssl cimport openssl
from edged._fast.base.view cimport unlikely
from edged._fast.memory.buffer cimport buffer_drop, buffer_n
from edged._fast.route.table cimport table_text
from edged._fast.run.account cimport account
from edged._fast.run.channel cimport channel_again, channel_attend, channel_close, channel_pull, channel_push, channel_reset
from edged._fast.run.core cimport CHANNEL_CLIENT
from edged._fast.run.dial cimport dial, dial_let_go, dial_secure
from edged._fast.run.gather cimport gather
from edged._fast.run.handshake cimport (
    ACCEPTED, HANDSHAKE_DONE, HANDSHAKE_WAITS, Handshake, Refusal, handshake_accept, handshake_error, handshake_fault,
    handshake_step,
)
from edged._fast.run.notices cimport notice_endpoint
from edged._fast.run.peercert cimport Filter, peercert_free, peercert_read
from edged._fast.run.relay cimport relay_drop_pipe, relay_fits
from edged._fast.run.tls cimport tls_detach, tls_settle
from edged._fast.run.waitlist cimport waitlist_add, waitlist_remove
from edged._fast.run.wheel cimport wheel_drop, wheel_plan
from edged._fast.talk.detach cimport detach
from edged._fast.talk.ending cimport end_cut
from edged._fast.talk.exchange cimport (
    PHASE_ANSWER, PHASE_ASK, PHASE_DIAL, X_QUEUED, exchange_close, exchange_connected, exchange_step, exchange_timeout,
)
from edged._fast.talk.h1 cimport (
    FRONT_BEGUN, FRONT_CLOSE, FRONT_CLOSED, FRONT_EXCHANGE, FRONT_HANDSHAKE, FRONT_RESET, FRONT_SECURE, FRONT_WAIT, FrontWant,
    front_close, front_ended, front_secured, front_step, front_timeout, front_unsecured,
)
from edged._fast.talk.reach cimport reach_failed, reach_place, reach_place_at
from edged._fast.talk.wants cimport (
    ClientCertificate, DEADLINE_FRONT, PORT_CONNECTING, PORT_READ, PORT_READABLE, PORT_SHUT, PORT_SHUT_ASKED, PORT_WRITABLE, Port,
    WANT_DIAL, WANT_DROP, WANT_END, WANT_NOTHING, WANT_PARK, WANT_QUEUE, port_unsent,
)

cdef enum Course:                # of a front, after one step
    COURSE_AWAY = 0              # closed, or in an exchange: not ours to touch any more
    COURSE_REST = 1              # nothing more can be done now
    COURSE_ON = 2

cdef enum:
    ROUNDS_MOST = 64             # of one conversation in one turn; others want their share


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
    return port_unsent(port) or port.raw_left or port.flags & (PORT_SHUT_ASKED | PORT_SHUT) == PORT_SHUT_ASKED


cdef inline bint has_to_pull(const Port* port) noexcept nogil:
    return port.flags & (PORT_READ | PORT_READABLE) == PORT_READ | PORT_READABLE


cdef bint goes_by_pipe(Core* core, Channel* source, Channel* to) noexcept nogil:
    """Bytes of `source` must not be read while those before them are in, or about to go into, the pipe."""
    if to.port.raw_from != &source.port or to.port.raw_left == 0:
        return False
    if to.port.in_pipe:
        return True
    return port_unsent(&to.port) == 0 and buffer_n(&source.port.rx) == 0 and relay_fits(core, source, to)


cdef inline void tidy(Core* core, Port* port) noexcept nogil:
    """Who has nothing in hand holds no block."""
    if port.rx.at != NULL and buffer_n(&port.rx) == 0:
        buffer_drop(&port.rx, &core.s.blocks)


cdef bint settle(Core* core, Ring ring, Exchange* x, uint32_t wants) noexcept nogil:
    """Carry on until nothing moves any more; True: it has ended and is gone."""
    cdef uint32_t rounds = 0
    while True:
        if wants & (WANT_PARK | WANT_DROP):
            dial_let_go(core, x, wants & WANT_PARK != 0)
        if wants & WANT_END:
            end(core, ring, x)
            return True
        if wants & WANT_QUEUE:
            waitlist_add(core, x)
            break
        if wants & WANT_DIAL:
            wants = dial(core, x)
            continue
        if wants == WANT_NOTHING and (gather(core, x) or not move(core, x)):
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
    peercert_free(<ClientCertificate*>f.client.certificate)
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


cdef Course begin_tls(Core* core, Front* f) noexcept nogil:
    """The handshake has its turn later; until then the front waits."""
    cdef Channel* c = <Channel*>f.port
    cdef Refusal refusal = handshake_accept(core, c, f.client.listener, f.name)
    f.name.n = 0
    if unlikely(refusal != ACCEPTED):
        core.s.tally.tls_failed += 1
        if c.tls != NULL:
            tls_detach(core, c)
        front_unsecured(&core.s, f, <uint8_t>refusal)
        return COURSE_ON
    f.state = FRONT_HANDSHAKE
    f.began_ms = core.s.now_ms
    front_step(&core.s, f)
    wheel_plan(&core.wheel, &f.deadline)
    return COURSE_AWAY


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
    if want == FRONT_SECURE:
        return begin_tls(core, f)
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
    cdef bint answers = x != NULL and x.phase == PHASE_ANSWER # a tunnel's client gets what is under way to it, and an end
    if x != NULL:
        waitlist_remove(core, x)
        settle(core, ring, x, end_cut(&core.s, x, c"K", c"D"))
    close_client(core, f, answers and f.wants == FRONT_RESET)


# --- events ----------------------------------------------------------------------------------------------------------

cdef void carry(Core* core, Ring ring, Exchange* x, uint32_t wants) noexcept nogil:
    cdef Front* f = <Front*>x.owner
    if settle(core, ring, x, wants):
        serve_ended(core, ring, f)


cdef void serve_gathered(Core* core, Ring ring, Front* f) noexcept nogil:
    if f.state == FRONT_EXCHANGE:
        carry(core, ring, f.exchange, WANT_NOTHING)
    else:
        serve_client(core, ring, f)


cdef void serve_server(Core* core, Ring ring, Channel* c, bint failed) noexcept nogil:
    cdef Exchange* x = <Exchange*>c.owner
    if failed:
        channel_close(core, c)
        carry(core, ring, x, reach_failed(&core.s, x, False))
    elif c.port.flags & PORT_CONNECTING:
        if not c.port.flags & PORT_WRITABLE:
            return
        if x.backend.trust:
            if c.tls == NULL and not dial_secure(core, x, c):
                channel_close(core, c)
                carry(core, ring, x, reach_failed(&core.s, x, False))
            return
        c.port.flags &= ~<uint32_t>PORT_CONNECTING
        carry(core, ring, x, exchange_connected(&core.s, x))
    else:
        if c.port.flags & PORT_READ and x.phase == PHASE_ASK:
            channel_pull(core, c)
        carry(core, ring, x, exchange_step(&core.s, x))


cdef void client_secured(Core* core, Ring ring, Front* f, Channel* c, bint done) noexcept nogil:
    if done and f.client.listener.client_auth:
        f.client.certificate = peercert_read(c.tls.ssl, <const Filter*>f.client.listener.filter)
        done = f.client.certificate != NULL
    if done:
        f.client.tls_version = openssl.SSL_get_version(c.tls.ssl)
        f.client.tls_cipher = openssl.SSL_CIPHER_get_name(openssl.SSL_get_current_cipher(c.tls.ssl))
        front_secured(&core.s, f)
        tls_settle(core, c)
    else:
        tls_detach(core, c)
        front_unsecured(&core.s, f, 0)
    serve_client(core, ring, f)


cdef void endpoint_secured(Core* core, Ring ring, Exchange* x, Channel* c, bint done) noexcept nogil:
    if done:
        c.port.flags &= ~<uint32_t>PORT_CONNECTING
        x.fault = NULL
        carry(core, ring, x, exchange_connected(&core.s, x))
        return
    x.fault = handshake_fault(c)
    core.noticed |= notice_endpoint(&core.notices, core.s.now_ms, table_text(x.table, x.backend.name),
                                    table_text(x.table, x.endpoint.name), x.fault if x.fault != NULL else handshake_error(c))
    channel_close(core, c)
    carry(core, ring, x, reach_failed(&core.s, x, False))


cdef void serve_handshake(Core* core, Ring ring, Channel* c) noexcept nogil:
    cdef Handshake state = handshake_step(core, c)
    if state == HANDSHAKE_WAITS:
        if c.tls.sealed_in.at != NULL and buffer_n(&c.tls.sealed_in) == 0:
            buffer_drop(&c.tls.sealed_in, &core.s.blocks)
        channel_attend(core, c)
    elif c.kind == CHANNEL_CLIENT:
        client_secured(core, ring, <Front*>c.owner, c, state == HANDSHAKE_DONE)
    else:
        endpoint_secured(core, ring, <Exchange*>c.owner, c, state == HANDSHAKE_DONE)


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


cdef void serve_detached(Core* core) noexcept nogil:
    cdef Channel* c = core.all
    cdef Exchange* x
    while c != NULL:
        if c.kind == CHANNEL_CLIENT:
            x = (<Front*>c.owner).exchange
            if x != NULL and x.table != NULL and x.table != core.s.table:
                detach(x)
        c = c.next
