"""Channels to endpoints. See dial.pxd."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from edged._fast.base.linux cimport (
    EINPROGRESS, EMFILE, ENFILE, close, edged_address, edged_address_read, edged_connect_ip, edged_connect_unix, edged_errno,
    edged_local, edged_send, edged_socket,
)
from edged._fast.base.view cimport View, check, likely, unlikely
from edged._fast.memory.buffer cimport buffer_drop, buffer_take
from edged._fast.route.table cimport BACKEND_CHECK_NAME, BACKEND_SEND_SNI, Endpoint, table_text
from edged._fast.run.channel cimport channel_close, channel_open, channel_quiet
from edged._fast.run.core cimport CHANNEL_SERVER
from edged._fast.run.handshake cimport handshake_connect, handshake_keep_session
from edged._fast.run.pool cimport pool_discard, pool_oldest, pool_put, pool_take
from edged._fast.run.relay cimport relay_drop_pipe
from edged._fast.talk.exchange cimport X_FRESH, X_PRIVATE, exchange_dialled
from edged._fast.talk.reach cimport reach_failed, reach_may_reuse
from edged._fast.talk.wants cimport PORT_CONNECTING, PORT_REUSED, REUSE_NEVER, WANT_NOTHING

cdef extern from * nogil:
    """
    static inline uint64_t edged_mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
    }
    """
    uint64_t mix "edged_mix"(uint64_t hash, uint64_t word)


cdef uint64_t mix_text(uint64_t hash, View text) noexcept nogil:
    cdef uint32_t i
    for i in range(text.n):
        hash = mix(hash, <uint8_t>text.at[i])
    return hash


cdef uint64_t address_hash(const Exchange* x, View path) noexcept nogil:
    """Where the endpoint is, and how it is spoken to: no exchange may get a channel that leads elsewhere."""
    cdef const Endpoint* e = x.endpoint
    cdef uint64_t words[4]
    cdef uint64_t hash = e.family | <uint64_t>x.backend.send_proxy << 8 | <uint64_t>x.backend.tls << 16
    cdef uint32_t i
    words[3] = 0
    memcpy(words, e.socket, sizeof(e.socket))
    for i in range(4):
        hash = mix(hash, words[i])
    hash = mix_text(hash, path)
    if x.backend.trust:
        hash = mix_text(mix(hash, x.backend.trust), table_text(x.table, e.server_name))
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
    if x.client.own_slot == x.endpoint.slot and c.address_hash == hash and channel_quiet(core, c) and not x.flags & X_FRESH:
        x.flags |= X_PRIVATE
        return c
    channel_close(core, c)
    return NULL


cdef void dial_local_address(Client* client, int fd) noexcept nogil:
    cdef edged_address local
    if client.local_known or edged_local(fd, &local) != 0:
        return
    client.local.family = <uint8_t>edged_address_read(&local, client.local.at, &client.local.port)
    client.local_known = True


cdef uint32_t dial(Core* core, Exchange* x) noexcept nogil:
    cdef View path = table_text(x.table, x.endpoint.path)
    cdef uint64_t hash = address_hash(x, path)
    cdef Channel* c = own_channel(core, x, hash)
    cdef uint32_t wants
    cdef bint at_once
    if x.backend.send_proxy:
        dial_local_address(x.client, (<Channel*>x.front).fd)
    if c == NULL and reach_may_reuse(&core.s, x):
        c = pool_take(core, x.endpoint.slot, hash)
    if c == NULL:
        c = connect_to(core, x, path, hash)
    if unlikely(c == NULL):
        return reach_failed(&core.s, x, False)
    c.owner = x
    if likely(x.backend.trust == 0 or c.tls != NULL):
        return exchange_dialled(&core.s, x, &c.port)
    at_once = not c.port.flags & PORT_CONNECTING
    c.port.flags |= PORT_CONNECTING              # until TLS is agreed on
    wants = exchange_dialled(&core.s, x, &c.port)
    if at_once and wants == WANT_NOTHING and not dial_secure(core, x, c):
        channel_close(core, c)
        return reach_failed(&core.s, x, False)
    return wants


cdef bint dial_secure(Core* core, Exchange* x, Channel* c) noexcept nogil:
    """Begin TLS with an endpoint that has been reached; False: that cannot be done."""
    cdef uint32_t bare = c.port.bare
    if bare:
        if edged_send(c.fd, c.port.tx.at + c.port.tx.head, bare, 0) != <ssize_t>bare:
            return False                         # a new connection takes so little at once
        buffer_take(&c.port.tx, bare)
        c.port.bare = 0
    return handshake_connect(core, c, x.backend.trust, table_text(x.table, x.endpoint.server_name),
                             x.backend.tls & BACKEND_CHECK_NAME != 0, x.backend.tls & BACKEND_SEND_SNI != 0)


cdef void dial_let_go(Core* core, Exchange* x, bint keep) noexcept nogil:
    cdef Channel* c = <Channel*>x.back
    x.back = NULL
    if c == NULL:
        return
    if x.front.raw_from == &c.port:
        relay_drop_pipe(core, <Channel*>x.front)
        x.front.raw_from = NULL
        x.front.raw_left = 0
    c.owner = NULL
    if c.tls != NULL:
        handshake_keep_session(core, c)
    if not keep or not channel_quiet(core, c):
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
