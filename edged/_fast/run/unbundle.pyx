"""A tunnel that comes from another engine is made of its bundle. See unbundle.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset

from edged._fast.base.linux cimport close
from edged._fast.base.passing cimport edged_is_pipe, edged_is_stream
from edged._fast.base.status cimport BAD, DONE, Status
from edged._fast.base.view cimport View, view
from edged._fast.memory.buffer cimport Buffer, buffer_hold
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.route.table cimport Backend, Endpoint, Recipe
from edged._fast.run.bundle cimport (
    BUNDLE_FDS, BUNDLE_LAYOUT, Bundle, BundleFlow, BundlePort, PARTS, PART_BACKEND, PART_CLIENT_RX, PART_CLIENT_TX, PART_ENDPOINT,
    PART_ENDPOINT_RX, PART_ENDPOINT_TX, PART_HOST, PART_LISTENER, PART_METHOD, PART_NOTES, PART_ROUTE, PART_SNI, PART_TARGET,
    PORT_GO, X_GO, bundle_release,
)
from edged._fast.run.channel cimport channel_close, channel_copied, channel_open
from edged._fast.run.core cimport CHANNEL_CLIENT, CHANNEL_SERVER, Channel
from edged._fast.run.gate cimport gate_named
from edged._fast.talk.detach cimport detached_as
from edged._fast.talk.exchange cimport PHASE_TUNNEL, X_COUNTED, X_SILENT, X_TCP, X_TUNNEL, Exchange, exchange_open
from edged._fast.talk.flow cimport FLOW_TO_EOF, Flow, flow_open
from edged._fast.talk.h1 cimport FRONT_EXCHANGE, front_adopt
from edged._fast.talk.notes cimport notes_unpack
from edged._fast.talk.wants cimport Listener, PORT_EOF, PORT_READABLE, PORT_WRITABLE, Port, RAW_ENDLESS

cdef enum:
    TEXT_MOST = 8192             # of one name, or of a method, a target, a host
    NOTES_MOST = 65536
    AHEAD_MS = 60000             # what lies further ahead than a busy engine's clock may be behind is no moment of the past
    STATUS_MOST = 999


# --- is it one? ------------------------------------------------------------------------------------------------------

cdef bint past(int64_t moment, int64_t now_ms) noexcept nogil:
    return 0 <= moment <= now_ms + AHEAD_MS


cdef bint right_moments(const Bundle* b, int64_t now_ms) noexcept nogil:
    return (past(b.accepted_ms, now_ms) and past(b.front_began_ms, now_ms) and past(b.began_ms, now_ms) and past(b.head_ms, now_ms)
            and past(b.placed_ms, now_ms) and past(b.connected_ms, now_ms) and past(b.asked_ms, now_ms)
            and past(b.answered_ms, now_ms) and past(b.moved_ms, now_ms)
            and b.accepted_us >= 0 and b.front_began_us >= 0 and b.began_us >= 0)


cdef bint right_address(const ProxyAddress* address) noexcept nogil:
    return address.family == 0 or address.family == 4 or address.family == 6


cdef bint right_port(const BundlePort* port, uint32_t pending) noexcept nogil:
    return port.flags & ~<uint32_t>PORT_GO == 0 and port.in_pipe <= port.raw_left and port.received >= pending and port.full_reads <= 255


cdef bint right_flow(const BundleFlow* flow, const BundlePort* to) noexcept nogil:
    if flow.done > 1 or flow.raw > 1 or flow.broken > flow.done or flow.raw + flow.done > 1:
        return False
    return to.raw_left >= RAW_ENDLESS // 2 if flow.raw else to.raw_left == 0


cdef bint right_letter(char letter) noexcept nogil:
    return 0x20 < letter < 0x7f


cdef bint right_facts(const Core* core, const Bundle* b, bint same_arena) noexcept nogil:
    if b.flags & ~<uint32_t>X_GO or not b.flags & X_TUNNEL or b.status > STATUS_MOST or b.minor > 1 or b.retries > 0xffff:
        return False
    if b.family not in (1, 4, 6) or b.socket_bytes > sizeof(b.socket) or b.local_known > 1 or b.requests == 0:
        return False
    if b.tunnel_ms < -1 or b.server_fin_ms < -1 or b.client_fin_ms < -1:
        return False
    if same_arena and (b.backend_slot >= core.slots or b.endpoint_slot >= core.slots):
        return False
    if b.sent_before > b.client.sent or b.received_before > b.client.received:
        return False
    return (b.client.received - b.received_before >= b.parts[PART_CLIENT_RX] and right_letter(b.cookie_in) and right_letter(b.cookie_out)
            and right_address(&b.peer) and right_address(&b.local))


cdef BundleFault look_through(const Core* core, const Bundle* b, uint32_t n, const int* fds, int n_fds, bint same_arena) noexcept nogil:
    cdef uint64_t bytes = sizeof(Bundle)
    cdef int wanted = 2, i
    cdef bint fits = True
    if n < sizeof(Bundle) or b.bytes != n or b.layout != BUNDLE_LAYOUT:
        return BUNDLE_WRONG
    for i in range(<int>PARTS):
        bytes += b.parts[i]
        if i < PART_CLIENT_RX and b.parts[i] > TEXT_MOST or i == PART_NOTES and b.parts[i] > NOTES_MOST:
            return BUNDLE_WRONG
        if PART_CLIENT_RX <= i <= PART_ENDPOINT_TX and b.parts[i] > core.s.blocks.size:
            fits = False
    if bytes != n or b.parts[PART_LISTENER] == 0:
        return BUNDLE_WRONG
    if not right_facts(core, b, same_arena) or not right_moments(b, core.s.now_ms):
        return BUNDLE_WRONG
    if not right_port(&b.client, b.parts[PART_CLIENT_RX]) or not right_port(&b.endpoint, b.parts[PART_ENDPOINT_RX]):
        return BUNDLE_WRONG
    if not right_flow(&b.asking, &b.endpoint) or not right_flow(&b.answering, &b.client):
        return BUNDLE_WRONG
    wanted += (2 if b.client.in_pipe else 0) + (2 if b.endpoint.in_pipe else 0)
    if not fits or n_fds < wanted:
        return BUNDLE_NO_ROOM                    # those for which our table has no place do not come at all
    if n_fds != wanted or not edged_is_stream(fds[0]) or not edged_is_stream(fds[1]):
        return BUNDLE_WRONG
    if b.client.in_pipe and not edged_is_pipe(fds[2], fds[3], b.client.in_pipe):
        return BUNDLE_WRONG
    if b.endpoint.in_pipe and not edged_is_pipe(fds[wanted - 2], fds[wanted - 1], b.endpoint.in_pipe):
        return BUNDLE_WRONG
    return BUNDLE_FINE


# --- here ------------------------------------------------------------------------------------------------------------

cdef void cut_parts(View* parts, const Bundle* b) noexcept nogil:
    cdef const char* at = <const char*>b + sizeof(Bundle)
    cdef int i
    for i in range(<int>PARTS):
        parts[i] = view(at, b.parts[i])
        at += b.parts[i]


cdef bint fill(Core* core, Buffer* buffer, View bytes) noexcept nogil:
    if bytes.n == 0:
        return True
    if not buffer_hold(buffer, &core.s.blocks):
        return False
    memcpy(buffer.at, bytes.at, bytes.n)
    buffer.head = 0
    buffer.tail = <uint32_t>bytes.n
    return True


cdef void set_port(Channel* c, const BundlePort* b) noexcept nogil:
    c.port.received = b.received
    c.port.sent = b.sent
    c.port.flags = b.flags | PORT_WRITABLE | (0 if b.flags & PORT_EOF else PORT_READABLE)        # who knows: it is tried
    c.full_reads = <uint8_t>b.full_reads


cdef void set_flow(Flow* flow, const BundleFlow* b, Port* source, Port* to, const BundlePort* port) noexcept nogil:
    flow_open(flow, FLOW_TO_EOF, 0)
    flow.total = b.total
    flow.done = b.done
    flow.raw = b.raw
    flow.broken = b.broken
    to.raw_from = source if b.raw else NULL
    to.raw_left = port.raw_left


cdef void set_pipe(Channel* c, const BundlePort* b, int* fds, int* at) noexcept nogil:
    """The descriptors are its own from now on."""
    if b.in_pipe == 0:
        return
    c.port.in_pipe = b.in_pipe
    c.pipe_out = fds[at[0]]
    c.pipe_in = fds[at[0] + 1]
    fds[at[0]] = fds[at[0] + 1] = -1
    at[0] += 2


cdef void set_client(Front* f, const Bundle* b) noexcept nogil:
    f.client.accepted_ms = b.accepted_ms
    f.client.accepted_us = b.accepted_us
    f.client.peer = b.peer
    f.client.local = b.local
    f.client.local_known = b.local_known
    f.client.requests = b.requests
    f.client.handshake_ms = b.handshake_ms
    f.began_ms = b.front_began_ms
    f.began_us = b.front_began_us
    f.idle_ms = b.front_idle_ms


cdef void set_times(Exchange* x, const Bundle* b) noexcept nogil:
    x.began_ms = b.began_ms
    x.began_us = b.began_us
    x.head_ms = b.head_ms
    x.placed_ms = b.placed_ms
    x.connected_ms = b.connected_ms
    x.asked_ms = b.asked_ms
    x.answered_ms = b.answered_ms
    x.moved_ms = b.moved_ms
    x.moved_mark = b.moved_mark
    x.idle_ms = b.idle_ms


cdef void set_exchange(Exchange* x, const Bundle* b) noexcept nogil:
    x.phase = PHASE_TUNNEL
    x.sent_before = b.sent_before
    x.received_before = b.received_before
    x.received_head = b.received_head
    x.ahead_endpoint = b.ahead_endpoint
    x.ahead_backend = b.ahead_backend
    x.status = <uint16_t>b.status
    x.retries = <uint16_t>b.retries
    x.minor = <uint8_t>b.minor
    x.cookie_in = b.cookie_in
    x.cookie_out = b.cookie_out


cdef bint remember(Core* core, Exchange* x, const View* parts) noexcept nogil:
    """What its access line will tell. Without what is needed for one, there is none."""
    cdef size_t n = parts[PART_METHOD].n + parts[PART_TARGET].n + parts[PART_HOST].n
    if x.flags & X_TCP or not core.s.remember_lines:
        return True
    if parts[PART_METHOD].n == 0:
        x.flags |= X_SILENT
        return True
    x.line = <char*>malloc(n)
    if x.line == NULL:
        return False
    memcpy(x.line, parts[PART_METHOD].at, n)     # one behind the other, there as here
    x.method = view(x.line, parts[PART_METHOD].n)
    x.target = view(x.line + x.method.n, parts[PART_TARGET].n)
    x.host = view(x.line + x.method.n + x.target.n, parts[PART_HOST].n)
    return True


cdef bint name_sni(Front* f, View sni) noexcept nogil:
    if sni.n == 0:
        return True
    f.client.sni = <char*>malloc(sni.n + 1)
    if f.client.sni == NULL:
        return False
    memcpy(f.client.sni, sni.at, sni.n)
    f.client.sni[sni.n] = 0
    return True


cdef bint place(Core* core, Exchange* x, const Bundle* b, const View* parts, bint same_arena) noexcept nogil:
    """It goes by the rules that it began with, and counts where it did."""
    cdef Recipe recipe
    cdef Backend backend
    cdef Endpoint endpoint
    memset(&recipe, 0, sizeof(Recipe))
    memset(&backend, 0, sizeof(Backend))
    memset(&endpoint, 0, sizeof(Endpoint))
    if same_arena:
        backend.slot = b.backend_slot
        endpoint.slot = b.endpoint_slot
    backend.tunnel_ms = b.tunnel_ms
    backend.server_fin_ms = b.server_fin_ms
    backend.client_fin_ms = b.client_fin_ms
    endpoint.port = b.endpoint_port
    endpoint.family = b.family
    endpoint.socket_bytes = b.socket_bytes
    memcpy(endpoint.socket, b.socket, sizeof(endpoint.socket))
    if not detached_as(x, &recipe, &backend, &endpoint, parts[PART_ROUTE], parts[PART_BACKEND], parts[PART_ENDPOINT]):
        return False
    x.flags |= b.flags
    core.s.tally.tunnels += 1
    core.s.bench.cells[x.backend.slot].served += 1
    if x.flags & X_COUNTED:
        core.s.bench.cells[x.endpoint.slot].served += 1
    return True


cdef BundleFault note(Core* core, Exchange* x, View packed) noexcept nogil:
    cdef Status status = DONE
    if packed.n and core.s.plan != NULL:
        status = notes_unpack(&x.notes, core.s.plan, packed)
    return BUNDLE_FINE if status == DONE else BUNDLE_WRONG if status == BAD else BUNDLE_NO_ROOM


cdef BundleFault build(Core* core, Front* f, const Bundle* b, int* fds, bint same_arena) noexcept nogil:
    """All that it needs behind its client's channel. Where something is missing, bundle_release takes it apart again."""
    cdef View parts[PARTS]
    cdef Channel* front = <Channel*>f.port
    cdef Channel* back
    cdef Exchange* x
    cdef int at = 2
    cut_parts(parts, b)
    f.exchange = x = exchange_open(&core.s, &f.client, f.port, f)
    if x == NULL:
        return BUNDLE_NO_ROOM
    x.flags = 0
    set_client(f, b)
    set_times(x, b)
    set_exchange(x, b)
    back = channel_open(core, fds[1], CHANNEL_SERVER)
    if back == NULL:
        return BUNDLE_NO_ROOM
    fds[1] = -1
    back.owner = x
    x.back = &back.port
    set_port(front, &b.client)
    set_port(back, &b.endpoint)
    set_pipe(front, &b.client, fds, &at)
    set_pipe(back, &b.endpoint, fds, &at)
    set_flow(&x.asking, &b.asking, x.front, x.back, &b.endpoint)
    set_flow(&x.answering, &b.answering, x.back, x.front, &b.client)
    if not place(core, x, b, parts, same_arena) or not remember(core, x, parts) or not name_sni(f, parts[PART_SNI]):
        return BUNDLE_NO_ROOM
    if not fill(core, &front.port.rx, parts[PART_CLIENT_RX]) or not fill(core, &front.port.tx, parts[PART_CLIENT_TX]):
        return BUNDLE_NO_ROOM
    if not fill(core, &back.port.rx, parts[PART_ENDPOINT_RX]) or not fill(core, &back.port.tx, parts[PART_ENDPOINT_TX]):
        return BUNDLE_NO_ROOM
    if not channel_copied(core, front) or not channel_copied(core, back):
        return BUNDLE_NO_ROOM
    return note(core, x, parts[PART_NOTES])


