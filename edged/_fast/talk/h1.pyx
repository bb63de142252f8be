"""The client's side of an HTTP/1 or TCP connection. See h1.pxd."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy

from edged._fast.base.status cimport BAD, MORE, Status
from edged._fast.base.view cimport check, unlikely, view
from edged._fast.memory.buffer cimport buffer_hold, buffer_n, buffer_room, buffer_take, buffer_view, stock_give, stock_take
from edged._fast.parse.head cimport head_request
from edged._fast.parse.hello cimport Hello, hello_parse
from edged._fast.parse.proxyline cimport ProxyAddress, ProxyLine, proxyline_parse
from edged._fast.route.table cimport Found, RECIPE_PASSTHROUGH, Recipe, table_find
from edged._fast.talk.ending cimport end_cut, end_refuse
from edged._fast.talk.exchange cimport (
    X_ANSWER_BEGUN, X_CLIENT_STAYS, X_CUT, X_SILENT, X_TCP, exchange_begin, exchange_begin_tcp, exchange_open,
)
from edged._fast.talk.flow cimport FLOW_TO_EOF
from edged._fast.talk.wants cimport (
    DEADLINE_FRONT, MODE_HTTP, MODE_TCP, Network, PORT_BROKEN, PORT_EOF, PORT_READ, PORT_READABLE, PORT_SHUT, PORT_SHUT_ASKED, port_unsent,
)

cdef extern from "<string.h>" nogil:
    char* strndup(const char* text, size_t n)

cdef enum:
    PROXY_V2_MOST = 4096         # high-availability.md D.3
    ALERT_DECODE_ERROR = 50      # RFC 8446 section 6
    DRAIN_IDLE_MS = 1000         # while draining: for an idle client, which may just be asking for something


cdef Front* front_adopt(Shared* s, Listener* listener, Port* port) noexcept nogil:
    cdef Front* f = <Front*>stock_take(&s.fronts)
    if f == NULL:
        return NULL
    f.deadline.kind = DEADLINE_FRONT
    f.client.listener = listener
    f.port = port
    listener.holders += 1
    listener.cell.current += 1
    return f


cdef Front* front_open(Shared* s, Listener* listener, Port* port) noexcept nogil:
    cdef Front* f = front_adopt(s, listener, port)
    if f == NULL:
        return NULL
    f.client.accepted_ms = s.now_ms
    f.client.accepted_us = s.wall_us
    f.state = FRONT_HELLO if listener.tls else FRONT_IDLE
    port.flags |= PORT_READ
    listener.cell.accepted += 1
    return f


cdef void front_close(Shared* s, Front* f) noexcept nogil:
    check(f.exchange == NULL and f.deadline.next == NULL)
    if s.peer_of == &f.client:
        s.peer_of = NULL
    f.client.listener.cell.bytes_in += f.port.received
    f.client.listener.cell.bytes_out += f.port.sent
    f.client.listener.cell.current -= 1
    f.client.listener.holders -= 1
    free(f.client.sni)
    stock_give(&s.fronts, f)


cdef bint front_trusts(const Listener* listener, const Client* client) noexcept nogil:
    cdef uint32_t i
    cdef const Network* net
    cdef uint8_t whole, rest, mask
    if listener.n_trusted == 0:
        return True
    for i in range(listener.n_trusted):
        net = &listener.trusted[i]
        if net.family != client.peer.family:
            continue
        whole = net.bits // 8
        rest = net.bits % 8
        mask = <uint8_t>(0xff << (8 - rest))
        if memcmp(net.at, client.peer.at, whole) == 0 and (rest == 0 or net.at[whole] & mask == client.peer.at[whole] & mask):
            return True
    return False


cdef bint front_near(const ProxyAddress* peer, const ProxyAddress* local) noexcept nogil:
    if peer.family == 4:
        return peer.at[0] == 127 or (local.family == 4 and memcmp(peer.at, local.at, 4) == 0)
    if peer.family == 6:
        return memcmp(peer.at, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16) == 0 or (local.family == 6 and memcmp(peer.at, local.at, 16) == 0)
    return True                                  # a unix socket


# --- deadlines -------------------------------------------------------------------------------------------------------

cdef void set_deadline(Shared* s, Front* f) noexcept nogil:
    cdef int32_t ms = s.times.http_request_ms
    cdef int64_t since = f.began_ms
    if f.state == FRONT_PROXY or f.state == FRONT_HELLO:
        ms = s.times.proxy_header_ms
        since = f.client.accepted_ms
    elif f.state == FRONT_HANDSHAKE:
        ms = s.times.tls_handshake_ms
    elif f.state == FRONT_IDLE and f.client.requests:
        ms = s.times.http_keep_alive_ms or ms
    elif f.state == FRONT_IDLE:
        since = f.client.accepted_ms
    elif f.state == FRONT_LINGER:
        since = s.now_ms
        ms = s.times.client_fin_ms
    ms = ms or s.times.client_ms
    f.deadline.due_ms = since + ms if ms else 0
    if s.draining and f.state == FRONT_IDLE and f.client.requests:
        # Not at once: a request may be on its way, and its answer is the last.
        since = max(s.drained_ms, f.began_ms) + DRAIN_IDLE_MS
        if f.deadline.due_ms == 0 or f.deadline.due_ms > since:
            f.deadline.due_ms = since


# --- steps -----------------------------------------------------------------------------------------------------------

cdef FrontWant read_proxy(Shared* s, Front* f) noexcept nogil:
    cdef ProxyLine line
    cdef Status status
    if buffer_n(&f.port.rx) == 0:
        status = MORE
    else:
        status = proxyline_parse(&line, buffer_view(&f.port.rx), PROXY_V2_MOST)
    if status == BAD or (status == MORE and f.port.flags & PORT_EOF):
        f.client.listener.cell.proxy_refused += 1
        return FRONT_RESET
    if status == MORE:
        f.port.flags |= PORT_READ
        return FRONT_WAIT
    buffer_take(&f.port.rx, line.size)
    if line.source.family:
        f.client.peer = line.source
        f.client.local = line.target
        f.client.local_known = True
    if f.client.listener.tls:
        f.state = FRONT_HELLO
        return step_hello(s, f)
    f.state = FRONT_IDLE
    return step_idle(s, f)


cdef FrontWant step_hello(Shared* s, Front* f) noexcept nogil:
    """Read first, so that a passthrough route gets the very bytes, and the name chooses the certificate (openshift-routes.md 6.3)."""
    cdef Hello hello
    cdef Found found
    cdef Status status = MORE
    if buffer_n(&f.port.rx):
        status = hello_parse(&hello, buffer_view(&f.port.rx), s.hello_room)
    if status == MORE and f.port.flags & PORT_EOF:
        return left_early(s, f)
    if status == MORE and f.port.rx.head == 0 and f.port.rx.at != NULL and buffer_room(&f.port.rx, &s.blocks) == 0:
        status = BAD
    if status == MORE:
        f.port.flags |= PORT_READ
        return FRONT_WAIT
    if status == BAD:
        s.tally.tls_absent += 1
        return front_unsecured(s, f, ALERT_DECODE_ERROR if f.port.rx.at[f.port.rx.head] == 22 else 0)
    f.name = hello.sni
    if unlikely(s.sni_wanted) and hello.sni.n:
        f.client.sni = strndup(hello.sni.at, hello.sni.n)
    if f.client.listener.mode == MODE_HTTP and hello.sni.n and s.table != NULL:
        found = table_find(s.table, hello.sni, view(b"/", 1), RECIPE_PASSTHROUGH)
        if found.recipe != NULL:
            return begin_tcp(s, f, found.recipe)
    return FRONT_SECURE


cdef void front_secured(Shared* s, Front* f) noexcept nogil:
    f.state = FRONT_IDLE
    f.client.tls = True
    f.client.handshake_ms = <int32_t>(s.now_ms - f.client.accepted_ms)
    f.client.accepted_ms = s.now_ms              # from here on a request is waited for
    f.began_ms = 0


cdef FrontWant front_unsecured(Shared* s, Front* f, uint8_t alert) noexcept nogil:
    buffer_take(&f.port.rx, buffer_n(&f.port.rx))
    if alert and buffer_hold(&f.port.tx, &s.blocks) and buffer_room(&f.port.tx, &s.blocks) >= 7:
        memcpy(f.port.tx.at + f.port.tx.tail, b"\x15\x03\x03\x00\x02\x02", 6)
        f.port.tx.at[f.port.tx.tail + 6] = <char>alert
        f.port.tx.tail += 7
    f.state = FRONT_LINGER
    f.complete = False
    set_deadline(s, f)
    return FRONT_WAIT


cdef FrontWant begun(Front* f, uint32_t wants) noexcept nogil:
    f.wants = wants
    f.state = FRONT_EXCHANGE
    return FRONT_BEGUN


cdef FrontWant refuse(Shared* s, Front* f, uint16_t status, const char* detail, char cause, char state) noexcept nogil:
    """An exchange that is nothing but its refusal, so that it is counted and logged like all others."""
    f.exchange = exchange_open(s, &f.client, f.port, f)
    if f.exchange == NULL:
        return FRONT_CLOSE
    f.exchange.began_ms = f.began_ms
    f.exchange.began_us = f.began_us
    f.exchange.idle_ms = f.idle_ms
    f.exchange.received_before -= buffer_n(&f.port.rx)
    f.client.listener.cell.bad_requests += 1
    return begun(f, end_refuse(s, f.exchange, status, detail, cause, state))


cdef FrontWant left_early(Shared* s, Front* f) noexcept nogil:
    """The client went in the middle of a head, or without ever sending a byte: port scans and health checks of balancers."""
    cdef bint began = f.state == FRONT_HEAD
    if not began and ((f.state != FRONT_IDLE and f.state != FRONT_HELLO) or s.dont_log_null or s.ignore_probes or f.client.requests):
        return FRONT_CLOSE
    if not s.remember_lines:
        return FRONT_CLOSE
    f.exchange = exchange_open(s, &f.client, f.port, f)
    if f.exchange == NULL:
        return FRONT_CLOSE
    f.exchange.began_ms = f.began_ms if began else f.client.accepted_ms
    f.exchange.began_us = f.began_us if began else f.client.accepted_us
    f.exchange.received_before -= buffer_n(&f.port.rx)
    f.exchange.status = 400
    return begun(f, end_cut(s, f.exchange, c"C", c"R"))


cdef void skip_empty_lines(Front* f) noexcept nogil:
    """They do not begin a request (RFC 9112 section 2.2), so that no timer runs for them."""
    cdef char byte
    while buffer_n(&f.port.rx):
        byte = f.port.rx.at[f.port.rx.head]
        if byte != c"\r" and byte != c"\n":
            return
        buffer_take(&f.port.rx, 1)


cdef FrontWant begin_tcp(Shared* s, Front* f, const Recipe* recipe) noexcept nogil:
    """`recipe` NULL: that of the listener."""
    f.exchange = exchange_open(s, &f.client, f.port, f)
    if f.exchange == NULL:
        return FRONT_CLOSE
    f.exchange.began_ms = f.client.accepted_ms
    f.exchange.began_us = f.client.accepted_us
    f.exchange.received_before -= buffer_n(&f.port.rx)
    return begun(f, exchange_begin_tcp(s, f.exchange, recipe))


cdef FrontWant step_idle(Shared* s, Front* f) noexcept nogil:
    if f.client.listener.mode == MODE_TCP:
        return begin_tcp(s, f, NULL)
    skip_empty_lines(f)
    if buffer_n(&f.port.rx) == 0:
        if f.port.flags & PORT_EOF:
            return left_early(s, f)
        f.port.flags |= PORT_READ
        return FRONT_WAIT
    f.state = FRONT_HEAD
    f.seen = 0
    f.idle_ms = <int32_t>(s.now_ms - (f.began_ms if f.began_ms else f.client.accepted_ms))
    f.began_ms = s.now_ms
    f.began_us = s.wall_us
    return step_head(s, f)


cdef FrontWant step_head(Shared* s, Front* f) noexcept nogil:
    cdef Status status
    s.head_of = NULL
    status = head_request(s.head, buffer_view(&f.port.rx), f.seen, &s.limits)
    if unlikely(status == MORE):
        if f.port.flags & PORT_EOF:
            return refuse(s, f, 400, b"the request is incomplete", c"C", c"R")
        if f.port.rx.head == 0 and buffer_room(&f.port.rx, &s.blocks) == 0:
            return refuse(s, f, 431, b"the head is too large", c"P", c"R")
        f.seen = buffer_n(&f.port.rx)
        f.port.flags |= PORT_READ
        return FRONT_WAIT
    if unlikely(status == BAD):
        return refuse(s, f, s.head.fault, s.head.why, c"P", c"R")
    f.exchange = exchange_open(s, &f.client, f.port, f)
    if f.exchange == NULL:
        return FRONT_CLOSE
    f.exchange.began_ms = f.began_ms
    f.exchange.began_us = f.began_us
    f.exchange.idle_ms = f.idle_ms
    f.exchange.received_before -= buffer_n(&f.port.rx)
    return begun(f, exchange_begin(s, f.exchange))


cdef FrontWant step_linger(Front* f) noexcept nogil:
    if port_unsent(f.port):
        return FRONT_WAIT
    if f.complete and buffer_n(&f.port.rx) == 0 and not f.port.flags & PORT_READABLE:
        return FRONT_CLOSE                       # nothing unread that would turn the close into a reset
    buffer_take(&f.port.rx, buffer_n(&f.port.rx))
    if f.port.flags & PORT_EOF and f.port.flags & PORT_SHUT:
        return FRONT_CLOSE
    f.port.flags |= PORT_SHUT_ASKED | PORT_READ
    return FRONT_WAIT


cdef FrontWant front_step(Shared* s, Front* f) noexcept nogil:
    cdef FrontWant want
    if f.state == FRONT_EXCHANGE or f.state == FRONT_CLOSED:
        return FRONT_WAIT
    if f.port.flags & PORT_BROKEN:
        return left_early(s, f)
    f.port.flags &= ~<uint32_t>PORT_READ
    if f.state == FRONT_LINGER:
        want = step_linger(f)
    elif port_unsent(f.port):
        f.deadline.due_ms = s.now_ms + s.times.client_ms if s.times.client_ms else 0
        return FRONT_WAIT                        # one answer after another
    elif f.state == FRONT_PROXY:
        want = read_proxy(s, f)
    elif f.state == FRONT_HELLO:
        want = step_hello(s, f)
    elif f.state == FRONT_HANDSHAKE:
        f.port.flags |= PORT_READ
        want = FRONT_WAIT
    elif f.state == FRONT_IDLE:
        want = step_idle(s, f)
    else:
        want = step_head(s, f)
    if want == FRONT_WAIT and f.state != FRONT_LINGER:
        set_deadline(s, f)
    return want


cdef FrontWant front_timeout(Shared* s, Front* f) noexcept nogil:
    cdef FrontWant want
    if f.state == FRONT_PROXY:
        f.client.listener.cell.proxy_refused += 1
        return FRONT_RESET
    if f.state == FRONT_HELLO or f.state == FRONT_HANDSHAKE:
        s.tally.tls_failed += 1
        return FRONT_CLOSE
    if f.state == FRONT_HEAD:
        return refuse(s, f, 408, b"the request did not arrive in time", c"c", c"R")
    if f.state == FRONT_IDLE and f.client.requests == 0 and not s.ignore_probes:
        f.began_ms = f.client.accepted_ms
        f.began_us = f.client.accepted_us
        want = refuse(s, f, 408, b"no request arrived in time", c"c", c"R")
        if want == FRONT_BEGUN and s.dont_log_null:
            f.exchange.flags |= X_SILENT
        return want
    return FRONT_CLOSE


cdef FrontWant front_ended(Shared* s, Front* f) noexcept nogil:
    cdef uint32_t flags = f.exchange.flags
    cdef bint endless = f.exchange.answering.kind == FLOW_TO_EOF or f.exchange.answering.decode
    if flags & X_CLIENT_STAYS and not f.port.flags & PORT_BROKEN:
        f.state = FRONT_IDLE
        f.began_ms = s.now_ms                    # of the idle time: empty lines do not prolong it
        return FRONT_WAIT
    if f.port.flags & PORT_BROKEN:
        return FRONT_CLOSE
    if flags & X_CUT:
        # Where the end of the connection would be read as the end of the answer, it has to be a reset.
        if flags & X_SILENT or not endless or not flags & (X_ANSWER_BEGUN | X_TCP):
            return FRONT_CLOSE
        return FRONT_RESET
    f.state = FRONT_LINGER
    f.complete = f.exchange.asking.done
    set_deadline(s, f)
    return FRONT_WAIT
