"""Listening sockets. See gate.pxd."""

from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from edged._fast.base.linux cimport (
    EAGAIN, ECONNABORTED, EINTR, EPOLLIN, EPOLL_CTL_ADD, EPOLL_CTL_DEL, close, edged_accept, edged_address, edged_address_read,
    edged_errno, edged_local, edged_reset, edged_watch,
)
from edged._fast.base.view cimport unlikely, view
from edged._fast.memory.arena cimport LISTENERS_MOST, ListenerCell
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.run.channel cimport channel_close, channel_open
from edged._fast.run.core cimport CHANNEL_CLIENT, Channel
from edged._fast.run.dial cimport dial_local_address
from edged._fast.run.serve cimport serve_client
from edged._fast.talk.h1 cimport FRONT_PROXY, Front, front_near, front_open, front_trusts
from edged._fast.talk.wants cimport ACCEPT_PROXY_OFF, ACCEPT_PROXY_REQUIRED, Client, MONITOR_ALL, PORT_READABLE

cdef enum:
    ACCEPT_MOST = 64             # in one turn for one listener
    PAUSE_MS = 100               # after the last descriptor was used up
    LISTENER_TAG = 1             # low bit of what epoll gives back: not a channel


cdef bint is_near(const Client* client, int fd) noexcept nogil:
    cdef edged_address address
    cdef ProxyAddress local
    local.family = 0                             # none is known
    if edged_local(fd, &address) == 0:
        local.family = <uint8_t>edged_address_read(&address, local.at, &local.port)
    return front_near(&client.peer, &local)


cdef bint welcome(Core* core, Ring ring, Listener* listener, int fd, const edged_address* peer) noexcept nogil:
    """A front for a new connection; False: no memory for it."""
    cdef Channel* c = channel_open(core, fd, CHANNEL_CLIENT)
    cdef Front* f
    if unlikely(c == NULL):
        close(fd)
        return False
    f = front_open(&core.s, listener, &c.port)
    if unlikely(f == NULL):
        channel_close(core, c)
        return False
    c.owner = f
    c.port.flags |= PORT_READABLE            # often the request is there already
    core.s.tally.connections += 1
    core.s.tally.accepted += 1
    f.client.peer.family = <uint8_t>edged_address_read(peer, f.client.peer.at, &f.client.peer.port)
    if unlikely(listener.monitor):               # now: a PROXY header may put another address in its place
        f.client.monitored = listener.monitor == MONITOR_ALL or is_near(&f.client, fd)
    if listener.accept_proxy != ACCEPT_PROXY_OFF and (listener.accept_proxy == ACCEPT_PROXY_REQUIRED or
                                                      front_trusts(listener, &f.client)):
        f.state = FRONT_PROXY
    if unlikely(core.s.local_wanted):
        dial_local_address(&f.client, fd)
    serve_client(core, ring, f)
    return True


cdef void pause(Core* core) noexcept nogil:
    core.no_descriptors = True
    core.resume_ms = core.s.now_ms + PAUSE_MS


cdef bint stranger(const Listener* listener, const edged_address* peer) noexcept nogil:
    """A PROXY header is required, but this peer is not one to be believed (high-availability.md D.1)."""
    cdef Front f
    if listener.accept_proxy != ACCEPT_PROXY_REQUIRED or listener.n_trusted == 0:
        return False
    f.client.peer.family = <uint8_t>edged_address_read(peer, f.client.peer.at, &f.client.peer.port)
    return not front_trusts(listener, &f.client)


cdef void gate_accept(Core* core, Ring ring, Listener* listener) noexcept nogil:
    cdef edged_address peer
    cdef int i, fd, error
    if unlikely(not listener.watched):
        return                                   # removed or paused earlier in this turn
    for i in range(ACCEPT_MOST):
        if unlikely(core.s.tally.connections >= core.max_connections or core.no_descriptors):
            return
        fd = edged_accept(listener.fd, &peer)
        if fd < 0:
            error = edged_errno()
            if error == EINTR or error == ECONNABORTED:
                continue
            if error != EAGAIN:
                pause(core)
            return
        if unlikely(stranger(listener, &peer)):
            listener.cell.proxy_refused += 1
            edged_reset(fd)
            continue
        if unlikely(not welcome(core, ring, listener, fd, &peer)):
            pause(core)
            return


cdef void gate_watch(Core* core, Listener* listener, bint watch) noexcept nogil:
    if watch == listener.watched:
        return
    if edged_watch(core.ep, EPOLL_CTL_ADD if watch else EPOLL_CTL_DEL, listener.fd, EPOLLIN, <char*>listener + LISTENER_TAG) == 0:
        listener.watched = watch


cdef bint gate_resume(Core* core) noexcept nogil:
    cdef bint full = core.s.tally.connections >= core.max_connections, paused
    if core.no_descriptors and core.resume_ms == 0:
        core.resume_ms = core.s.now_ms + PAUSE_MS
    if core.no_descriptors and core.s.now_ms >= core.resume_ms:
        core.no_descriptors = False
        core.resume_ms = 0
    paused = full or core.no_descriptors
    if paused == core.accept_paused:
        return False
    if core.no_descriptors and paused:
        core.s.tally.accept_paused += 1
    core.accept_paused = paused
    if not core.s.draining:
        gates_watch(core, not paused)
    return True


cdef void gates_watch(Core* core, bint watch) noexcept nogil:
    cdef Listener* listener = core.listeners
    while listener != NULL:
        if not listener.removed or not watch:
            gate_watch(core, listener, watch)
        listener = listener.next


cdef void gates_use(Core* core, uint32_t number, void* context) noexcept nogil:
    """Also for those that are removed: connections that came in there may not have begun their handshake."""
    cdef Listener* listener = core.listeners
    while listener != NULL:
        if listener.number == number:
            listener.context = context
        listener = listener.next


cdef Listener* gate_named(Core* core, View name, uint16_t port) noexcept nogil:
    cdef Listener* listener = core.listeners
    cdef Listener* found = NULL
    while listener != NULL:
        if listener.name.n == name.n and memcmp(listener.name.at, name.at, name.n) == 0 and (found == NULL or found.removed):
            found = listener
        listener = listener.next
    return found if found != NULL else bygone(core, name, port)


cdef Listener* bygone(Core* core, View name, uint16_t port) noexcept nogil:
    """It counts in a cell of its own: its number in the arena may be another one's by now."""
    cdef Listener* listener = <Listener*>calloc(1, sizeof(Listener) + sizeof(ListenerCell))
    cdef char* at = <char*>malloc(name.n + 1)
    if listener == NULL or at == NULL:
        free(listener)
        free(at)
        return NULL
    memcpy(at, name.at, name.n)
    listener.name = view(at, name.n)
    listener.port = port
    listener.number = LISTENERS_MOST
    listener.cell = <ListenerCell*>(listener + 1)
    listener.fd = -1
    listener.removed = True
    listener.next = core.listeners
    core.listeners = listener
    return listener
