"""An established tunnel as bytes and descriptors. See bundle.pxd."""

from libc.string cimport memcpy, memset, strlen

from edged._fast.base.view cimport View, view
from edged._fast.memory.buffer cimport buffer_view
from edged._fast.route.table cimport table_text
from edged._fast.run.channel cimport channel_close, channel_leave
from edged._fast.run.wheel cimport wheel_drop
from edged._fast.talk.exchange cimport PHASE_END, PHASE_TUNNEL, X_STAYS, Exchange, exchange_close
from edged._fast.talk.flow cimport Flow
from edged._fast.talk.h1 cimport FRONT_CLOSED, FRONT_EXCHANGE, front_close
from edged._fast.talk.notes cimport notes_pack
from edged._fast.talk.wants cimport PORT_AWAY, PORT_BROKEN, PORT_CONNECTING, PORT_GONE

cdef enum:
    PORT_STAYS = PORT_AWAY | PORT_BROKEN | PORT_CONNECTING | PORT_GONE


cdef bint bundle_fits(const Channel* c) noexcept nogil:
    cdef const Front* f = <const Front*>c.owner
    cdef const Exchange* x = f.exchange
    cdef const Channel* back
    if f.state != FRONT_EXCHANGE or x.phase != PHASE_TUNNEL or x.flags & X_STAYS:
        return False
    back = <const Channel*>x.back
    if c.tls != NULL or f.client.tls or back.tls != NULL or c.spoiled or back.spoiled:
        return False
    return (c.port.flags | back.port.flags) & PORT_STAYS == 0 and f.client.own == NULL and f.client.certificate == NULL


cdef void pack_port(BundlePort* out, const Channel* c) noexcept nogil:
    out.raw_left = c.port.raw_left
    out.received = c.port.received
    out.sent = c.port.sent
    out.in_pipe = c.port.in_pipe
    out.flags = c.port.flags & PORT_GO
    out.full_reads = c.full_reads


cdef void pack_flow(BundleFlow* out, const Flow* flow) noexcept nogil:
    out.total = flow.total
    out.done = flow.done
    out.raw = flow.raw
    out.broken = flow.broken


cdef void pack_facts(Bundle* b, const Front* f) noexcept nogil:
    cdef const Exchange* x = f.exchange
    b.accepted_ms = f.client.accepted_ms
    b.accepted_us = f.client.accepted_us
    b.front_began_ms = f.began_ms
    b.front_began_us = f.began_us
    b.front_idle_ms = f.idle_ms
    b.peer = f.client.peer
    b.local = f.client.local
    b.local_known = f.client.local_known
    b.requests = f.client.requests
    b.handshake_ms = f.client.handshake_ms
    b.listener_port = f.client.listener.port
    b.began_ms = x.began_ms
    b.began_us = x.began_us
    b.head_ms = x.head_ms
    b.placed_ms = x.placed_ms
    b.connected_ms = x.connected_ms
    b.asked_ms = x.asked_ms
    b.answered_ms = x.answered_ms
    b.moved_ms = x.moved_ms
    b.moved_mark = x.moved_mark
    b.sent_before = x.sent_before
    b.received_before = x.received_before
    b.received_head = x.received_head
    b.idle_ms = x.idle_ms
    b.flags = x.flags & X_GO
    b.ahead_endpoint = x.ahead_endpoint
    b.ahead_backend = x.ahead_backend
    b.status = x.status
    b.retries = x.retries
    b.minor = x.minor
    b.cookie_in = x.cookie_in
    b.cookie_out = x.cookie_out
    b.backend_slot = x.backend.slot
    b.endpoint_slot = x.endpoint.slot
    b.tunnel_ms = x.backend.tunnel_ms
    b.server_fin_ms = x.backend.server_fin_ms
    b.client_fin_ms = x.backend.client_fin_ms
    b.endpoint_port = x.endpoint.port
    b.family = x.endpoint.family
    b.socket_bytes = x.endpoint.socket_bytes
    memcpy(b.socket, x.endpoint.socket, sizeof(b.socket))
    pack_flow(&b.asking, &x.asking)
    pack_flow(&b.answering, &x.answering)


cdef void add_pipe(const Channel* c, int* fds, int* n_fds) noexcept nogil:
    if c.port.in_pipe:
        fds[n_fds[0]] = c.pipe_out
        fds[n_fds[0] + 1] = c.pipe_in
        n_fds[0] += 2


cdef uint32_t bundle_pack(Core* core, Front* f, char* room, int* fds, int* n_fds) noexcept nogil:
    cdef Bundle* b = <Bundle*>room
    cdef Exchange* x = f.exchange
    cdef Channel* front = <Channel*>x.front
    cdef Channel* back = <Channel*>x.back
    cdef View parts[PARTS]
    cdef uint32_t at = sizeof(Bundle), i
    parts[PART_ROUTE] = table_text(x.table, x.recipe.key)
    parts[PART_BACKEND] = table_text(x.table, x.backend.name)
    parts[PART_ENDPOINT] = table_text(x.table, x.endpoint.name)
    parts[PART_LISTENER] = f.client.listener.name
    parts[PART_METHOD] = x.method
    parts[PART_TARGET] = x.target
    parts[PART_HOST] = x.host
    parts[PART_SNI] = view(f.client.sni, strlen(f.client.sni) if f.client.sni != NULL else 0)
    parts[PART_CLIENT_RX] = buffer_view(&front.port.rx)
    parts[PART_CLIENT_TX] = buffer_view(&front.port.tx)
    parts[PART_ENDPOINT_RX] = buffer_view(&back.port.rx)
    parts[PART_ENDPOINT_TX] = buffer_view(&back.port.tx)
    memset(b, 0, sizeof(Bundle))
    for i in range(<uint32_t>PART_NOTES):
        if parts[i].n > BUNDLE_MOST - at:
            return 0
        if parts[i].n:
            memcpy(room + at, parts[i].at, parts[i].n)
        b.parts[i] = <uint32_t>parts[i].n
        at += b.parts[i]
    if x.notes != NULL:
        b.parts[PART_NOTES] = notes_pack(x.notes, core.s.plan, room + at, BUNDLE_MOST - at)
        if b.parts[PART_NOTES] == 0:
            return 0
        at += b.parts[PART_NOTES]
    pack_facts(b, f)
    pack_port(&b.client, front)
    pack_port(&b.endpoint, back)
    fds[0] = front.fd
    fds[1] = back.fd
    n_fds[0] = 2
    add_pipe(front, fds, n_fds)
    add_pipe(back, fds, n_fds)
    b.layout = BUNDLE_LAYOUT
    b.bytes = at
    return at


cdef void bundle_release(Core* core, Front* f) noexcept nogil:
    cdef Exchange* x = f.exchange
    cdef Channel* c = <Channel*>f.port
    wheel_drop(&core.wheel, &f.deadline)
    if x != NULL:
        wheel_drop(&core.wheel, &x.deadline)
        if x.back != NULL:
            channel_leave(core, <Channel*>x.back)
            channel_close(core, <Channel*>x.back)
        x.phase = PHASE_END
        f.exchange = NULL
        exchange_close(&core.s, x)
    c.port.received = 0                          # whoever ends it counts
    c.port.sent = 0
    f.state = FRONT_CLOSED
    front_close(&core.s, f)
    core.s.tally.connections -= 1
    channel_leave(core, c)
    channel_close(core, c)
