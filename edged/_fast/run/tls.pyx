"""A channel that speaks TLS. See tls.pxd."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from edged._fast.base.linux cimport EAGAIN, EINTR, edged_errno, edged_recv, edged_send
from edged._fast.base.openssl cimport (
    BIO_CTRL_EOF, BIO_CTRL_FLUSH, BIO_FLAGS_READ, BIO_FLAGS_SHOULD_RETRY, BIO_FLAGS_WRITE, BIO_TYPE_SOURCE_SINK, Callback,
    SSL_CTRL_MODE, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, SSL_ERROR_WANT_READ,
    SSL_ERROR_ZERO_RETURN, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_RELEASE_BUFFERS,
    SSL_TLSEXT_ERR_NOACK, SSL_TLSEXT_ERR_OK, openssl,
)
from edged._fast.base.view cimport check, likely, unlikely, view, view_is
from edged._fast.memory.buffer cimport (
    buffer_drop, buffer_hold, buffer_n, buffer_room, buffer_take, stock_close, stock_give, stock_open, stock_take,
)
from edged._fast.run.core cimport TLS_OPEN, TlsLink
from edged._fast.run.flags cimport flag_end, flag_write_failed
from edged._fast.run.records cimport (
    records_bye, records_close, records_free, records_listen, records_open, records_prepare, records_seal, records_take_over,
)
from edged._fast.run.tickets cimport ticket_callback
from edged._fast.talk.wants cimport (
    PORT_BROKEN, PORT_CONNECTING, PORT_CUT, PORT_DEAF, PORT_EOF, PORT_HUNG_UP, PORT_READABLE, PORT_SHUT, PORT_WRITABLE, Port,
)

cdef enum:
    TICKETS = 2                  # for a client after a full handshake: browsers open several connections
    RECORD_ROOM = 17408          # a record with all that is added to it
    BURST_LEAST = 16384
    SSL_BOTH_SHUT = 3


# --- the BIO ---------------------------------------------------------------------------------------------------------

cdef bint refill(Core* core, Channel* c) noexcept nogil:
    """Records from the kernel; False: none now, or no more."""
    cdef TlsLink* link = c.tls
    cdef uint32_t room
    cdef ssize_t n
    if not link.readable or link.ended or not buffer_hold(&link.sealed_in, &core.s.blocks):
        return False
    room = buffer_room(&link.sealed_in, &core.s.blocks)
    n = edged_recv(c.fd, link.sealed_in.at + link.sealed_in.tail, room, 0)
    if likely(n > 0):
        link.sealed_in.tail += <uint32_t>n
        if <uint32_t>n < room and not c.port.flags & PORT_HUNG_UP:
            link.readable = False                # edge-triggered: the next bytes bring an event of their own
        return True
    if n == 0:
        link.ended = True
    elif edged_errno() == EAGAIN:
        link.readable = False
    elif edged_errno() != EINTR:
        link.ended = True
        c.port.flags |= PORT_BROKEN
    return False


cdef int bio_read(void* bio, char* at, int n) noexcept nogil:
    cdef Core* core = <Core*>openssl.BIO_get_data(bio)
    cdef Channel* c = core.speaking
    cdef uint32_t have
    openssl.BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
    if buffer_n(&c.tls.sealed_in) == 0 and not refill(core, c):
        if c.tls.ended:
            return 0
        openssl.BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
    have = min(<uint32_t>n, buffer_n(&c.tls.sealed_in))
    memcpy(at, c.tls.sealed_in.at + c.tls.sealed_in.head, have)
    buffer_take(&c.tls.sealed_in, have)
    return <int>have


cdef int bio_write(void* bio, char* at, int n) noexcept nogil:
    cdef Core* core = <Core*>openssl.BIO_get_data(bio)
    openssl.BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
    if unlikely(<uint32_t>n > SEALED_BYTES - core.sealed_n):
        return -1                                # no caller seals more than there is room for
    memcpy(core.sealed + core.sealed_n, at, <size_t>n)
    core.sealed_n += <uint32_t>n
    return n


cdef long bio_ctrl(void* bio, int command, long number, void* what) noexcept nogil:
    cdef Core* core = <Core*>openssl.BIO_get_data(bio)
    if command == BIO_CTRL_FLUSH:
        return 1
    if command == BIO_CTRL_EOF:
        return core.speaking != NULL and core.speaking.tls.ended and buffer_n(&core.speaking.tls.sealed_in) == 0
    return 0


cdef bint tls_open(Core* core) noexcept nogil:
    stock_open(&core.links, sizeof(TlsLink))
    if not records_prepare(core):
        return False
    core.plain = <char*>malloc(PLAIN_BYTES)
    core.sealed = <char*>malloc(SEALED_BYTES)
    core.bio_method = openssl.BIO_meth_new(BIO_TYPE_SOURCE_SINK, b"edged")
    if core.plain == NULL or core.sealed == NULL or core.bio_method == NULL:
        return False
    openssl.BIO_meth_set_read(core.bio_method, bio_read)
    openssl.BIO_meth_set_write(core.bio_method, bio_write)
    openssl.BIO_meth_set_ctrl(core.bio_method, bio_ctrl)
    core.bio = openssl.BIO_new(core.bio_method)
    if core.bio == NULL:
        return False
    openssl.BIO_set_data(core.bio, core)
    openssl.BIO_set_init(core.bio, 1)
    return True


cdef void tls_close(Core* core) noexcept nogil:
    cdef uint32_t slot
    stock_close(&core.links)
    records_close(core)
    if core.sessions != NULL:
        for slot in range(core.slots):
            if core.sessions[slot].session != NULL:
                openssl.SSL_SESSION_free(core.sessions[slot].session)
    free(core.sessions)
    if core.bio != NULL:
        openssl.BIO_free(core.bio)
    if core.bio_method != NULL:
        openssl.BIO_meth_free(core.bio_method)
    free(core.plain)
    free(core.sealed)


# --- contexts --------------------------------------------------------------------------------------------------------

cdef int choose_protocol(void* ssl, const uint8_t** out, uint8_t* n, const uint8_t* offered, unsigned int offered_n, void* arg) noexcept nogil:
    cdef Core* core = <Core*>openssl.BIO_get_data(openssl.SSL_get_rbio(ssl))
    cdef unsigned int at = 0
    if not core.speaking.tls.alpn:
        return SSL_TLSEXT_ERR_NOACK
    while at < offered_n and at + 1 + offered[at] <= offered_n:
        if view_is(view(<const char*>offered + at + 1, offered[at]), b"http/1.1", 8):
            out[0] = offered + at + 1
            n[0] = 8
            return SSL_TLSEXT_ERR_OK
        at += 1 + offered[at]
    return SSL_TLSEXT_ERR_NOACK


cdef int staple(void* ssl, void* arg) noexcept nogil:
    """OCSP: the response that came with the certificate, if the client asks for one."""
    cdef Core* core = <Core*>openssl.BIO_get_data(openssl.SSL_get_rbio(ssl))
    cdef TlsLink* link = core.speaking.tls
    cdef void* copy
    if link.ocsp.n == 0:
        return SSL_TLSEXT_ERR_NOACK
    copy = openssl.CRYPTO_malloc(link.ocsp.n, b"edged", 0)
    if copy == NULL:
        return SSL_TLSEXT_ERR_NOACK
    memcpy(copy, link.ocsp.at, link.ocsp.n)
    openssl.SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, <long>link.ocsp.n, copy)
    return SSL_TLSEXT_ERR_OK


cdef long MODES = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS


def prepare_server(context: int, tickets: bool) -> None:
    """Make the SSL_CTX at this address one that engines accept with. `tickets`: sessions can be resumed."""
    cdef void* at = <void*><uintptr_t>context
    openssl.SSL_CTX_ctrl(at, SSL_CTRL_MODE, MODES, NULL)
    records_listen(at)
    openssl.SSL_CTX_set_alpn_select_cb(at, choose_protocol, NULL)
    openssl.SSL_CTX_callback_ctrl(at, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, <Callback>staple)
    openssl.SSL_CTX_set_num_tickets(at, TICKETS if tickets else 0)
    if tickets:
        openssl.SSL_CTX_set_tlsext_ticket_key_evp_cb(at, ticket_callback)


def prepare_client(context: int) -> None:
    """Make the SSL_CTX at this address one that engines connect with."""
    openssl.SSL_CTX_ctrl(<void*><uintptr_t>context, SSL_CTRL_MODE, MODES, NULL)


# --- a channel becomes one of TLS, and ceases to be -----------------------------------------------------------------------

cdef bint tls_attach(Core* core, Channel* c, void* context) noexcept nogil:
    cdef TlsLink* link = <TlsLink*>stock_take(&core.links)
    if link == NULL:
        return False
    link.ssl = openssl.SSL_new(context)
    if link.ssl == NULL:
        openssl.ERR_clear_error()
        stock_give(&core.links, link)
        return False
    openssl.BIO_up_ref(core.bio)                 # one reference serves both directions
    openssl.SSL_set_bio(link.ssl, core.bio, core.bio)
    link.sealed_in = c.port.rx
    c.port.rx.at = NULL
    c.port.rx.head = 0
    c.port.rx.tail = 0
    link.readable = c.port.flags & PORT_READABLE != 0
    link.burst = BURST_LEAST
    c.tls = link
    return True


cdef void free_ssl(Core* core, Channel* c) noexcept nogil:
    core.speaking = c
    openssl.SSL_set_shutdown(c.tls.ssl, SSL_BOTH_SHUT)    # else its session would be taken for a bad one
    openssl.SSL_free(c.tls.ssl)
    c.tls.ssl = NULL
    core.speaking = NULL


cdef void tls_settle(Core* core, Channel* c) noexcept nogil:
    if records_take_over(core, c):
        free_ssl(core, c)


cdef void tls_detach(Core* core, Channel* c) noexcept nogil:
    cdef TlsLink* link = c.tls
    cdef Channel** at = &core.handshakes_first
    cdef Channel* before = NULL
    if link.queued:
        while at[0] != c:
            before = at[0]
            at = &before.tls.next
        at[0] = link.next
        if core.handshakes_last == c:
            core.handshakes_last = before
    if link.ssl != NULL:
        free_ssl(core, c)
    if link.records != NULL:
        records_free(core, link.records)
    buffer_drop(&link.sealed_in, &core.s.blocks)
    free(link.sealed_out)
    free(<void*>link.ocsp.at)
    c.port.sealed = 0
    c.tls = NULL
    stock_give(&core.links, link)


# --- reading ---------------------------------------------------------------------------------------------------------

cdef ssize_t read_failed(Core* core, Channel* c, int answer) noexcept nogil:
    """0: nothing now, or the end; -1: broken."""
    cdef int why = openssl.SSL_get_error(c.tls.ssl, answer)
    if why == SSL_ERROR_WANT_READ:
        return 0
    openssl.ERR_clear_error()
    if why == SSL_ERROR_ZERO_RETURN or (c.tls.ended and not c.port.flags & PORT_BROKEN):
        flag_end(c)
        if why != SSL_ERROR_ZERO_RETURN:
            c.port.flags |= PORT_CUT
        return 0
    c.port.flags = (c.port.flags | PORT_BROKEN) & ~<uint32_t>PORT_READABLE
    return -1


cdef ssize_t tls_open_records(Core* core, Channel* c, char* to, uint32_t room) noexcept nogil:
    cdef ssize_t n
    core.sealed_n = 0
    n = records_open(core, c, to, room) if c.tls.ssl == NULL else read(core, c, to, room)
    if unlikely(core.sealed_n) and not tls_flush(core, c):       # an alert, or new keys
        return -1 if n <= 0 else n
    return n


cdef ssize_t read(Core* core, Channel* c, char* to, uint32_t room) noexcept nogil:
    """As tls_open_records, by OpenSSL."""
    cdef TlsLink* link = c.tls
    cdef uint32_t n = 0
    cdef int got
    core.speaking = c
    while n < room:
        got = openssl.SSL_read(link.ssl, to + n, <int>(room - n))
        if got <= 0:
            if read_failed(core, c, got) < 0 and n == 0:
                return -1
            break
        n += <uint32_t>got
        if n < room and buffer_n(&link.sealed_in) == 0 and not link.readable:
            break                                # whatever OpenSSL still holds is less than a record
    if buffer_n(&link.sealed_in) == 0:
        buffer_drop(&link.sealed_in, &core.s.blocks)
    if n < room and not link.readable:
        c.port.flags &= ~<uint32_t>PORT_READABLE
    return n


cdef bint tls_pull(Core* core, Channel* c, uint32_t room) noexcept nogil:
    cdef Port* port = &c.port
    cdef uint32_t before = port.flags
    cdef ssize_t n
    n = tls_open_records(core, c, port.rx.at + port.rx.tail, room)
    if n > 0:
        port.rx.tail += <uint32_t>n
        port.received += <uint64_t>n
        if <uint32_t>n < room:
            c.full_reads = 0
        elif c.full_reads < 255:
            c.full_reads += 1
        return True
    if buffer_n(&port.rx) == 0:
        buffer_drop(&port.rx, &core.s.blocks)
    return (port.flags ^ before) & (PORT_EOF | PORT_BROKEN) or port.flags & PORT_READABLE      # there may be more behind what was no data


# --- writing ---------------------------------------------------------------------------------------------------------

cdef bint keep_rest(Core* core, Channel* c, uint32_t taken) noexcept nogil:
    """What the kernel does not take now waits in memory of its own."""
    cdef uint32_t rest = core.sealed_n - taken
    cdef TlsLink* link = c.tls
    check(link.sealed_out == NULL)
    link.sealed_out = <char*>malloc(rest)
    if link.sealed_out == NULL:
        return False
    memcpy(link.sealed_out, core.sealed + taken, rest)
    link.sealed_at = 0
    c.port.sealed = rest
    return True


cdef ssize_t send_some(Channel* c, const char* at, uint32_t n) noexcept nogil:
    """Bytes that the kernel took; -1: it will never take any more."""
    cdef ssize_t sent
    while True:
        sent = edged_send(c.fd, at, n, 0)
        if likely(sent >= 0):
            if <uint32_t>sent < n:
                c.port.flags &= ~<uint32_t>PORT_WRITABLE
            return sent
        if edged_errno() == EAGAIN:
            c.port.flags &= ~<uint32_t>PORT_WRITABLE
            return 0
        if edged_errno() != EINTR:
            flag_write_failed(c)
            return -1


cdef bint flush_rest(Channel* c) noexcept nogil:
    cdef TlsLink* link = c.tls
    cdef ssize_t sent
    if not c.port.flags & PORT_WRITABLE:
        return True
    sent = send_some(c, link.sealed_out + link.sealed_at, c.port.sealed)
    if sent < 0:
        return False
    link.sealed_at += <uint32_t>sent
    c.port.sealed -= <uint32_t>sent
    if c.port.sealed == 0:
        free(link.sealed_out)
        link.sealed_out = NULL
    return True


cdef bint append_rest(Core* core, Channel* c) noexcept nogil:
    """Records that come while others wait: they go behind them."""
    cdef TlsLink* link = c.tls
    cdef char* longer = <char*>malloc(c.port.sealed + core.sealed_n)
    if longer == NULL:
        return False
    memcpy(longer, link.sealed_out + link.sealed_at, c.port.sealed)
    memcpy(longer + c.port.sealed, core.sealed, core.sealed_n)
    free(link.sealed_out)
    link.sealed_out = longer
    link.sealed_at = 0
    c.port.sealed += core.sealed_n
    return True


cdef bint tls_flush(Core* core, Channel* c) noexcept nogil:
    cdef ssize_t sent = 0
    cdef bint kept = True
    if c.port.sealed and not flush_rest(c):
        core.sealed_n = 0
        return False
    if core.sealed_n == 0:
        return True
    if c.port.sealed:
        kept = append_rest(core, c)
    else:
        if c.port.flags & PORT_WRITABLE:
            sent = send_some(c, core.sealed, core.sealed_n)
        if sent < 0:
            core.sealed_n = 0
            return False
        if <uint32_t>sent < core.sealed_n:
            kept = keep_rest(core, c, <uint32_t>sent)
            c.tls.burst = BURST_LEAST
        elif c.tls.burst < PLAIN_BYTES:
            c.tls.burst *= 2
    core.sealed_n = 0
    if not kept:
        c.port.flags |= PORT_BROKEN
    return kept


cdef ssize_t tls_seal(Core* core, Channel* c, const char* at, uint32_t n) noexcept nogil:
    cdef uint32_t done = 0
    cdef int written
    if c.tls.ssl == NULL:
        return records_seal(core, c, at, n)
    core.speaking = c
    while done < n and SEALED_BYTES - core.sealed_n >= RECORD_ROOM:
        written = openssl.SSL_write(c.tls.ssl, at + done, <int>min(n - done, <uint32_t>RECORD_MOST))
        if unlikely(written <= 0):
            openssl.ERR_clear_error()
            c.port.flags |= PORT_BROKEN
            return -1
        done += <uint32_t>written
    return done


cdef void tls_bye(Core* core, Channel* c) noexcept nogil:
    if c.tls.state != TLS_OPEN or c.tls.said_bye or c.port.flags & (PORT_BROKEN | PORT_DEAF):
        return
    c.tls.said_bye = True
    core.sealed_n = 0
    if c.tls.ssl == NULL:
        records_bye(core, c)
    else:
        core.speaking = c
        openssl.SSL_shutdown(c.tls.ssl)
        openssl.ERR_clear_error()
    tls_flush(core, c)


cdef bint tls_push(Core* core, Channel* c) noexcept nogil:
    cdef Port* port = &c.port
    cdef Port* source = port.raw_from
    cdef uint32_t own, raw = 0, waited = port.sealed
    cdef ssize_t sealed
    if port.flags & (PORT_BROKEN | PORT_CONNECTING | PORT_SHUT | PORT_DEAF) or not port.flags & PORT_WRITABLE:
        return False
    core.sealed_n = 0
    if waited:
        if not tls_flush(core, c) or port.sealed == 0:
            return True
        return port.sealed != waited
    own = buffer_n(&port.tx)
    if port.raw_left:
        raw = <uint32_t>min(<uint64_t>buffer_n(&source.rx), port.raw_left)
    if own and raw and raw <= buffer_room(&port.tx, &core.s.blocks) and own + raw <= RECORD_MOST:
        memcpy(port.tx.at + port.tx.tail, source.rx.at + source.rx.head, raw)      # one record for both
        port.tx.tail += raw
        buffer_take(&source.rx, raw)
        port.raw_left -= raw
        own += raw
        raw = 0
    if own:
        sealed = tls_seal(core, c, port.tx.at + port.tx.head, own)
        if sealed < 0:
            return True
        port.sent += <uint64_t>sealed
        buffer_take(&port.tx, <uint32_t>sealed)
        if buffer_n(&port.tx) == 0:
            buffer_drop(&port.tx, &core.s.blocks)
    if raw:
        sealed = tls_seal(core, c, source.rx.at + source.rx.head, raw)
        if sealed < 0:
            return True
        port.sent += <uint64_t>sealed
        port.raw_left -= <uint64_t>sealed
        buffer_take(&source.rx, <uint32_t>sealed)
    tls_flush(core, c)
    return True