cdef Front* adopt(Core* core, const Bundle* b, int* fds) noexcept nogil:
    cdef const char* name = <const char*>b + sizeof(Bundle) + b.parts[PART_ROUTE] + b.parts[PART_BACKEND] + b.parts[PART_ENDPOINT]
    cdef Listener* listener = gate_named(core, view(name, b.parts[PART_LISTENER]), b.listener_port)
    cdef Channel* c
    cdef Front* f
    if listener == NULL:
        return NULL
    c = channel_open(core, fds[0], CHANNEL_CLIENT)
    if c == NULL:
        return NULL
    fds[0] = -1
    f = front_adopt(&core.s, listener, &c.port)
    if f == NULL:
        channel_close(core, c)
        return NULL
    c.owner = f
    f.state = FRONT_EXCHANGE
    core.s.tally.connections += 1
    return f


cdef Front* unbundle(Core* core, const char* at, uint32_t n, const int* fds, int n_fds, bint same_arena, BundleFault* fault) noexcept nogil:
    cdef const Bundle* b = <const Bundle*>at
    cdef int left[BUNDLE_FDS]
    cdef Front* f = NULL
    cdef int i
    fault[0] = look_through(core, b, n, fds, n_fds, same_arena) if n_fds <= BUNDLE_FDS else BUNDLE_WRONG
    for i in range(n_fds):
        if i < BUNDLE_FDS:
            left[i] = fds[i]
        else:
            close(fds[i])
    if fault[0] == BUNDLE_FINE:
        f = adopt(core, b, left)
        fault[0] = build(core, f, b, left, same_arena) if f != NULL else BUNDLE_NO_ROOM
    for i in range(min(n_fds, <int>BUNDLE_FDS)):
        if left[i] >= 0:
            close(left[i])
    if f != NULL and fault[0] != BUNDLE_FINE:
        bundle_release(core, f)
        f = NULL
    return f
