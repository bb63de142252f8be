"""The books. See account.pxd."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from edged._fast.base.view cimport unlikely, view
from edged._fast.memory.arena cimport Cell
from edged._fast.route.edit cimport Peer
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.route.table cimport Endpoint, table_text
from edged._fast.run.accesslog cimport LOG_LINE_MOST, LOG_OFF, LogLine, accesslog_format
from edged._fast.talk.address cimport address_text
from edged._fast.talk.format cimport format_write
from edged._fast.talk.exchange cimport X_FIRST, X_REDISPATCHED, X_SILENT, X_TCP


cdef inline int32_t span(int64_t until_ms, int64_t since_ms) noexcept nogil:
    """Milliseconds between two moments; -1 where one was not reached."""
    return <int32_t>(until_ms - since_ms) if until_ms and since_ms else -1


cdef void timers(LogLine* line, Exchange* x, int64_t now_ms) noexcept nogil:
    line.tr_ms = span(x.head_ms, x.began_ms)
    line.tw_ms = span(x.placed_ms, x.head_ms)
    line.tc_ms = span(x.connected_ms, x.placed_ms)
    line.response_ms = span(x.answered_ms, x.asked_ms if x.asked_ms and x.asked_ms <= x.answered_ms else x.connected_ms)
    line.ta_ms = <int32_t>(now_ms - x.began_ms)


cdef bint endpoint_address(const Endpoint* endpoint, ProxyAddress* out) noexcept nogil:
    """False: it is a unix socket."""
    if endpoint.family == 4:
        memcpy(out.at, &endpoint.socket[4], 4)
    elif endpoint.family == 6:
        memcpy(out.at, &endpoint.socket[8], 16)
    else:
        return False
    out.family = endpoint.family
    out.port = endpoint.port
    return True


cdef uint32_t own_line(Core* core, Exchange* x, char* room, LogLine* line) noexcept nogil:
    """A line of the operator's format; answers its length."""
    cdef ProxyAddress server
    cdef char* end
    line.client_address = &x.client.peer
    line.local_address = &x.client.local
    line.handshake_ms = x.client.handshake_ms if x.flags & X_FIRST else 0
    line.idle_ms = x.idle_ms
    line.lines = core.lines
    core.lines += 1
    if x.endpoint != NULL and endpoint_address(x.endpoint, &server):
        line.server_address = &server
    end = format_write(room, room + LOG_LINE_MOST - 1, core.format, core.format_n, line)
    end[0] = c"\n"
    return <uint32_t>(end + 1 - room)


cdef void write_line(Core* core, Ring ring, Exchange* x, uint64_t bytes_in, uint64_t bytes_out) noexcept nogil:
    cdef LogLine line
    cdef Peer peer
    cdef char* room = ring.reserve(LOG_LINE_MOST)
    if room == NULL:
        core.s.tally.log_dropped += 1
        return
    memset(&line, 0, sizeof(LogLine))
    address_text(&peer, x.client)
    line.tcp = (x.flags & X_TCP) != 0
    line.tls = x.client.tls
    line.tls_version = x.client.tls_version
    line.tls_cipher = x.client.tls_cipher
    line.sni = x.client.sni
    if unlikely(x.client.certificate != NULL):
        line.told = x.client.certificate.lines
    line.minor = x.minor
    line.redispatched = (x.flags & X_REDISPATCHED) != 0
    line.cause = x.cause
    line.state = x.state
    line.cookie_in = x.cookie_in
    line.cookie_out = x.cookie_out
    line.status = x.status if x.status else -1
    line.client_ip = view(peer.ip, peer.ip_n)
    line.client_port = peer.port
    line.frontend_port = peer.local_port
    line.retries = x.retries
    line.frontend = x.client.listener.name
    line.method = x.method
    line.target = x.target
    line.host = x.host
    if x.backend != NULL:
        line.backend = table_text(x.table, x.backend.name)
        line.route = table_text(x.table, x.recipe.key)
        line.beconn = <uint32_t>core.s.bench.cells[x.backend.slot].served
    if x.endpoint != NULL:
        line.server = table_text(x.table, x.endpoint.name)
        line.srvconn = <uint32_t>core.s.bench.cells[x.endpoint.slot].served
    line.accept_us = x.began_us
    timers(&line, x, core.s.now_ms)
    line.bytes_in = bytes_in
    line.bytes_out = bytes_out
    line.actconn = <uint32_t>core.s.tally.connections
    line.feconn = <uint32_t>x.client.listener.cell.current
    line.srv_queue = x.ahead_endpoint
    line.backend_queue = x.ahead_backend
    line.notes = x.notes
    line.plan = core.s.plan
    if unlikely(core.format != NULL) and not line.tcp:
        ring.commit(own_line(core, x, room, &line))
    else:
        ring.commit(accesslog_format(room, core.log_format, &line))


cdef void account(Core* core, Ring ring, Exchange* x) noexcept nogil:
    # Bytes of an answer that still stand in tx have been promised to the kernel's queue: they count as sent.
    cdef uint64_t bytes_out = x.front.sent - x.sent_before + (x.front.tx.tail - x.front.tx.head)
    cdef uint64_t bytes_in = x.front.received - x.received_before - (x.front.rx.tail - x.front.rx.head)
    cdef Cell* cell
    core.s.tally.bytes_in += bytes_in
    core.s.tally.bytes_out += bytes_out
    if x.endpoint != NULL:
        cell = &core.s.bench.cells[x.endpoint.slot]
        cell.bytes_in += bytes_in
        cell.bytes_out += bytes_out
    if core.log_format != LOG_OFF and not x.flags & X_SILENT:
        write_line(core, ring, x, bytes_in, bytes_out)
