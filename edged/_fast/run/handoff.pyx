"""Established tunnels go to an engine of the next generation. See handoff.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from edged._fast.base.atomic cimport store64
from edged._fast.base.linux cimport (
    EAGAIN, EINTR, ENOBUFS, ENOMEM, EPOLLIN, EPOLL_CTL_ADD, EPOLL_CTL_DEL, close, edged_errno, edged_watch, shutdown,
)
from edged._fast.base.passing cimport (
    EMSGSIZE, ETOOMANYREFS, PASSED_MOST, SHUT_RDWR, edged_file_id, edged_pass_recv, edged_pass_send, edged_wire_room,
)
from edged._fast.base.view cimport check
from edged._fast.run.bundle cimport BUNDLE_FDS, BUNDLE_LAYOUT, BUNDLE_MOST, Bundle, bundle_fits, bundle_pack, bundle_release
from edged._fast.run.channel cimport channel_again, channel_copied, channel_leave
from edged._fast.run.core cimport CHANNEL_CLIENT, Channel, Handoff
from edged._fast.run.notices cimport notice_tunnels
from edged._fast.run.serve cimport serve_client
from edged._fast.run.unbundle cimport BundleFault, unbundle
from edged._fast.run.wheel cimport wheel_drop
from edged._fast.talk.exchange cimport Exchange, X_STAYS
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport PORT_AWAY, PORT_BROKEN

cdef enum:
    WIRE_TAG = 3                 # low bits of what epoll gives back
    SENT_MOST = 128              # on their way at once: Handoff.sent
    SENT_FEW = 64                # look for more when so few are left
    TURN_MOST = 64               # given or taken in one turn; others want their share
    LOOK_MS = 100                # between two looks for tunnels that were not ready at the last one
    SILENT_MS = 2000             # an engine that says nothing for so long about what it was sent does not get it

cdef struct Hello:
    uint16_t layout
    uint16_t kind
    uint32_t bytes
    uint64_t arena[2]

cdef struct Word:                # an answer
    uint16_t layout
    uint16_t kind
    uint32_t bytes
    uint64_t number


cdef int handoff_open(Core* core, Arena arena) except -2:
    return edged_file_id(arena.fd, core.handoff.arena)


# --- wires -----------------------------------------------------------------------------------------------------------

cdef Wire* open_wire(Core* core, int fd, bint takes) noexcept nogil:
    cdef Wire* wire
    if fd < 0:
        return NULL
    if core.handoff.room == NULL:
        core.handoff.room = <char*>malloc(BUNDLE_MOST)
    wire = <Wire*>calloc(1, sizeof(Wire)) if core.handoff.room != NULL else NULL
    if wire == NULL:
        close(fd)
        return NULL
    wire.fd = fd
    wire.takes = takes
    edged_wire_room(fd, 2 * BUNDLE_MOST)         # as far as the system lets us
    return wire


cdef bint watch(Core* core, Wire* wire) noexcept nogil:
    return edged_watch(core.ep, EPOLL_CTL_ADD, wire.fd, EPOLLIN, <char*>wire + WIRE_TAG) == 0


cdef void free_wire(Core* core, Wire* wire) noexcept nogil:
    edged_watch(core.ep, EPOLL_CTL_DEL, wire.fd, 0, NULL)          # Python may hold a copy
    shutdown(wire.fd, SHUT_RDWR)
    close(wire.fd)
    free(wire)
    if core.handoff.giving == NULL and core.handoff.taking == NULL:
        free(core.handoff.room)
        core.handoff.room = NULL


cdef bint say(Wire* wire, uint16_t kind, uint64_t number) noexcept nogil:
    cdef Word word
    word.layout = BUNDLE_LAYOUT
    word.kind = kind
    word.bytes = sizeof(Word)
    word.number = number
    return edged_pass_send(wire.fd, &word, sizeof(word), NULL, 0) == sizeof(word)


# --- who gives -------------------------------------------------------------------------------------------------------

cdef void handoff_give(Core* core, int fd) noexcept nogil:
    cdef Wire* wire = open_wire(core, fd, False)
    cdef Wire** last = &core.handoff.giving
    if wire == NULL:
        return
    while last[0] != NULL:
        last = &last[0].next
    last[0] = wire
    if core.handoff.giving == wire:
        begin(core)


cdef void begin(Core* core) noexcept nogil:
    """Greet the first that can be greeted."""
    cdef Hello hello
    cdef Wire* wire
    hello.layout = BUNDLE_LAYOUT
    hello.kind = HANDOFF_HELLO
    hello.bytes = sizeof(Hello)
    hello.arena[0] = core.handoff.arena[0]
    hello.arena[1] = core.handoff.arena[1]
    while core.handoff.giving != NULL:
        wire = core.handoff.giving
        if watch(core, wire) and edged_pass_send(wire.fd, &hello, sizeof(hello), NULL, 0) == sizeof(hello):
            return
        core.handoff.giving = wire.next
        free_wire(core, wire)


cdef int64_t handoff_wait_ms(const Core* core, int64_t most_ms) noexcept nogil:
    cdef const Handoff* hands = &core.handoff
    if hands.giving.agreed:
        if core.s.tally.exchanges > <int64_t>hands.n:
            most_ms = min(most_ms, max(0, hands.look_ms - core.s.now_ms))
        if hands.n:
            most_ms = min(most_ms, max(0, hands.heard_ms + SILENT_MS - core.s.now_ms))
    return most_ms


cdef void handoff_turn(Core* core) noexcept nogil:
    cdef Handoff* hands = &core.handoff
    if core.s.draining:                          # whoever drains takes nothing: who would give it here knows another one, or keeps it
        stop_taking_all(core)
    if hands.giving == NULL or not hands.giving.agreed:
        return
    if hands.n and core.s.now_ms >= hands.heard_ms + SILENT_MS:
        wire_broke(core, b"the next one does not answer")
    elif core.s.now_ms >= hands.look_ms or (hands.more and hands.n <= SENT_FEW):
        give_some(core)


cdef void give_some(Core* core) noexcept nogil:
    cdef Handoff* hands = &core.handoff
    cdef Channel* c = core.all
    cdef int left = TURN_MOST, error
    hands.more = True
    hands.look_ms = core.s.now_ms + LOOK_MS
    while c != NULL and hands.n < SENT_MOST and left:
        if c.kind == CHANNEL_CLIENT and bundle_fits(c):
            error = send(core, <Front*>c.owner)
            if error == EAGAIN:
                return                           # the wire is full; what is heard on it makes room
            if error:
                wire_broke(core, b"the next one has gone")
                return
            left -= 1
        c = c.next
    if left == 0:
        hands.look_ms = core.s.now_ms            # go on in the next turn
    hands.more = c != NULL


cdef int send(Core* core, Front* f) noexcept nogil:
    """0: it is on its way, or has too much in hand now; EAGAIN; or how the wire broke."""
    cdef Handoff* hands = &core.handoff
    cdef Wire* wire = hands.giving
    cdef int fds[BUNDLE_FDS]
    cdef int n_fds = 0, error
    cdef Bundle* b = <Bundle*>hands.room
    cdef uint32_t n = bundle_pack(core, f, hands.room, fds, &n_fds)
    if n == 0:
        return 0
    b.kind = HANDOFF_TUNNEL
    b.number = wire.number + 1
    if edged_pass_send(wire.fd, b, n, fds, n_fds) < 0:
        error = edged_errno()
        if error == EMSGSIZE:
            return 0
        return EAGAIN if error in (EAGAIN, EINTR, ENOBUFS, ENOMEM, ETOOMANYREFS) else error
    wire.number += 1
    send_away(core, f)
    if hands.n == 0:
        hands.heard_ms = core.s.now_ms
    hands.sent[(hands.first + hands.n) % SENT_MOST] = f
    hands.n += 1
    return 0


cdef void send_away(Core* core, Front* f) noexcept nogil:
    """Nothing touches it from now on: no event, no deadline, no work that is left."""
    wheel_drop(&core.wheel, &f.deadline)
    wheel_drop(&core.wheel, &f.exchange.deadline)
    f.exchange.front.flags |= PORT_AWAY
    f.exchange.back.flags |= PORT_AWAY
    channel_leave(core, <Channel*>f.exchange.front)
    channel_leave(core, <Channel*>f.exchange.back)


cdef void come_back(Core* core, Front* f) noexcept nogil:
    """Go on with it. The other side may hold copies of its descriptors for a while."""
    cdef Exchange* x = f.exchange
    x.front.flags &= ~<uint32_t>PORT_AWAY
    x.back.flags &= ~<uint32_t>PORT_AWAY
    if not channel_copied(core, <Channel*>x.front) or not channel_copied(core, <Channel*>x.back):
        x.front.flags |= PORT_BROKEN
    channel_again(core, <Channel*>x.front)


cdef void try_again(Core* core) noexcept nogil:
    """What the one before did not take, this one may."""
    cdef Channel* c = core.all
    core.handoff.look_ms = core.s.now_ms
    while c != NULL:
        if c.kind == CHANNEL_CLIENT and (<Front*>c.owner).exchange != NULL:
            (<Front*>c.owner).exchange.flags &= ~<uint32_t>X_STAYS
        c = c.next


cdef Front* next_sent(Handoff* hands) noexcept nogil:
    cdef Front* f = <Front*>hands.sent[hands.first]
    check(hands.n > 0)
    hands.first = (hands.first + 1) % SENT_MOST
    hands.n -= 1
    return f


cdef bint hear(Core* core, Wire* wire) noexcept nogil:
    """All that it says; False: it says no more, or nonsense."""
    cdef Handoff* hands = &core.handoff
    cdef Word word
    cdef int fds[PASSED_MOST]
    cdef int n_fds
    cdef ssize_t n
    cdef Front* f
    while True:
        n = edged_pass_recv(wire.fd, &word, sizeof(word), fds, &n_fds)
        if n < 0 and edged_errno() == EINTR:
            continue
        if n < 0 and edged_errno() == EAGAIN:
            return True
        while n_fds > 0:
            n_fds -= 1
            close(fds[n_fds])
        if n != sizeof(word) or word.bytes != sizeof(word):
            return False
        if word.kind == HANDOFF_AGREED and word.layout == BUNDLE_LAYOUT and not wire.agreed:
            wire.agreed = True
            try_again(core)
            continue
        if hands.n == 0 or word.number != wire.number - hands.n + 1 or word.kind not in (HANDOFF_TAKEN, HANDOFF_REFUSED):
            return False
        f = next_sent(hands)
        hands.heard_ms = core.s.now_ms
        if word.kind == HANDOFF_TAKEN:
            store64(&hands.given, hands.given + 1)
            bundle_release(core, f)
        else:
            f.exchange.flags |= X_STAYS
            come_back(core, f)
            core.noticed |= notice_tunnels(&core.notices, core.s.now_ms, 1, b"the next one does not take it")


cdef void wire_broke(Core* core, const char* why) noexcept nogil:
    """Nobody can say anything on it any more; what was said before still counts."""
    cdef Handoff* hands = &core.handoff
    cdef Wire* wire = hands.giving
    shutdown(wire.fd, SHUT_RDWR)
    hear(core, wire)
    while hands.n:
        come_back(core, next_sent(hands))
    if why != NULL and not wire.agreed:
        why = b"the next one does not know how this one gives them"
    if why != NULL and wire.next == NULL and core.s.tally.tunnels:
        core.noticed |= notice_tunnels(&core.notices, core.s.now_ms, core.s.tally.tunnels, why)
    hands.giving = wire.next
    free_wire(core, wire)
    begin(core)


# --- who takes -------------------------------------------------------------------------------------------------------

cdef void handoff_take(Core* core, int fd) noexcept nogil:
    cdef Wire* wire = open_wire(core, fd, True)
    if wire == NULL:
        return
    wire.next = core.handoff.taking
    core.handoff.taking = wire
    if not watch(core, wire):
        stop_taking(core, wire)


cdef void stop_taking(Core* core, Wire* wire) noexcept nogil:
    cdef Wire** at = &core.handoff.taking
    while at[0] != wire:
        at = &at[0].next
    at[0] = wire.next
    free_wire(core, wire)


cdef void stop_taking_all(Core* core) noexcept nogil:
    while core.handoff.taking != NULL:
        stop_taking(core, core.handoff.taking)


cdef bint greet(Core* core, Wire* wire, uint32_t n) noexcept nogil:
    cdef Hello* hello = <Hello*>core.handoff.room
    if n < sizeof(Word) or hello.kind != HANDOFF_HELLO:
        return False
    if hello.layout != BUNDLE_LAYOUT or n != sizeof(Hello) or hello.bytes != n:
        say(wire, HANDOFF_UNKNOWN, 0)
        return False
    wire.same_arena = hello.arena[0] == core.handoff.arena[0] and hello.arena[1] == core.handoff.arena[1]
    wire.agreed = True
    return say(wire, HANDOFF_AGREED, 0)


cdef bint take(Core* core, Ring ring, Wire* wire, uint32_t n, const int* fds, int n_fds) noexcept nogil:
    cdef BundleFault fault
    cdef Front* f = unbundle(core, core.handoff.room, n, fds, n_fds, wire.same_arena, &fault)
    wire.number += 1
    if f == NULL:
        return say(wire, HANDOFF_REFUSED, wire.number)
    if not say(wire, HANDOFF_TAKEN, wire.number):
        bundle_release(core, f)                  # the giver goes on with it
        return False
    store64(&core.handoff.taken, core.handoff.taken + 1)
    core.handoff.look_ms = core.s.now_ms         # it may have to go on at once
    serve_client(core, ring, f)
    return True


cdef bint receive(Core* core, Ring ring, Wire* wire) noexcept nogil:
    """The next message, if there is one; False: what came is not said by one of ours, or the giver has gone."""
    cdef const Word* word = <const Word*>core.handoff.room
    cdef int fds[PASSED_MOST]
    cdef int n_fds
    cdef ssize_t n = edged_pass_recv(wire.fd, core.handoff.room, BUNDLE_MOST, fds, &n_fds)
    if n < 0:
        return edged_errno() in (EAGAIN, EINTR)
    if wire.agreed and n >= <ssize_t>sizeof(Word) and word.kind == HANDOFF_TUNNEL and word.number == wire.number + 1:
        return take(core, ring, wire, <uint32_t>n, fds, n_fds)
    while n_fds > 0:
        n_fds -= 1
        close(fds[n_fds])
    return not wire.agreed and greet(core, wire, <uint32_t>n)


cdef void handoff_event(Core* core, Ring ring, Wire* wire) noexcept nogil:
    cdef int i
    if not wire.takes:
        if not hear(core, wire):
            wire_broke(core, b"the next one has gone")
        return
    for i in range(TURN_MOST):
        if not receive(core, ring, wire):
            stop_taking(core, wire)
            return


cdef void handoff_close(Core* core) noexcept nogil:
    stop_taking_all(core)
    while core.handoff.giving != NULL:
        wire_broke(core, NULL)
